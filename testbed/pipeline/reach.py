"""Which lines of the kernel the tests of a run reached, where the plan asks for it."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from testbed.core.gcov import FileReach, Reason, parse_reasons
from testbed.core.plan import Plan
from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.builder import Kernel
from testbed.host.cells import CellOutcome
from testbed.host.gcov import COUNTERS_DIR, NOTES_DIR, measure_reach, merge
from testbed.host.run_dir import RunDir
from testbed.pipeline.kernels import BuiltKernel
from testbed.pipeline.recording import name_cell

_REASONS_FILE: Final = "unreached.yaml"


def check_notes(plan: Plan, built: Sequence[BuiltKernel]) -> None:
    """Raise :class:`UserError` where the last kernel does not count what the plan asks for."""
    notes = _find_notes(built)
    for path in plan.gcov:
        if notes is None or not (notes / path).with_suffix(".gcno").is_file():
            raise UserError(
                f"key 'gcov': the kernel counts nothing in {path}; give the plan the kconfig "
                "fragment `gcov`, and the series patches/gcov-mm for mm/ and for cpusets"
            )


def measure_run(
    plan: Plan,
    built: Sequence[BuiltKernel],
    outcomes: Sequence[CellOutcome],
    *,
    run_dir: RunDir,
) -> tuple[FileReach, ...]:
    """Return how much of the plan's ``gcov`` ran in the last kernel's cells.

    The sums of the counters stay in the run's folder, for gcov and what is built on it.
    """
    notes = _find_notes(built)
    names = {name_cell(built[-1].label, topology) for topology in plan.topologies}
    folders = [
        folder
        for outcome in outcomes
        if outcome.job.name in names
        for folder in sorted((outcome.job.folder / COUNTERS_DIR).glob("*"))
    ]
    if not plan.gcov or notes is None or not folders:
        return ()
    total = run_dir.path / COUNTERS_DIR
    shutil.rmtree(total, ignore_errors=True)  # of a run that was cut short here
    merge(folders, total)
    return measure_reach(total, notes, paths=plan.gcov, reasons=_load_reasons())


def _find_notes(built: Sequence[BuiltKernel]) -> Path | None:
    outcome = built[-1].outcome
    return outcome.image.parent / NOTES_DIR if isinstance(outcome, Kernel) else None


def _load_reasons() -> tuple[Reason, ...]:
    path = catalog.guest_tests_dir() / _REASONS_FILE
    return parse_reasons(catalog.read_text(path), filename=str(path))
