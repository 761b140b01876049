"""The kernels of a request: the base, the base with the series on top, and those on the way."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from testbed.core.plan import Plan
from testbed.core.record import PatchRecord, Role
from testbed.core.request import RunRequest
from testbed.core.series import Series, leave_out, list_features, list_patches, take_patches
from testbed.errors import SeriesError
from testbed.host import catalog
from testbed.host.builder import Builder, BuildFailure, BuildRequest, Kernel
from testbed.host.commit_tree import resolve_commit
from testbed.host.harness import find_harness
from testbed.host.prebuilt import load_prebuilt
from testbed.host.series_spec import load_range, load_series_spec
from testbed.host.store import Store
from testbed.pipeline.observer import Observer

_DIGITS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What patches are put on: the plan's source, or in its place a tree, as it is or at a commit.

    ``image`` is a kernel that is built already; then nothing is built.
    """

    tree: Path | None = None
    commit: str | None = None
    image: Path | None = None
    image_config: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One kernel to build.

    ``patch`` is the last one in it, where there is one; those numbered in ``without`` are left out
    of the ones before. ``features`` is what its series provide.
    """

    role: Role
    series: tuple[Series, ...]
    patch: PatchRecord | None = None
    without: tuple[int, ...] = ()
    features: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``base``, ``patched``, or ``step-05`` after the fifth patch."""
        if self.role is not Role.STEP or self.patch is None:
            return str(self.role)
        less = "".join(f"-without-{number:0{_DIGITS}}" for number in self.without)
        return f"{self.role}-{self.patch.number:0{_DIGITS}}{less}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltKernel(Wanted):
    """One kernel of a request, and what came of building it."""

    outcome: Kernel | BuildFailure


def load_stack(plan: Plan) -> tuple[Series, ...]:
    """Read the series of a plan, in their order; raises :class:`testbed.errors.SeriesError`."""
    return tuple(load_series_spec(name) for name in plan.series)


def resolve_request(
    request: RunRequest, *, say: Callable[[str], None]
) -> tuple[tuple[Series, ...], Ground]:
    """Return the series of ``request`` and what they go onto; ``say`` gets notes on the former.

    A range of commits goes first, onto the commit that it starts from; the plan's series on top.
    Raises :class:`testbed.errors.SeriesError`, and :class:`testbed.errors.PlanError` for a
    series.yaml with names that are not known.
    """
    stack = load_stack(request.plan)
    tree = Path(request.tree) if request.tree else None
    # A branch may move between two builds, and between a run and its resumption.
    commit = resolve_commit(tree, request.commit) if tree and request.commit else None
    if request.git is not None and tree is not None:
        commits = load_range(request.git, tree=tree)
        stack, commit = (commits, *stack), commits.base_commit
    for series in stack:
        catalog.check_wishes(series)
        for note in series.notes:
            say(note)
        if series.base_commit and commit is None:
            say(f"{series.name}: made on commit {series.base_commit[:12]}, says its sender")
    return stack, Ground(
        tree=tree,
        commit=commit,
        image=Path(request.image) if request.image else None,
        image_config=Path(request.image_config) if request.image_config else None,
    )


def name_patches(stack: Sequence[Series]) -> tuple[PatchRecord, ...]:
    """Return the patches of all series, numbered from 1."""
    return tuple(
        PatchRecord(number=number, filename=Path(patch.filename).name, subject=patch.subject)
        for number, patch in enumerate(list_patches(stack), start=1)
    )


def build_kernels(
    plan: Plan,
    stack: Sequence[Series],
    *,
    ground: Ground,
    each_patch: bool = False,
    store: Store,
    observer: Observer,
) -> tuple[BuiltKernel, ...]:
    """Build the base, and with a ``stack`` of series the patched kernel.

    With ``each_patch`` those between come too, one after each patch. A base that does not build
    ends it; after a patch that does not build the next ones are still tried, and the first that
    builds once more without it. The base gets the fragments that the series ask for too: the
    patches are to be the only difference between them. Of a plan that does not compare, the series
    are part of the base.
    """
    if ground.image is not None:
        return (_take_image(plan, ground.image, ground.image_config, store, observer),)
    build = partial(_build_one, plan, ground=ground, store=store, observer=observer)
    if not plan.compare:
        features = list_features(stack, stack)
        return (build(Wanted(role=Role.BASE, series=tuple(stack), features=features)),)
    built = [build(want_kernel(stack, 0))]
    total = len(name_patches(stack))
    if not total or isinstance(built[0].outcome, BuildFailure):
        return tuple(built)
    unbuilt: list[int] = []
    for count in range(1 if each_patch else total, total + 1):
        built.append(build(want_kernel(stack, count)))
        if isinstance(built[-1].outcome, BuildFailure):
            unbuilt.append(count)
        elif unbuilt:
            built += _build_apart(stack, count, unbuilt, build=build, say=observer.say)
            unbuilt = []
    return tuple(built)


def want_kernel(stack: Sequence[Series], count: int, *, without: tuple[int, ...] = ()) -> Wanted:
    """Return the kernel with the first ``count`` patches, less those numbered in ``without``."""
    if not count:
        return Wanted(role=Role.BASE, series=())
    patches = name_patches(stack)
    part = leave_out(take_patches(stack, count), without)
    is_whole = count == len(patches) and not without
    return Wanted(
        role=Role.PATCHED if is_whole else Role.STEP,
        series=part,
        patch=patches[count - 1],
        without=without,
        features=list_features(part, stack),
    )


def _build_apart(
    stack: Sequence[Series],
    count: int,
    unbuilt: Sequence[int],
    *,
    build: Callable[[Wanted], BuiltKernel],
    say: Callable[[str], None],
) -> list[BuiltKernel]:
    """Build a patch without those before it that do not build: what it does, or they, is open.

    Where it needs them there is no such kernel.
    """
    try:
        one = build(want_kernel(stack, count, without=tuple(unbuilt)))
    except SeriesError as err:
        say(f"patch {count} needs {', '.join(map(str, unbuilt))}: {str(err).splitlines()[0]}")
        return []
    return [one] if isinstance(one.outcome, Kernel) else []


def _build_one(
    plan: Plan, wanted: Wanted, *, ground: Ground, store: Store, observer: Observer
) -> BuiltKernel:
    outcome = build_kernel(plan, wanted, ground=ground, store=store, observer=observer)
    observer.say(_describe_build(wanted, outcome))
    return BuiltKernel(
        role=wanted.role,
        series=wanted.series,
        patch=wanted.patch,
        without=wanted.without,
        features=wanted.features,
        outcome=outcome,
    )


def build_kernel(
    plan: Plan, wanted: Wanted, *, ground: Ground, store: Store, observer: Observer
) -> Kernel | BuildFailure:
    """Build one kernel of ``plan``, or find it in the cache."""
    builder = Builder(store, say=observer.say, on_progress=partial(observer.building, wanted.label))
    return builder.build(
        BuildRequest(
            source=plan.source,
            tree=ground.tree,
            commit=ground.commit,
            fragments=catalog.load_fragments(plan.kconfig),
            series=wanted.series,
            jobs=os.cpu_count() or 1,
        )
    )


def _take_image(
    plan: Plan, image: Path, config: Path | None, store: Store, observer: Observer
) -> BuiltKernel:
    """Return a kernel that was built elsewhere; its tests' headers are the plan's source's."""
    kernel = load_prebuilt(
        image,
        config,
        harness_dir=find_harness(store, plan.source),
        store=store,
        say=observer.say,
    )
    observer.say(f"kernel: {kernel.release}, built elsewhere: {image}")
    return BuiltKernel(role=Role.BASE, series=(), outcome=kernel)


def _describe_build(wanted: Wanted, outcome: Kernel | BuildFailure) -> str:
    if isinstance(outcome, BuildFailure):
        return f"{wanted.label} kernel: does not build: {outcome.error}\n  log: {outcome.log}"
    if outcome.is_cached:
        return f"{wanted.label} kernel: {outcome.release} from the cache, no compiler run"
    return (
        f"{wanted.label} kernel: {outcome.release} built in {outcome.build_seconds:.0f} s, "
        f"{outcome.compiled_files} files compiled"
    )
