"""Measures the claims of the README: a row each, with its target, met or not.

Every row is compared with something measured in the same call, so that a slow machine shows on both
sides. Nothing here fails on a number: `ci/test` does not run it.
"""

import json
import os
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from testbed.core.qemu_argv import Machine, build_argv
from testbed.core.record import RunRecord, load_record
from testbed.core.result import TestResult
from testbed.errors import TestbedError
from testbed.host import catalog, proc
from testbed.host.accel import choose_accel
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.keys import make_keys
from testbed.host.project import cache_dir, data_dir
from testbed.host.qmp import Qmp
from testbed.host.store import Store
from testbed.host.vm import (
    READY_LINE,
    BootFailure,
    BootRequest,
    add_keys,
    boot,
    find_ssh_port,
)
from testbed.pipeline.kernels import build_kernels

_MUTANT: Final = "patches/selfcheck/wrong-node"
_TOPOLOGY: Final = "two-nodes"
_FEW: Final = ("-k", "one_to_one", "-t", _TOPOLOGY)
_WARM_RUNS: Final = 3
_SERIES_RUNS: Final = 3
_BOOTS: Final = 7
_COLD_TARGET_S: Final = 900.0
_WARM_TARGET_S: Final = 60.0
_SERIES_TARGET_S: Final = 30.0
_OVERHEAD_TARGET: Final = 1.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One claim; all samples are seconds. ``target`` bounds the median, or the ratio of medians."""

    name: str
    what: str
    samples_s: tuple[float, ...]
    versus: str
    reference_s: tuple[float, ...]
    target: str
    is_met: bool

    @property
    def ratio(self) -> float:
        """How many times the reference the claim took, median by median."""
        return statistics.median(self.samples_s) / statistics.median(self.reference_s)


class _Quiet:
    """An observer that keeps the table alone on the output."""

    def say(self, line: str) -> None:
        click.echo(line, err=True)

    def building(self, what: str, compiled: int, line: str) -> None:
        del what, compiled, line

    def cell_event(self, cell: str, event: object) -> None:
        del cell, event


def bench_cold() -> tuple[Row, ...]:
    """Measure the quick plan from an empty cache, against make alone of its kernel."""
    with _scratch() as folder:
        env = {"TESTBED_CACHE": str(folder / "cache"), "CCACHE_DIR": str(folder / "ccache")}
        seconds, record = _run(folder, env=env)
        base = next(cell.kernel for cell in record.cells)
        make_s = _make_alone(folder / "cache", base.key)
    return (
        Row(
            name="cold",
            what="ci/regress, empty cache",
            samples_s=(seconds,),
            versus="make bzImage of the base alone",
            reference_s=(make_s,),
            target=f"{_COLD_TARGET_S:g} s",
            is_met=seconds <= _COLD_TARGET_S,
        ),
        Row(
            name="build",
            what="base kernel built by the testbed",
            samples_s=(base.build_seconds,),
            versus="make bzImage of the base alone",
            reference_s=(make_s,),
            target=f"ratio {_OVERHEAD_TARGET:g}",
            is_met=base.build_seconds <= _OVERHEAD_TARGET * make_s,
        ),
    )


def bench_warm() -> tuple[Row, ...]:
    """Measure the quick plan with nothing changed, against the guest tests' own time in it."""
    samples, tests = [], []
    with _scratch() as folder:
        _run(folder)
        for _ in range(_WARM_RUNS):
            seconds, record = _run(folder)
            _require(all(cell.kernel.compiled_files == 0 for cell in record.cells), "compiled")
            samples.append(seconds)
            tests.append(_sum_tests(record))
    return (
        Row(
            name="warm",
            what="ci/regress, nothing changed",
            samples_s=tuple(samples),
            versus="its guest tests, one after the other",
            reference_s=tuple(tests),
            target=f"{_WARM_TARGET_S:g} s",
            is_met=statistics.median(samples) <= _WARM_TARGET_S,
        ),
    )


def bench_series() -> tuple[Row, ...]:
    """Measure a new series of one file in mm/, from the command to a tested guest."""
    samples, makes = [], []
    with _scratch() as folder:
        for _ in range(_SERIES_RUNS):
            series = _write_new_series(folder)
            seconds, record = _run(folder, "--series", str(series), *_FEW)
            patched = next(cell for cell in record.cells if cell.kernel.series)
            _require(not patched.kernel.is_cached, "found in the cache")
            samples.append(seconds - max(_sum_tests_of(cell.tests) for cell in record.cells))
            makes.append(patched.kernel.build_seconds)
    return (
        Row(
            name="series",
            what="new one-file series, command to tested guest, less its tests",
            samples_s=tuple(samples),
            versus="its kernel's build within",
            reference_s=tuple(makes),
            target=f"{_SERIES_TARGET_S:g} s",
            is_met=statistics.median(samples) <= _SERIES_TARGET_S,
        ),
    )


def bench_boot() -> tuple[Row, ...]:
    """Measure a boot to an answering SSH server, against QEMU bare with the same arguments."""
    kernel, image = _make_kernel()
    with _scratch() as folder:
        store = Store(cache_dir(), say=_Quiet().say)
        accel = choose_accel(store, kernel.image, image, log_dir=folder, say=_Quiet().say)
        request = BootRequest(
            kernel=kernel.image,
            initrd=image.initrd,
            topology=catalog.load_topology(_TOPOLOGY),
            accel=accel.name,
            log_dir=folder,
        )
        ours, bare = [], []
        for _ in range(_BOOTS):
            bare.append(_boot_bare(request, folder))
            ours.append(_boot_once(request))
    return (
        Row(
            name="boot",
            what="boot by the testbed, to the first command over SSH",
            samples_s=tuple(ours),
            versus="bare QEMU, to the SSH server's greeting",
            reference_s=tuple(bare),
            target=f"ratio {_OVERHEAD_TARGET:g}",
            is_met=statistics.median(ours) <= _OVERHEAD_TARGET * statistics.median(bare),
        ),
    )


BENCHES: Final[dict[str, Callable[[], tuple[Row, ...]]]] = {
    "warm": bench_warm,
    "series": bench_series,
    "boot": bench_boot,
    "cold": bench_cold,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(tuple(BENCHES)))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows there.")
def main(*, names: tuple[str, ...], json_file: Path | None) -> None:
    """Measure the claims called NAMES, or all of them, and print a row for each."""
    try:
        rows = tuple(row for name in names or BENCHES for row in BENCHES[name]())
    except TestbedError as err:
        raise click.ClickException(str(err)) from err
    Console(width=None if sys.stdout.isatty() else 160).print(_render(rows))
    if json_file is not None:
        values = [{**asdict(row), "ratio": round(row.ratio, 4)} for row in rows]
        json_file.write_text(json.dumps(values, indent=2) + "\n")


def _render(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in (
        "what",
        "median",
        "min",
        "max",
        "compared with",
        "median",
        "ratio",
        "target",
        "",
    ):
        table.add_column(column)
    for row in rows:
        low, high = min(row.samples_s), max(row.samples_s)
        table.add_row(
            row.what,
            *(f"{seconds:.2f} s" for seconds in (statistics.median(row.samples_s), low, high)),
            row.versus,
            f"{statistics.median(row.reference_s):.2f} s",
            f"{row.ratio:.3f}",
            row.target,
            "met" if row.is_met else "not met",
        )
    return table


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="testbed-bench-", dir=os.environ.get("TMPDIR")) as name:
        yield Path(name)


def _run(
    folder: Path, *arguments: str, env: dict[str, str] | None = None
) -> tuple[float, RunRecord]:
    """Run the quick plan; return its wall time and its record."""
    command = [
        sys.executable,
        "-m",
        "testbed",
        "run",
        "--runs-dir",
        str(folder / "runs"),
        *arguments,
    ]
    done = proc.run(command, env=env, check=False)
    if done.returncode not in (0, 1):
        raise click.ClickException(f"`testbed run` ended with {done.returncode}:\n{done.output}")
    record = load_record((folder / "runs/latest/record.json").read_bytes())
    return done.seconds, record


def _sum_tests(record: RunRecord) -> float:
    return sum(_sum_tests_of(cell.tests) for cell in record.cells)


def _sum_tests_of(tests: Sequence[TestResult]) -> float:
    return sum(test.seconds for test in tests)


def _require(condition: bool, what: str) -> None:  # noqa: FBT001 - an assertion in words
    if not condition:
        raise click.ClickException(f"nothing can be measured: {what}")


def _make_alone(cache: Path, key: str) -> float:
    """Return what make alone needs for the same source and configuration, without ccache."""
    (source,) = (cache / "work").glob("*/src")
    with _scratch() as out:
        config = cache / "kernels" / key / "config"
        (out / ".config").write_bytes(config.read_bytes())
        make = ["make", "-s", "-C", str(source), f"O={out}"]
        proc.run([*make, "olddefconfig"])
        return proc.run([*make, f"-j{os.cpu_count()}", "bzImage"]).seconds


def _write_new_series(folder: Path) -> Path:
    """Write a copy of the mutant that no cache has: one of its comments has the time in it."""
    source = data_dir() / _MUTANT
    target = folder / f"series-{time.time_ns()}"
    target.mkdir()
    for path in source.iterdir():
        text = path.read_text()
        fresh = re.sub(r"MUTANT: swap a destination", f"MUTANT {time.time_ns()}: swap one", text)
        (target / path.name).write_text(fresh)
    return target


def _make_kernel() -> tuple[Kernel, GuestImage]:
    store = Store(cache_dir(), say=_Quiet().say)
    plan = catalog.load_plan(data_dir() / "ci/plans/quick.yaml")
    (built,) = build_kernels(plan, (), tree=None, store=store, observer=_Quiet())
    if not isinstance(built.outcome, Kernel):
        raise click.ClickException(f"the base kernel does not build: {built.outcome.error}")
    return built.outcome, build_guest_image(store, built.outcome.harness_dir, say=_Quiet().say)


def _boot_once(request: BootRequest) -> float:
    began = time.monotonic()
    vm = boot(request)
    if isinstance(vm, BootFailure):
        raise click.ClickException(f"the guest does not boot: {vm.crash.title}")
    vm.guest.run("true")
    seconds = time.monotonic() - began
    vm.close()
    return seconds


def _boot_bare(request: BootRequest, folder: Path) -> float:
    """Start QEMU with the arguments that the testbed would use; wait for the SSH greeting."""
    initrd = add_keys(request.initrd, make_keys(folder), Path(tempfile.mkdtemp(dir=folder)))
    console, console_theirs = socket.socketpair()
    monitor, monitor_theirs = socket.socketpair()
    fds = (console_theirs.fileno(), monitor_theirs.fileno())
    argv = build_argv(
        Machine(
            topology=request.topology,
            kernel=str(request.kernel),
            initrd=str(initrd),
            accel=request.accel,
            console_fd=fds[0],
            qmp_fd=fds[1],
        )
    )
    began = time.monotonic()
    process = proc.start(argv, pass_fds=fds)
    with console, console_theirs, monitor_theirs:
        console_theirs.close()
        qmp = Qmp(monitor, folder / "bare.qmp.jsonl")
        said = b""
        while READY_LINE.encode() not in said:
            said = said[-4096:] + console.recv(1 << 16)
        with socket.create_connection(("127.0.0.1", find_ssh_port(qmp))) as ssh:
            _require(ssh.recv(4) == b"SSH-", "the bare guest's SSH server does not greet")
        seconds = time.monotonic() - began
        proc.end(process)
        qmp.close()
    return seconds


if __name__ == "__main__":
    main()
