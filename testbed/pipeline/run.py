"""A run, from its request to its record: build, boot, test, compare, write down.

Nothing here prints: what there is to see goes to an :class:`Observer`.
"""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from testbed import __version__
from testbed.core.assemble import (
    collect_results,
    fail_unhosted,
    find_boot_crash,
    find_unhosted,
    root_logs,
)
from testbed.core.compare import compare_cells
from testbed.core.exit_code import decide_exit
from testbed.core.junit import merge_junit
from testbed.core.plan import Plan
from testbed.core.record import (
    SCHEMA_VERSION,
    CellRecord,
    HostFacts,
    KernelRecord,
    Role,
    RunRecord,
    dump_record,
)
from testbed.core.result import LogFile, TestResult
from testbed.host import catalog
from testbed.host.accel import Accel, choose_accel, read_qemu_version
from testbed.host.builder import BuildFailure, Kernel, read_compiler
from testbed.host.cells import PYTEST_LOG, CellJob, CellOutcome, run_cells
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.run_dir import RunDir
from testbed.host.store import Store
from testbed.pipeline.kernels import BuiltKernel, build_kernels, load_stack
from testbed.pipeline.observer import Observer
from testbed.report.html import render_report

_GUEST_OVERHEAD_MIB: Final = 300  # QEMU's own memory and its translated code
_MEMORY_SHARE: Final = 0.8  # of what is available: the page cache has builds to serve too


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run; ``command`` is how the user put it, ``tree`` a kernel tree of their own."""

    plan: Plan
    plan_name: str
    command: tuple[str, ...]
    runs_dir: Path
    tree: Path | None = None


def run(request: RunRequest, *, store: Store, observer: Observer) -> tuple[RunRecord, Path]:
    """Carry out ``request``; return its record and the folder that holds it."""
    began, started = time.monotonic(), datetime.now(UTC)
    plan = request.plan
    topologies = [catalog.load_topology(name) for name in plan.topologies]
    stack = load_stack(plan)
    qemu_version = read_qemu_version()
    run_dir = RunDir.create(request.runs_dir, started=started, name=request.plan_name)
    built = build_kernels(plan, stack, tree=request.tree, store=store, observer=observer)
    for kernel in built:
        _keep_build_logs(kernel, run_dir)
    accel = Accel(name="none", reason="nothing was booted")
    outcomes: tuple[CellOutcome, ...] = ()
    ready = [k.outcome for k in built if isinstance(k.outcome, Kernel)]
    if len(ready) == len(built):
        base = ready[0]
        image = build_guest_image(store, base.harness_dir, say=observer.say)
        accel = choose_accel(
            store, base.image, image, log_dir=run_dir.path / "probe", say=observer.say
        )
        observer.say(f"accelerator: {accel.name} ({accel.reason})")
        jobs = _make_jobs(plan, built, image=image, accel=accel, run_dir=run_dir)
        parallel = plan.parallel or _count_fitting(max(t.boot_memory_mib for t in topologies))
        outcomes = run_cells(jobs, parallel=parallel, on_event=observer.cell_event)
    cells = _make_cells(plan, built, outcomes)
    comparison = compare_cells(
        [cell for cell in cells if cell.kernel.role is Role.BASE],
        [cell for cell in cells if cell.kernel.role is Role.PATCHED],
    )
    exit_code, exit_reason = decide_exit(cells, comparison)
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        id=run_dir.path.name,
        tool_version=__version__,
        command=request.command,
        plan=request.plan_name,
        started=started.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 3),
        host=_read_host(accel, qemu_version),
        cells=cells,
        comparison=comparison if stack else (),
        exit_code=exit_code,
        exit_reason=exit_reason,
    )
    _write(record, outcomes, run_dir)
    return record, run_dir.path


def _count_fitting(guest_memory_mib: int) -> int:
    """Return how many guests the host has cores and memory for, at least one."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 << 20)
    fitting = int(available * _MEMORY_SHARE) // (guest_memory_mib + _GUEST_OVERHEAD_MIB)
    return max(1, min(os.cpu_count() or 1, fitting))


def _make_jobs(
    plan: Plan, built: Sequence[BuiltKernel], *, image: GuestImage, accel: Accel, run_dir: RunDir
) -> list[CellJob]:
    """Return a job a cell: every kernel on every topology."""
    return [
        CellJob(
            name=_name_cell(kernel.role, topology),
            folder=run_dir.cell_folder(_name_cell(kernel.role, topology)),
            kernel=kernel.outcome.image,
            kernel_config=kernel.outcome.config,
            image=image,
            topology=topology,
            accel=accel.name,
            features=tuple(f for one in kernel.series for f in one.meta.provides),
            tests=plan.tests,
            select=plan.select,
        )
        for topology in plan.topologies
        for kernel in built
        if isinstance(kernel.outcome, Kernel)
    ]


def _name_cell(role: Role, topology: str) -> str:
    return f"{role}-{Path(topology).stem}"


def _make_cells(
    plan: Plan, built: Sequence[BuiltKernel], outcomes: Sequence[CellOutcome]
) -> tuple[CellRecord, ...]:
    """Return the cells of the record; a kernel that does not build has cells without tests."""
    by_name = {outcome.job.name: outcome for outcome in outcomes}
    unhosted = tuple(fail_unhosted(e) for e in find_unhosted([o.events for o in outcomes]))
    return tuple(
        _make_cell(kernel, topology, by_name.get(_name_cell(kernel.role, topology)), extra)
        for kernel in built
        for topology, extra in zip(
            plan.topologies, (unhosted, *((),) * len(plan.topologies)), strict=False
        )
    )


def _make_cell(
    built: BuiltKernel, topology: str, outcome: CellOutcome | None, unhosted: tuple[TestResult, ...]
) -> CellRecord:
    name = _name_cell(built.role, topology)
    kernel = _describe_kernel(built)
    if outcome is None:
        return CellRecord(name=name, kernel=kernel, topology=topology, seconds=0.0, tests=())
    folder = RunDir.cell_name(name)
    return CellRecord(
        name=name,
        kernel=kernel,
        topology=topology,
        seconds=round(outcome.seconds, 3),
        tests=(*(root_logs(r, folder) for r in collect_results(outcome.events)), *unhosted),
        boot_crash=find_boot_crash(outcome.events),
        logs=tuple(
            LogFile(kind=_LOG_KINDS.get(path.suffix, "log"), path=f"{folder}/{path.name}")
            for path in sorted(outcome.job.folder.iterdir())
            if path.name == PYTEST_LOG or path.name.startswith("vm-")
        ),
    )


_LOG_KINDS: Final[Mapping[str, str]] = {".jsonl": "qmp events", ".xml": "junit"}


def _describe_kernel(built: BuiltKernel) -> KernelRecord:
    outcome = built.outcome
    failed = isinstance(outcome, BuildFailure)
    return KernelRecord(
        role=built.role,
        key=outcome.key,
        source_id=outcome.source_id,
        series=tuple(one.name for one in built.series),
        patch_ids=tuple(patch.patch_id for one in built.series for patch in one.patches),
        kconfig=outcome.fragments,
        kconfig_hash=outcome.kconfig_hash,
        release="" if failed else outcome.release,
        build_seconds=0.0 if failed else round(outcome.build_seconds, 3),
        is_cached=False if failed else outcome.is_cached,
        compiled_files=0 if failed or outcome.is_cached else outcome.compiled_files,
        failure=str(outcome.error) if failed else "",
        logs=(LogFile(kind="build", path=_name_build_log(built.role)),),
    )


def _name_build_log(role: Role) -> str:
    return f"build/{role}.log"


def _keep_build_logs(built: BuiltKernel, run_dir: RunDir) -> None:
    log = built.outcome.log
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    run_dir.write(_name_build_log(built.role), text)


def _read_host(accel: Accel, qemu_version: str) -> HostFacts:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 << 20)
    return HostFacts(
        cores=os.cpu_count() or 1,
        memory_mib=memory,
        system=platform.platform(),
        accel=accel.name,
        accel_reason=accel.reason,
        qemu_version=qemu_version,
        compiler=read_compiler(),
        python_version=platform.python_version(),
    )


def _write(record: RunRecord, outcomes: Sequence[CellOutcome], run_dir: RunDir) -> None:
    junits = {outcome.job.name: outcome.junit for outcome in outcomes}
    run_dir.write("record.json", dump_record(record))
    run_dir.write("junit.xml", merge_junit([(c, junits.get(c.name)) for c in record.cells]))
    run_dir.write("report.html", render_report(record, read_log=run_dir.read))
    run_dir.point_latest()
