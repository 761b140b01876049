"""What all mutants of a self test are tried on: the base, the tests that pass on it, the guests."""

import hashlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from testbed.core.assemble import collect_results
from testbed.core.capacity import count_guests, need_of
from testbed.core.events import BOOT_TEST, Event, Finished
from testbed.core.hints import Hints, read_hints
from testbed.core.mutant import Mutant
from testbed.core.placement import place_tests
from testbed.core.plan import Plan
from testbed.core.record import Role
from testbed.core.request import RunRequest
from testbed.core.result import Verdict
from testbed.core.selfcheck import Place, Seen, is_kill, says_something
from testbed.core.series import Series, list_features
from testbed.core.wishes import confine
from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.accel import choose_accel, read_qemu_version
from testbed.host.admission import measure_host
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.cells import CellJob, run_cells
from testbed.host.facts import count_cores
from testbed.host.guest_image import GuestImage, build_guest_image
from testbed.host.harness import choose_harness
from testbed.host.run_dir import RunDir
from testbed.host.store import Store
from testbed.pipeline.footing import name_machines
from testbed.pipeline.kernels import Ground, Wanted, build_kernel
from testbed.pipeline.observer import Observer
from testbed.pipeline.recording import name_cell
from testbed.pipeline.selfcheck import Terms

_MAX_TRIES: Final = 3
_DIGEST_CHARS: Final = 16
_NAME_CHARS: Final = 100


@dataclass(frozen=True, slots=True)
class _OnBase:
    """How a test ended on the base."""

    topology: str
    test: str
    verdict: str

    @property
    def place(self) -> Place:
        return Place(topology=self.topology, test=self.test)


class _KilledError(Exception):
    """A test has failed on a mutant: what else runs on it need not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """How tests are run: all that a job has in common with the others."""

    plan: Plan
    run_dir: RunDir
    image: GuestImage
    accel: str
    stack: tuple[Series, ...]

    def make_job(self, name: str, kernel: Kernel, topology: str) -> CellJob:
        """Return the job that runs all tests of the plan that ``topology`` can host."""
        plan = self.plan
        return CellJob(
            name=name,
            folder=self.run_dir.cell_folder(name),
            kernel=kernel.image,
            kernel_config=kernel.config,
            image=self.image,
            topology=topology,
            accel=self.accel,
            features=list_features(self.stack, self.stack),
            tests=plan.tests,
            select=plan.select,
            mode=plan.mode,
            seed=plan.seed,
            placement=place_tests(plan, [series.meta for series in self.stack], topology),
        )

    def run(
        self,
        jobs: Sequence[CellJob],
        observer: Observer | None = None,
        *,
        killers: Collection[Place] = (),
    ) -> tuple[Seen, ...]:
        """Run ``jobs``; the first of ``killers`` that fails ends them all."""
        topologies = {job.name: job.topology for job in jobs}
        events: dict[str, list[Event]] = {job.name: [] for job in jobs}

        def take(cell: str, event: Event) -> None:
            events[cell].append(event)
            if observer is not None:
                observer.cell_event(cell, event)
            if isinstance(event, Finished) and is_kill(event.result):
                place = Place(topology=topologies[cell], test=event.result.id)
                if place in killers:
                    raise _KilledError

        bound = self.plan.parallel
        fits = [_count_fitting(job.topology) for job in jobs]
        at_once = min(bound or max(fits), len(jobs))
        shared = [
            replace(job, workers=bound // at_once or fit)
            for job, fit in zip(jobs, fits, strict=True)
        ]
        with suppress(_KilledError):
            run_cells(shared, parallel=at_once, on_event=take)
        return tuple(
            Seen(place=Place(topology=job.topology, test=result.id), result=result)
            for job in jobs
            for result in collect_results(events[job.name])
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A base is built and tested; ``left_out`` are the tests that do not pass on it."""

    cells: _Cells
    ground: Ground
    store: Store
    observer: Observer
    digest: str
    terms: Terms
    left_out: tuple[str, ...]
    collected: Mapping[str, tuple[str, ...]]

    @property
    def topologies(self) -> tuple[str, ...]:
        """The names of the machines that tests run on."""
        return self.cells.plan.topologies

    def digest_mutant(self, mutant: Mutant) -> str:
        """Return what names all that the result of ``mutant`` rests on."""
        places = [f"{one.topology} {one.test}" for one in self.terms.places]
        parts = (self.digest, mutant.digest, str(self.terms.all_tests), *places)
        return _hash("\0".join(parts))

    def build(self, mutant: Mutant) -> Kernel | BuildFailure:
        """Build the base with the patches of ``mutant`` on top."""
        wanted = Wanted(role=Role.PATCHED, series=(*self.cells.stack, mutant.series))
        return build_kernel(
            self.cells.plan,
            wanted,
            ground=self.ground,
            store=self.store,
            observer=self.observer,
        )


@dataclass(kw_only=True)
class MutantRuns:
    """Runs tests on the kernel of ``mutant``; the logs of each batch have folders of their own."""

    bench: Bench
    mutant: Mutant
    _count: int = field(default=0, init=False)

    def __call__(
        self, kernel: Kernel, /, places: Sequence[Place], *, until_kill: bool
    ) -> tuple[Seen, ...]:
        """Return how ``places`` ended; with ``until_kill`` only those up to the first failure."""
        self._count += 1
        wanted: dict[str, list[str]] = {}
        for place in places:
            wanted.setdefault(place.topology, []).append(place.test)
        jobs = [self._make_job(kernel, topology, tests) for topology, tests in wanted.items()]
        for job in jobs:  # of a self test that was cut short
            shutil.rmtree(job.folder, ignore_errors=True)
        asked = frozenset(places)
        seen = self.bench.cells.run(jobs, killers=asked if until_kill else ())
        return tuple(one for one in seen if one.place in asked)

    def _make_job(self, kernel: Kernel, topology: str, tests: Sequence[str]) -> CellJob:
        collected = self.bench.collected[topology]
        cases = [test for test in tests if test != BOOT_TEST]
        if not cases:  # nothing is booted for no test
            cases = [next(test for test in collected if test != BOOT_TEST)]
        name = f"{self.mutant.name[:_NAME_CHARS]}-{self._count:02}"
        job = self.bench.cells.make_job(name_cell(name, topology), kernel, topology)
        own = list_features((self.mutant.series,), (self.mutant.series,))
        return replace(
            job,
            tests=tuple(dict.fromkeys(test.partition("::")[0] for test in cases)),
            features=(*job.features, *own),
            finished=tuple(test for test in collected if test not in {*cases, *tests}),
        )


def open_bench(
    request: RunRequest,
    ground: Ground,
    *,
    stack: tuple[Series, ...] = (),
    run_dir: RunDir,
    store: Store,
    observer: Observer,
    all_tests: bool,
) -> Bench:
    """Build the base with ``stack`` on it and run all tests on it, or recall how they ended.

    With a stack the tests are its own. Raises :class:`UserError` where the base does not build, or
    no test passes on it.
    """
    metas = [series.meta for series in stack]
    plan = confine(request.plan, metas, is_narrowed=request.is_narrowed) if stack else request.plan
    wanted = Wanted(role=Role.BASE, series=stack)
    base = build_kernel(plan, wanted, ground=ground, store=store, observer=observer)
    on_series = f" with {', '.join(series.name for series in stack)}" if stack else ""
    name = f"the base{on_series}"
    if isinstance(base, BuildFailure):
        raise UserError(f"{name} does not build: {base.error}\nlog: {base.log}")
    harness = choose_harness(store, base.harness_dir, say=observer.say)
    image = build_guest_image(store, harness, say=observer.say)
    log_dir = run_dir.path / "probe"
    accel = choose_accel(store, base.image, image, log_dir=log_dir, say=observer.say).name
    cells = _Cells(plan=plan, run_dir=run_dir, image=image, accel=accel, stack=stack)
    digest = _digest_ground(cells, base)
    seen = _recall_base(store, digest)
    if seen is None:
        observer.say(f"{name} first: a test that does not pass there kills nothing")
        seen = _test_base(cells, base, digest, observer)
        store.write_fact(_name_fact(digest), {"seen": [[*astuple(one)] for one in seen]})
    places = [one.place for one in seen if one.verdict == Verdict.PASSED]
    left_out = [one for one in seen if one.verdict != Verdict.PASSED]
    hosts = {place.topology for place in places if place.test != BOOT_TEST}
    if not hosts:
        raise UserError(f"no test of the plan passes on {name}: there is nothing to check")
    places = [place for place in places if place.topology in hosts]
    observer.say(f"{name}: {len(places)} tests pass, {len(left_out)} do not and are left out")
    return Bench(
        cells=cells,
        ground=ground,
        store=store,
        observer=observer,
        digest=digest,
        terms=Terms(places=tuple(places), hints=_load_hints(places), all_tests=all_tests),
        left_out=tuple(
            f"{one.test} on {one.topology}: {one.verdict}{on_series}" for one in left_out
        ),
        collected={
            topology: tuple(one.test for one in seen if one.topology == topology)
            for topology in plan.topologies
        },
    )


def _test_base(cells: _Cells, base: Kernel, digest: str, observer: Observer) -> tuple[_OnBase, ...]:
    """Return how each test ended on the base; one that is lost to the host is run again."""
    jobs = [
        cells.make_job(name_cell(f"base-{digest}", topology), base, topology)
        for topology in cells.plan.topologies
    ]
    for _ in range(_MAX_TRIES):
        seen = cells.run(jobs, observer)
        if all(says_something(one.result) for one in seen):
            break
    return tuple(
        _OnBase(one.place.topology, one.place.test, str(one.result.verdict)) for one in seen
    )


def _recall_base(store: Store, digest: str) -> tuple[_OnBase, ...] | None:
    """Return how each test ended on the base, where that is known."""
    rows: Any = store.read_fact(_name_fact(digest)).get("seen")
    try:
        return tuple(_OnBase(*row) for row in rows)
    except TypeError:  # not known, or not what was written
        return None


def _name_fact(digest: str) -> str:
    return f"selfcheck-{digest}"


def _digest_ground(cells: _Cells, base: Kernel) -> str:
    """Return what names all that the base's results rest on."""
    plan = cells.plan
    topologies = [catalog.load_topology(name) for name in plan.topologies]
    machines = name_machines(
        topologies, image=cells.image, accel=cells.accel, qemu_version=read_qemu_version()
    )
    asked = plan.model_dump(mode="json", exclude={"about", "parallel", "series", "vmcore"})
    return _hash(json.dumps([base.key, machines, asked], sort_keys=True))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGEST_CHARS]


def _load_hints(places: Sequence[Place]) -> dict[str, Hints]:
    """Read what the C files of the tests say about themselves."""
    root = catalog.guest_tests_dir()
    files = dict.fromkeys(place.test.partition("::")[0] for place in places)
    return {name: read_hints(_read(root / name)) for name in files if name.endswith(".c")}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _count_fitting(topology: str) -> int:
    """Return how many tests on ``topology`` are worth running at once, at least one."""
    fits = count_guests(measure_host(), need_of(catalog.load_topology(topology)))
    return min(count_cores(), fits)
