"""A run, from its request to its record: build, boot, test, compare, write down.

Nothing here prints: what there is to see goes to an :class:`Observer`. A run that was cut short,
by Ctrl-C or by kill -9, is gone on with by :func:`resume`.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from testbed import __version__
from testbed.core.assemble import find_unhosted
from testbed.core.capacity import count_guests, need_of
from testbed.core.compare import compare_cells
from testbed.core.deterministic_argv import find_obstacle
from testbed.core.eviction import describe
from testbed.core.exit_code import decide_exit
from testbed.core.junit import merge_junit
from testbed.core.placement import place_tests
from testbed.core.plan import Plan
from testbed.core.record import SCHEMA_VERSION, Role, RunRecord, dump_record
from testbed.core.request import RunRequest, SavedRun, dump_request, parse_request
from testbed.core.series import Series
from testbed.core.steps import find_culprits
from testbed.core.topology import Topology
from testbed.core.wishes import add_wishes
from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.accel import Accel, choose_accel, read_qemu_version
from testbed.host.admission import measure_host
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.cells import CellJob, CellOutcome, run_cells
from testbed.host.eviction import bound, read_keep
from testbed.host.facts import count_cores
from testbed.host.guest_image import build_guest_image
from testbed.host.guest_modules import add_modules
from testbed.host.harness import choose_harness
from testbed.host.run_dir import JUNIT_FILE, RECORD_FILE, REPORT_FILE, REQUEST_FILE, RunDir
from testbed.host.store import Store
from testbed.pipeline.footing import check_footing, name_kernels, name_machines
from testbed.pipeline.kernels import (
    BuiltKernel,
    Ground,
    build_kernels,
    name_patches,
    resolve_request,
)
from testbed.pipeline.observer import Observer
from testbed.pipeline.reach import check_notes, measure_run
from testbed.pipeline.recording import (
    keep_build_log,
    make_cells,
    make_steps,
    name_cell,
    read_host,
)
from testbed.report.html import render_report

_NOT_BOOTED: Final = Accel(name="none", reason="nothing was booted")


class RunInterruptedError(KeyboardInterrupt):
    """A run was ended by Ctrl-C; what it has finished is in ``folder``, ``command`` goes on."""

    def __init__(self, folder: Path, *, command: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.command = command or ("testbed", "run", "--resume", str(folder))
        super().__init__()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """The testbed at work on a run, from its start or from where it was cut short."""

    saved: SavedRun
    run_dir: RunDir
    topologies: tuple[Topology, ...]
    stack: tuple[Series, ...]
    ground: Ground
    qemu_version: str
    store: Store
    observer: Observer

    @property
    def plan(self) -> Plan:
        return self.saved.request.plan


def run(
    request: RunRequest, *, runs_dir: Path, store: Store, observer: Observer
) -> tuple[RunRecord, Path]:
    """Carry out ``request``; return its record and the folder that holds it.

    Raises :class:`testbed.errors.TestbedError` for what is no verdict on a kernel, and
    :class:`RunInterruptedError` for Ctrl-C.
    """
    now = datetime.now(UTC)
    stack, ground = resolve_request(request, say=observer.say)
    if request.each_patch and not stack:
        raise UserError("--each-patch goes with patches: the plan has no series, give --series")
    plan = add_wishes(
        request.plan, [series.meta for series in stack], is_narrowed=request.is_narrowed
    )
    request = request.model_copy(update={"plan": plan})
    topologies = tuple(catalog.load_topology(name) for name in plan.topologies)
    _check_mode(plan, topologies)
    qemu_version = read_qemu_version()
    run_dir = RunDir.create(runs_dir, started=now, name=request.plan_name)
    with run_dir.hold():
        job = _Job(
            saved=SavedRun(
                request=request,
                started=now.isoformat(timespec="seconds"),
                part_began_s=now.timestamp(),
            ),
            run_dir=run_dir,
            topologies=topologies,
            stack=stack,
            ground=ground,
            qemu_version=qemu_version,
            store=store,
            observer=observer,
        )
        return _work(job), run_dir.path


def _check_mode(plan: Plan, topologies: Sequence[Topology]) -> None:
    """Raise :class:`UserError` for a topology on which no run is like the other."""
    obstacles = [find_obstacle(one) for one in topologies if plan.mode == "deterministic"]
    if reason := next(filter(None, obstacles), ""):
        raise UserError(f"mode: deterministic: {reason}")


def resume(run_dir: RunDir, *, store: Store, observer: Observer) -> tuple[RunRecord, Path]:
    """Go on with a run that was cut short: a test that has its verdict is not run again.

    Raises as :func:`run` does, and :class:`UserError` for a run that is finished, that another
    testbed is at work on, or for which the kernels or anything else that its results rest on have
    changed since.
    """
    with run_dir.hold():
        if run_dir.is_finished:
            raise UserError(f"{run_dir.path}: this run is finished: there is nothing to resume")
        saved = _take_up(run_dir)
        request = saved.request
        if not Path(request.workdir).is_dir():
            raise UserError(f"{request.workdir}, where the run was started, is not there any more")
        with contextlib.chdir(request.workdir):  # names in a plan may be relative
            stack, ground = resolve_request(request, say=observer.say)
            job = _Job(
                saved=saved,
                run_dir=run_dir,
                topologies=tuple(catalog.load_topology(one) for one in request.plan.topologies),
                stack=stack,
                ground=ground,
                qemu_version=read_qemu_version(),
                store=store,
                observer=observer,
            )
            observer.say(f"resuming {run_dir.path.name}")
            return _work(job), run_dir.path


def _take_up(run_dir: RunDir) -> SavedRun:
    """Read what was asked for; the time until the last sign of life counts as spent."""
    filename = str(run_dir.path / REQUEST_FILE)
    saved = parse_request(run_dir.read(REQUEST_FILE), filename=filename)
    spent_s = saved.spent_s + max(0.0, run_dir.last_write_s() - saved.part_began_s)
    return saved.model_copy(update={"part_began_s": time.time(), "spent_s": round(spent_s, 3)})


def _work(job: _Job) -> RunRecord:
    """Carry out what is left of a run, from the request that is kept first to its record."""
    keep_bytes = read_keep()
    try:
        job.run_dir.write(REQUEST_FILE, dump_request(job.saved))
        record = _carry_out(job)
    except KeyboardInterrupt as err:
        raise RunInterruptedError(job.run_dir.path) from err
    if keep_bytes is not None:
        job.observer.say(describe(bound(job.store, keep_bytes), now_ns=time.time_ns())[-1])
    return record


def _carry_out(job: _Job) -> RunRecord:
    plan, saved, run_dir = job.plan, job.saved, job.run_dir
    began = time.monotonic()
    built = build_kernels(
        plan,
        job.stack,
        ground=job.ground,
        each_patch=saved.request.each_patch,
        store=job.store,
        observer=job.observer,
    )
    check_footing(saved, name_kernels(built), folder=run_dir.path)
    for kernel in built:
        keep_build_log(kernel, run_dir)
    accel, outcomes = _test(job, built)
    is_narrowed = saved.request.is_narrowed
    unhosted = () if is_narrowed else find_unhosted([one.events for one in outcomes])
    cells = make_cells(plan, built, outcomes, unhosted=unhosted)
    base, patched = (
        [cell for cell in cells if cell.kernel.role is role] for role in (Role.BASE, Role.PATCHED)
    )
    patches = name_patches(job.stack)
    steps = make_steps(built, cells)
    culprits = find_culprits(base, steps, patched, patches=patches) if steps else ()
    comparison = compare_cells(base, patched)
    exit_code, exit_reason = decide_exit(
        [*base, *patched], comparison, steps=steps, culprits=culprits
    )
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        id=run_dir.path.name,
        tool_version=__version__,
        command=saved.request.command,
        plan=saved.request.plan_name,
        started=saved.started,
        seconds=round(saved.spent_s + time.monotonic() - began, 3),
        host=read_host(accel, job.qemu_version),
        cells=(*base, *patched),
        comparison=comparison,
        exit_code=exit_code,
        exit_reason=exit_reason,
        mode=plan.mode,
        seed=plan.seed,
        patches=patches,
        steps=steps,
        culprits=culprits,
        reach=measure_run(plan, built, outcomes, run_dir=run_dir),
    )
    _write(record, outcomes, run_dir)
    return record


def _test(job: _Job, built: Sequence[BuiltKernel]) -> tuple[Accel, tuple[CellOutcome, ...]]:
    """Run the tests of every kernel on every topology; where base or patched is missing, none."""
    plan, store, observer = job.plan, job.store, job.observer
    kernels = [(one, one.outcome) for one in built if isinstance(one.outcome, Kernel)]
    if any(isinstance(one.outcome, BuildFailure) and one.role is not Role.STEP for one in built):
        return _NOT_BOOTED, ()
    base = kernels[0][1]
    check_notes(plan, built)
    harness = choose_harness(store, base.harness_dir, say=observer.say)
    image = build_guest_image(store, harness, say=observer.say)
    if base.modules:
        image = add_modules(store, image, base.modules)
    probe_dir = job.run_dir.path / "probe"
    accel = choose_accel(store, base.image, image, log_dir=probe_dir, say=observer.say)
    observer.say(f"accelerator: {accel.name} ({accel.reason})")
    _keep_footing(
        job,
        name_kernels(built)
        | name_machines(
            job.topologies, image=image, accel=accel.name, qemu_version=job.qemu_version
        ),
    )
    fitting = _count_fitting(job.topologies)
    at_once = min(plan.parallel or max(fitting), len(kernels) * len(fitting))
    jobs = [
        CellJob(
            name=name_cell(one.label, topology),
            folder=job.run_dir.cell_folder(name_cell(one.label, topology)),
            kernel=kernel.image,
            kernel_config=kernel.config if kernel.config.is_file() else None,
            image=image,
            topology=topology,
            accel=accel.name,
            features=one.features,
            tests=plan.tests,
            select=plan.select,
            marks=plan.marks,
            mode=plan.mode,
            seed=plan.seed,
            vmcore=plan.vmcore,
            gcov=plan.gcov,
            placement=place_tests(plan, [series.meta for series in job.stack], topology),
            workers=plan.parallel // at_once or fits,
        )
        for topology, fits in zip(plan.topologies, fitting, strict=True)
        for one, kernel in kernels
    ]
    return accel, run_cells(jobs, parallel=at_once, on_event=observer.cell_event)


def _keep_footing(job: _Job, footing: dict[str, str]) -> None:
    """Refuse to mix results that do not rest on the same; keep what they rest on."""
    check_footing(job.saved, footing, folder=job.run_dir.path)
    saved = job.saved.model_copy(update={"footing": footing})
    job.run_dir.write(REQUEST_FILE, dump_request(saved))


def _count_fitting(topologies: Sequence[Topology]) -> tuple[int, ...]:
    """Return for each topology how many tests on it are worth running at once, at least one.

    Each cell may have that many workers, though others run beside it: their guests are admitted one
    by one, and the last cell that runs can have the whole host. A plan's ``parallel`` instead is
    shared out between the cells, so that it bounds them all.
    """
    capacity, cores = measure_host(), count_cores()
    return tuple(min(cores, count_guests(capacity, need_of(one))) for one in topologies)


def _write(record: RunRecord, outcomes: Sequence[CellOutcome], run_dir: RunDir) -> None:
    """Write the run's files, the record last: it says that the run is finished."""
    junits = {outcome.job.name: outcome.junit for outcome in outcomes}
    run_dir.write(JUNIT_FILE, merge_junit([(c, junits.get(c.name)) for c in record.cells]))
    run_dir.write(REPORT_FILE, render_report(record, read_log=run_dir.read))
    run_dir.write(RECORD_FILE, dump_record(record))
    run_dir.point_latest()
