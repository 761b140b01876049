"""The machine room: boot, save, restore, connect, run, and many at once."""

import os
import re
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
from junitparser import JUnitXml

from ci.bench_row import Row
from ci.bench_scratch import Quiet, make_kernel, open_scratch, open_store, require
from testbed.core.events import Finished
from testbed.core.plan import Mode
from testbed.core.qemu_argv import Machine, build_argv
from testbed.core.schedule import CellLoad, Costs, simulate_curve
from testbed.core.topology import parse_topology
from testbed.host import catalog, proc
from testbed.host.accel import choose_accel
from testbed.host.boot import BootFailure, boot
from testbed.host.cells import JUNIT_FILE, CellJob, build_pytest_argv
from testbed.host.event_file import EVENTS_FILE, EventFile
from testbed.host.port import READY
from testbed.host.qemu import BootRequest
from testbed.host.snapshot import SavedState, Snapshots, save
from testbed.host.store import discard

_ROUNDS: Final = 11
_BOOTS: Final = 5
_OVERHEAD_LIMIT: Final = 1.10
_RESTORE_LIMIT_S: Final = 0.6
_RESTORE_RATIO: Final = 0.2
_STATE_LIMIT_MB: Final = 80.0
_SPEED_UP: Final = 0.85
_PARALLEL_RUNS: Final = 3
_CURVE: Final = (1, 2, 4, 8, 16, 32, 64)
_HANDLING_S: Final = 0.001  # of the controller a test: 0.4 ms with empty tests, ours say more
_WORKERS: Final = (1, 2, 3, 4)
_ONE_GIB: Final = "nodes:\n- {cpus: 1, memory_mib: 512}\n- {cpus: 1, memory_mib: 512}\n"
_METRIC_TEST: Final = "move_pages.many"
_SPREAD_RUNS: Final = 5
_SUITE: Final = ("mempolicy", "migrate", "cpuset")


def bench_vm() -> tuple[Row, ...]:
    """Measure one guest of 1 GiB: each step beside a boot of QEMU alone, in turn."""
    with open_scratch() as folder:
        request = _make_request(folder)
        snapshots = Snapshots(open_store(), request, parts={"bench": folder.name}, say=_tell)
        state = snapshots.get()
        if isinstance(state, BootFailure):
            raise click.ClickException(f"the guest does not boot: {state.crash.title}")
        bare = [_boot_bare(request) for _ in range(_BOOTS)]
        boots, saves, sizes = zip(*(_boot_and_save(request) for _ in range(_BOOTS)), strict=True)
        steps = [_use_restored(snapshots, state) for _ in range(_ROUNDS)]
        discard(state.folder)  # it was made for this measurement alone
    restores, firsts, runs, connects, ssh_runs = zip(*steps, strict=True)
    reference = tuple(bare)
    bare_name = "bare QEMU, to the guest's first word"
    return (
        Row(
            name="boot",
            what="boot, to an answered command",
            samples=boots,
            versus=bare_name,
            reference=reference,
            ratio_limit=_OVERHEAD_LIMIT,
        ),
        Row(
            name="save", what="save the state", samples=saves, versus=bare_name, reference=reference
        ),
        Row(
            name="state",
            what="state of a 1 GiB guest",
            samples=sizes,
            unit="MB",
            limit=_STATE_LIMIT_MB,
        ),
        Row(
            name="restore",
            what="restore, to an answered command",
            samples=firsts,
            versus=bare_name,
            reference=reference,
            limit=_RESTORE_LIMIT_S,
            ratio_limit=_RESTORE_RATIO,
        ),
        Row(
            name="restored",
            what="restore alone, clock and entropy included",
            samples=restores,
            versus=bare_name,
            reference=reference,
        ),
        Row(name="run", what="a command over the port", samples=runs),
        Row(name="connect", what="SSH: keys, server, login", samples=connects),
        Row(name="ssh", what="a command over SSH", samples=ssh_runs),
    )


def bench_parallel() -> tuple[Row, ...]:
    """Measure the C tests of one cell with several workers; calculate what more cores would do.

    Beside it as many QEMUs boot at once without the testbed: what these cores have to give.
    """
    with open_scratch() as folder:
        request = _make_request(folder)
        job = replace(_make_job(request, folder), tests=_SUITE, select="")
        _run_cell(job, folder)  # saves the state
        runs = {
            n: tuple(_run_cell(replace(job, workers=n), folder) for _ in range(_PARALLEL_RUNS))
            for n in _WORKERS
        }
        bare = {n: [_boot_bare(request, count=n) / n for _ in range(_BOOTS)] for n in _WORKERS}
    alone = min(runs[1], key=lambda run: run.seconds)
    took = {n: [run.seconds for run in ran] for n, ran in runs.items()}
    return (
        *_throughputs("workers", "C tests of a cell, {} workers", took, speed_up=_SPEED_UP),
        *_throughputs("bare", "boots of bare QEMU, {} at once", bare),
        *_calculated(alone),
    )


def bench_deterministic() -> tuple[Row, ...]:
    """Measure the spread of one timing, in boots that are to be the same and in restored guests."""
    with open_scratch() as folder:
        request = _make_request(folder)
        jobs = {mode: _make_job(request, folder, mode=mode) for mode in ("deterministic", "normal")}
        runs = {
            mode: [_run_cell(job, folder) for _ in range(_SPREAD_RUNS)]
            for mode, job in jobs.items()
        }
    rows = []
    for mode, ran in runs.items():
        timings = tuple(run.metric for run in ran)
        spread = (max(timings) - min(timings)) / statistics.median(timings) * 100
        rows += [
            Row(
                name=f"{mode}-metric",
                what=f"{_METRIC_TEST}, {mode}",
                samples=timings,
                unit="us/page",
            ),
            Row(
                name=f"{mode}-spread",
                what=f"its spread over {_SPREAD_RUNS} runs, {mode}",
                samples=(spread,),
                unit="%",
                limit=0.0 if mode == "deterministic" else None,
            ),
            Row(
                name=f"{mode}-wall",
                what=f"wall time of a run of it, {mode}",
                samples=tuple(run.seconds for run in ran),
            ),
        ]
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CellRun:
    """One run of a cell: wall time, seconds of each test with its guest, the first metric."""

    seconds: float
    tests_s: tuple[float, ...]
    metric: float


def _throughputs(
    name: str, what: str, took: Mapping[int, Sequence[float]], *, speed_up: float | None = None
) -> Iterator[Row]:
    """Compare the seconds that the same work took, by how many did it, with those of one."""
    cores = os.cpu_count() or 1
    alone = statistics.median(took[1])
    for n, seconds in took.items():
        yield Row(
            name=f"{name}-{n}",
            what=f"{what.format(n)}: throughput",
            samples=tuple(alone / each for each in seconds),
            versus="one",
            reference=(1.0,),
            unit="x",
            ratio_limit=speed_up * n if speed_up and 1 < n <= cores else None,
            is_floor=True,
        )


def _calculated(alone: _CellRun) -> Iterator[Row]:
    """Lay out the measured times on a host that has a core for every worker."""
    costs = Costs(worker_s=max(0.0, alone.seconds - sum(alone.tests_s)), handling_s=_HANDLING_S)
    for times, suite in ((1, "this suite"), (20, "20 times this suite")):
        load = [CellLoad(durations_s=alone.tests_s * times)]
        for point in simulate_curve(load, workers=_CURVE, costs=costs):
            yield Row(
                name=f"curve-{times}-{point.workers}",
                what=f"{suite}, {point.workers} cores: calculated throughput",
                samples=(point.speed_up,),
                versus="one core",
                reference=(1.0,),
                unit="x",
            )


def _make_request(folder: Path) -> BootRequest:
    store = open_store()
    kernel, image = make_kernel(store)
    accel = choose_accel(store, kernel.image, image, log_dir=folder, say=_tell)
    return BootRequest(
        kernel=kernel.image,
        initrd=image.initrd,
        topology=parse_topology(_ONE_GIB, filename="bench", name="one-gib"),
        accel=accel.name,
        log_dir=folder,
    )


def _make_job(request: BootRequest, folder: Path, *, mode: Mode = "normal") -> CellJob:
    kernel, image = make_kernel(open_store())
    return CellJob(
        name="bench",
        folder=folder / "cell",
        kernel=kernel.image,
        kernel_config=kernel.config,
        image=image,
        topology="two-nodes",
        accel=request.accel,
        features=(),
        tests=("migrate",),
        select=_METRIC_TEST,
        mode=mode,
    )


def _boot_and_save(request: BootRequest) -> tuple[float, float, float]:
    """Return seconds to boot, seconds to save, and the size of the state in MB."""
    began = time.monotonic()
    vm = boot(request)
    if isinstance(vm, BootFailure):
        raise click.ClickException(f"the guest does not boot: {vm.crash.title}")
    vm.run("true")
    booted = time.monotonic()
    path = request.log_dir / "state"
    path.unlink(missing_ok=True)
    save(vm.qmp, path)
    saved = time.monotonic()
    vm.close()
    return booted - began, saved - booted, path.stat().st_size / 1e6


def _use_restored(
    snapshots: Snapshots, state: SavedState
) -> tuple[float, float, float, float, float]:
    """Return the seconds of the steps of a restored guest."""
    began = time.monotonic()
    vm = snapshots.restore(state, log_name="restored")
    restored = time.monotonic() - began
    run = _time(lambda: vm.run("true"))
    first = time.monotonic() - began
    connect = _time(lambda: vm.guest)
    ssh = _time(lambda: vm.guest.run("true"))
    vm.close()
    return restored, first, run, connect, ssh


def _boot_bare(request: BootRequest, *, count: int = 1) -> float:
    """Boot ``count`` guests at once without the testbed; return seconds until all said their word.

    QEMU gets the arguments that the testbed would use.
    """
    began = time.monotonic()
    with ExitStack() as guests:
        for port in [_start_bare(request, guests) for _ in range(count)]:
            said = b""
            while READY not in said:
                chunk = port.recv(1 << 12)
                require(bool(chunk), "bare QEMU ended")
                said += chunk
        return time.monotonic() - began


def _start_bare(request: BootRequest, guests: ExitStack) -> socket.socket:
    """Start a guest that ends with ``guests``; return the socket that it speaks through."""
    port, port_theirs = socket.socketpair()
    guests.enter_context(port)
    with port_theirs, Path(os.devnull).open("r+b") as null:
        argv = build_argv(
            Machine(
                topology=request.topology,
                kernel=str(request.kernel),
                initrd=str(request.initrd),
                accel=request.accel,
                console_fd=null.fileno(),
                qmp_fd=null.fileno(),
                port_fd=port_theirs.fileno(),
            )
        )
        bare = [re.sub(r"^socket,id=(console|qmp),fd=\d+$", r"null,id=\1", word) for word in argv]
        process = proc.start(bare, pass_fds=(port_theirs.fileno(),))
    guests.callback(proc.end, process, grace_s=0.0)
    return port


def _run_cell(job: CellJob, folder: Path) -> _CellRun:
    """Run the tests of ``job`` in one pytest."""
    job = replace(job, folder=folder / f"cell-{time.monotonic_ns()}")
    job.folder.mkdir()
    done = proc.run(build_pytest_argv(job), cwd=catalog.guest_tests_dir(), check=False)
    require(done.returncode == 0, f"the tests fail:\n{done.output}")
    cases = [case for suite in JUnitXml.fromfile(str(job.folder / JUNIT_FILE)) for case in suite]
    events = EventFile(job.folder / EVENTS_FILE).read_new()
    metrics = [m for e in events if isinstance(e, Finished) for m in e.result.metrics]
    return _CellRun(
        seconds=done.seconds,
        tests_s=tuple(float(case.time) for case in cases),
        metric=metrics[0].value if metrics else 0.0,
    )


def _time(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _tell(line: str) -> None:
    Quiet().say(line)
