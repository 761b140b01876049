"""The main job, cold, warm and with a new series."""

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ci.bench_row import Row
from ci.bench_scratch import open_scratch, require
from testbed.core.record import RunRecord, load_record
from testbed.core.result import TestResult
from testbed.host import proc
from testbed.host.project import data_dir

_MUTANT: Final = "patches/selfcheck/wrong-node"
_FEW: Final = ("-k", "one_to_one", "-t", "two-nodes")
_WARM_RUNS: Final = 3
_SERIES_RUNS: Final = 3
_COLD_LIMIT_S: Final = 900.0
_WARM_LIMIT_S: Final = 60.0
_SERIES_LIMIT_S: Final = 30.0
_OVERHEAD_LIMIT: Final = 1.10


def bench_cold() -> tuple[Row, ...]:
    """Measure the quick plan from an empty cache, against make alone of its kernel."""
    with open_scratch() as folder:
        env = {"TESTBED_CACHE": str(folder / "cache"), "CCACHE_DIR": str(folder / "ccache")}
        seconds, record = _run(folder, env=env)
        base = next(cell.kernel for cell in record.cells)
        make_s = _make_alone(folder / "cache", base.key)
    return (
        Row(
            name="cold",
            what="ci/regress, empty cache",
            samples=(seconds,),
            versus="make bzImage of the base alone",
            reference=(make_s,),
            limit=_COLD_LIMIT_S,
        ),
        Row(
            name="build",
            what="base kernel built by the testbed",
            samples=(base.build_seconds,),
            versus="make bzImage of the base alone",
            reference=(make_s,),
            ratio_limit=_OVERHEAD_LIMIT,
        ),
    )


def bench_warm() -> tuple[Row, ...]:
    """Measure the quick plan with nothing changed, against the guest tests' own time in it."""
    samples, tests = [], []
    with open_scratch() as folder:
        _run(folder)
        for _ in range(_WARM_RUNS):
            seconds, record = _run(folder)
            require(all(cell.kernel.compiled_files == 0 for cell in record.cells), "compiled")
            samples.append(seconds)
            tests.append(_sum_tests(record))
    return (
        Row(
            name="warm",
            what="ci/regress, nothing changed",
            samples=tuple(samples),
            versus="its guest tests, one after the other",
            reference=tuple(tests),
            limit=_WARM_LIMIT_S,
        ),
    )


def bench_series() -> tuple[Row, ...]:
    """Measure a new series of one file in mm/, from the command to a tested guest."""
    samples, makes = [], []
    with open_scratch() as folder:
        for _ in range(_SERIES_RUNS):
            series = write_new_series(folder)
            seconds, record = _run(folder, "--series", str(series), *_FEW)
            patched = next(cell for cell in record.cells if cell.kernel.series)
            require(not patched.kernel.is_cached, "found in the cache")
            samples.append(seconds - max(_sum_tests_of(cell.tests) for cell in record.cells))
            makes.append(patched.kernel.build_seconds)
    return (
        Row(
            name="series",
            what="new one-file series, command to tested guest, less its tests",
            samples=tuple(samples),
            versus="its kernel's build within",
            reference=tuple(makes),
            limit=_SERIES_LIMIT_S,
        ),
    )


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


def _make_alone(cache: Path, key: str) -> float:
    """Return what make alone needs for the same source and configuration, without ccache."""
    (source,) = (cache / "work").glob("*/src")
    with open_scratch() as out:
        config = cache / "kernels" / key / "config"
        (out / ".config").write_bytes(config.read_bytes())
        make = ["make", "-s", "-C", str(source), f"O={out}"]
        proc.run([*make, "olddefconfig"])
        return proc.run([*make, f"-j{os.cpu_count()}", "bzImage"]).seconds


def write_new_series(folder: Path) -> Path:
    """Write a copy of the mutant that no cache has: one of its comments has the time in it."""
    source = data_dir() / _MUTANT
    target = folder / f"series-{time.time_ns()}"
    target.mkdir()
    for path in source.iterdir():
        text = path.read_text()
        fresh = re.sub(r"MUTANT: swap a destination", f"MUTANT {time.time_ns()}: swap one", text)
        (target / path.name).write_text(fresh)
    return target
