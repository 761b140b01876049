"""From what was built and tested to the parts of the record."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from testbed.core.assemble import (
    collect_results,
    fail_unhosted,
    find_boot_crash,
    root_logs,
)
from testbed.core.events import NotApplicable
from testbed.core.plan import Plan
from testbed.core.record import CellRecord, HostFacts, KernelRecord, Role, StepRecord
from testbed.core.result import LogFile, TestResult
from testbed.host.accel import Accel
from testbed.host.builder import Kernel
from testbed.host.cells import PYTEST_LOG, CellOutcome
from testbed.host.facts import read_total_mib
from testbed.host.kbuild import read_compiler
from testbed.host.run_dir import RunDir
from testbed.pipeline.kernels import BuiltKernel

_LOG_KINDS: Final = (
    (".console.log", "console"),
    (".qemu.log", "qemu"),
    (".qmp.jsonl", "qmp events"),
    (PYTEST_LOG, "pytest"),
)


def name_cell(label: str, topology: str) -> str:
    """Return the name of a cell, which is also its folder's, from its kernel's label."""
    return f"{label}-{Path(topology).stem}"


def make_cells(
    plan: Plan,
    built: Sequence[BuiltKernel],
    outcomes: Sequence[CellOutcome],
    *,
    unhosted: Sequence[NotApplicable],
) -> tuple[CellRecord, ...]:
    """Return the cells of the record; a kernel that does not build has cells without tests.

    The tests in ``unhosted`` fail on the first cell of every kernel.
    """
    by_name = {outcome.job.name: outcome for outcome in outcomes}
    failures = tuple(fail_unhosted(entry) for entry in unhosted)
    first = plan.topologies[0]
    return tuple(
        _make_cell(
            name_cell(one.label, topology),
            topology=topology,
            kernel=_describe_kernel(one),
            outcome=by_name.get(name_cell(one.label, topology)),
            unhosted=failures if topology == first else (),
        )
        for one in built
        for topology in plan.topologies
    )


def make_steps(built: Sequence[BuiltKernel], cells: Sequence[CellRecord]) -> tuple[StepRecord, ...]:
    """Return the kernels on the way from the base to the patched one, with their ``cells``."""
    return tuple(
        StepRecord(
            patch=one.patch,
            kernel=_describe_kernel(one),
            cells=tuple(cell for cell in cells if _is_of(cell, one)),
            without=one.without,
        )
        for one in built
        if one.role is Role.STEP and one.patch is not None
    )


def _is_of(cell: CellRecord, built: BuiltKernel) -> bool:
    is_same = cell.kernel.role is built.role and cell.kernel.key == built.outcome.key
    return is_same and isinstance(built.outcome, Kernel)


def keep_build_log(built: BuiltKernel, run_dir: RunDir) -> None:
    """Copy the log of a build into the run's folder: the cache may forget it."""
    log = built.outcome.log
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    run_dir.write(_name_build_log(built.label), text)


def read_host(accel: Accel, qemu_version: str) -> HostFacts:
    """Return the facts of this machine that a result may depend on."""
    return HostFacts(
        cores=os.cpu_count() or 1,
        memory_mib=read_total_mib(),
        system=platform.platform(),
        accel=accel.name,
        accel_reason=accel.reason,
        qemu_version=qemu_version,
        compiler=read_compiler(),
        python_version=platform.python_version(),
    )


def _make_cell(
    name: str,
    *,
    topology: str,
    kernel: KernelRecord,
    outcome: CellOutcome | None,
    unhosted: tuple[TestResult, ...],
) -> CellRecord:
    if outcome is None:
        return CellRecord(name=name, kernel=kernel, topology=topology, seconds=0.0, tests=())
    folder = RunDir.cell_name(name)
    results = collect_results(outcome.events)
    return CellRecord(
        name=name,
        kernel=kernel,
        topology=topology,
        seconds=round(outcome.seconds, 3),
        tests=(*(root_logs(result, folder) for result in results), *unhosted),
        boot_crash=find_boot_crash(outcome.events),
        logs=_list_logs(outcome.job.folder, folder),
    )


def _list_logs(path: Path, folder: str) -> tuple[LogFile, ...]:
    """Return the logs of a cell as a whole; those of single tests are with the tests."""
    names = sorted(entry.name for entry in path.iterdir())
    return tuple(
        LogFile(kind=kind, path=f"{folder}/{name}")
        for ending, kind in _LOG_KINDS
        for name in names
        if name.endswith(ending) and (name.startswith("vm-") or name == PYTEST_LOG)
    )


def _describe_kernel(built: BuiltKernel) -> KernelRecord:
    outcome = built.outcome
    kernel = outcome if isinstance(outcome, Kernel) else None
    return KernelRecord(
        role=built.role,
        key=outcome.key,
        source_id=outcome.source_id,
        series=tuple(series.name for series in built.series),
        patch_ids=outcome.patch_ids,
        kconfig=outcome.fragments,
        kconfig_hash=outcome.kconfig_hash,
        release=kernel.release if kernel else "",
        build_seconds=outcome.build_seconds,
        is_cached=kernel.is_cached if kernel else False,
        compiled_files=outcome.compiled_files,
        failure="" if isinstance(outcome, Kernel) else outcome.error,
        logs=(LogFile(kind="build", path=_name_build_log(built.label)),),
    )


def _name_build_log(label: str) -> str:
    return f"build/{label}.log"
