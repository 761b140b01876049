"""A run, from its request to its record: build, boot, test, compare, write down.

Nothing here prints: what there is to see goes to an :class:`Observer`.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from testbed import __version__
from testbed.core.assemble import find_unhosted
from testbed.core.compare import compare_cells
from testbed.core.exit_code import decide_exit
from testbed.core.junit import merge_junit
from testbed.core.plan import Plan
from testbed.core.record import SCHEMA_VERSION, Role, RunRecord, dump_record
from testbed.core.topology import Topology
from testbed.host import catalog
from testbed.host.accel import Accel, choose_accel, read_qemu_version
from testbed.host.builder import Kernel
from testbed.host.cells import CellJob, CellOutcome, run_cells
from testbed.host.facts import read_available_mib
from testbed.host.guest_image import build_guest_image
from testbed.host.harness import choose_harness
from testbed.host.run_dir import JUNIT_FILE, RECORD_FILE, REPORT_FILE, RunDir
from testbed.host.store import Store
from testbed.pipeline.kernels import BuiltKernel, build_kernels, load_stack
from testbed.pipeline.observer import Observer
from testbed.pipeline.recording import keep_build_log, make_cells, name_cell, read_host
from testbed.report.html import render_report

_GUEST_OVERHEAD_MIB: Final = 300  # QEMU's own memory and its translated code
_MEMORY_SHARE: Final = 0.8  # of what is available: others live here too
_NOT_BOOTED: Final = Accel(name="none", reason="nothing was booted")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run; ``command`` is how the user put it, ``tree`` a kernel tree of their own.

    ``is_narrowed`` says that the user took some of the plan's topologies: then a test that none of
    them can host was not asked for.
    """

    plan: Plan
    plan_name: str
    command: tuple[str, ...]
    runs_dir: Path
    tree: Path | None = None
    is_narrowed: bool = False


def run(request: RunRequest, *, store: Store, observer: Observer) -> tuple[RunRecord, Path]:
    """Carry out ``request``; return its record and the folder that holds it.

    Raises :class:`testbed.errors.TestbedError` for what is no verdict on a kernel.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    plan = request.plan
    topologies = tuple(catalog.load_topology(name) for name in plan.topologies)
    stack = load_stack(plan)
    qemu_version = read_qemu_version()
    run_dir = RunDir.create(request.runs_dir, started=started, name=request.plan_name)
    built = build_kernels(plan, stack, tree=request.tree, store=store, observer=observer)
    for kernel in built:
        keep_build_log(kernel, run_dir)
    accel, outcomes = _test(
        plan, built, topologies, run_dir=run_dir, store=store, observer=observer
    )
    unhosted = () if request.is_narrowed else find_unhosted([one.events for one in outcomes])
    cells = make_cells(plan, built, outcomes, unhosted=unhosted)
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
        host=read_host(accel, qemu_version),
        cells=cells,
        comparison=comparison,
        exit_code=exit_code,
        exit_reason=exit_reason,
    )
    _write(record, outcomes, run_dir)
    return record, run_dir.path


def _test(
    plan: Plan,
    built: Sequence[BuiltKernel],
    topologies: Sequence[Topology],
    *,
    run_dir: RunDir,
    store: Store,
    observer: Observer,
) -> tuple[Accel, tuple[CellOutcome, ...]]:
    """Run the tests of every kernel on every topology; where one does not build, none."""
    kernels = [(one, one.outcome) for one in built if isinstance(one.outcome, Kernel)]
    if len(kernels) < len(built):
        return _NOT_BOOTED, ()
    base = kernels[0][1]
    harness = choose_harness(store, base.harness_dir, say=observer.say)
    image = build_guest_image(store, harness, say=observer.say)
    probe_dir = run_dir.path / "probe"
    accel = choose_accel(store, base.image, image, log_dir=probe_dir, say=observer.say)
    observer.say(f"accelerator: {accel.name} ({accel.reason})")
    jobs = [
        CellJob(
            name=name_cell(one.role, topology),
            folder=run_dir.cell_folder(name_cell(one.role, topology)),
            kernel=kernel.image,
            kernel_config=kernel.config,
            image=image,
            topology=topology,
            accel=accel.name,
            features=tuple(name for series in one.series for name in series.meta.provides),
            tests=plan.tests,
            select=plan.select,
        )
        for topology in plan.topologies
        for one, kernel in kernels
    ]
    largest_mib = max(topology.boot_memory_mib for topology in topologies)
    parallel = plan.parallel or _count_fitting(largest_mib)
    return accel, run_cells(jobs, parallel=parallel, on_event=observer.cell_event)


def _count_fitting(guest_memory_mib: int) -> int:
    """Return how many guests the host has cores and memory for, at least one."""
    usable_mib = int(read_available_mib() * _MEMORY_SHARE)
    fitting = usable_mib // (guest_memory_mib + _GUEST_OVERHEAD_MIB)
    return max(1, min(os.cpu_count() or 1, fitting))


def _write(record: RunRecord, outcomes: Sequence[CellOutcome], run_dir: RunDir) -> None:
    junits = {outcome.job.name: outcome.junit for outcome in outcomes}
    run_dir.write(RECORD_FILE, dump_record(record))
    run_dir.write(JUNIT_FILE, merge_junit([(c, junits.get(c.name)) for c in record.cells]))
    run_dir.write(REPORT_FILE, render_report(record, read_log=run_dir.read))
    run_dir.point_latest()
