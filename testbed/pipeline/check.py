"""A check: what can be said of a series before anything is booted.

Nothing here prints: what there is to see goes to an :class:`Observer`. What is known from the
cache, kernels and single objects, is not compiled again.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from testbed.core.check import (
    CheckpatchCount,
    CheckReport,
    FindingKind,
    Stage,
    StageTime,
)
from testbed.core.checkpatch import CHECK, ERROR, WARNING
from testbed.core.plan import Plan
from testbed.core.series import Series, find_header_problems
from testbed.core.wishes import add_wishes
from testbed.errors import KconfigError, SeriesError, UserError
from testbed.host import catalog
from testbed.host.builder import Builder, BuildFailure, BuildRequest, Kernel
from testbed.host.checkpatch import SCRIPT, CheckpatchResult
from testbed.host.kbuild import X86_64
from testbed.host.store import Store
from testbed.pipeline.check_bench import MAX_INCLUDERS, Bench, Draft, Variant
from testbed.pipeline.check_objects import (
    check_options,
    check_sparse,
    check_variants,
    check_warnings,
)
from testbed.pipeline.observer import Observer

ALL_STAGES: Final = frozenset(str(stage) for stage in Stage)

# What is told as a variant's name, its fragment, make's ARCH.
_VARIANTS: Final = (
    ("!NUMA", "no-numa", X86_64),
    ("!MIGRATION", "no-migration", X86_64),
    ("!MEMORY_HOTPLUG", "no-memory-hotplug", X86_64),
    ("!SWAP", "no-swap", X86_64),
    ("32-bit", "32bit", "i386"),
)


def check(  # noqa: PLR0913 - what is checked, and where
    stack: Sequence[Series],
    *,
    plan: Plan,
    tree: Path | None,
    commit: str | None,
    store: Store,
    observer: Observer,
    only: Collection[str] = ALL_STAGES,
    max_includers: int = MAX_INCLUDERS,
) -> CheckReport:
    """Check a ``stack`` of series on the plan's source, or on a tree in its place.

    ``only`` are the stages to carry out; that it applies is always looked at. Raises
    :class:`UserError` for a stage that is none, an empty stack or a base whose options do not
    land, and :class:`testbed.errors.InfraError`; what is wrong with the series is told.
    """
    wished = add_wishes(plan, [one.meta for one in stack])
    bench = Bench(
        stack=tuple(stack),
        request=BuildRequest(
            source=plan.source,
            tree=tree,
            commit=commit,
            fragments=catalog.load_fragments(wished.kconfig),
            jobs=os.cpu_count() or 1,
        ),
        variants=load_variants(),
        make_builder=lambda what: Builder(
            store, say=observer.say, on_progress=partial(observer.building, what)
        ),
        say=observer.say,
        max_includers=max_includers,
    )
    return check_bench(bench, only=only)


def load_variants() -> tuple[Variant, ...]:
    """Return the configurations in which the touched files are compiled besides the plan's."""
    return tuple(
        Variant(name=name, fragments=catalog.load_fragments((fragment,)), arch=arch)
        for name, fragment, arch in _VARIANTS
    )


def check_bench(bench: Bench, *, only: Collection[str] = ALL_STAGES) -> CheckReport:
    """Carry out the stages of a check; see :func:`check`."""
    if unknown := sorted(set(only) - ALL_STAGES):
        allowed = ", ".join(Stage)
        raise UserError(f"{', '.join(unknown)}: no such stage of a check; there are {allowed}")
    if not bench.patches:
        raise UserError("there is no patch to check: give a series")
    draft = Draft.begin(bench.patches)
    times: list[StageTime] = []
    for stage, work in _STAGES.items():
        if stage not in only and stage is not Stage.APPLIES:
            continue
        began = time.monotonic()
        bench.say(f"check: {stage}")
        work(bench, draft)
        times.append(StageTime(stage=stage, seconds=round(time.monotonic() - began, 3)))
        if any(one.kind is FindingKind.DOES_NOT_APPLY for one in draft.findings):
            break
    return CheckReport(
        name=" + ".join(one.name for one in bench.stack),
        source=_name_source(bench.request),
        patches=tuple(draft.rows),
        variants=tuple(draft.variants),
        findings=tuple(draft.findings),
        notes=tuple(draft.notes),
        stages=tuple(times),
    )


def _name_source(request: BuildRequest) -> str:
    source = str(request.tree) if request.tree else request.source
    return f"{source} at {request.commit}" if request.commit else source


def _check_applies(bench: Bench, draft: Draft) -> None:
    builder = bench.make_builder("apply")
    try:
        applied = builder.apply(bench.request_at(len(bench.patches)))
    except SeriesError as err:
        _tell_misfit(bench, draft, err)
        return
    for number, one in enumerate(applied, start=1):
        draft.put(replace(draft.row(number), applies=True, notes=one.notes))


def _tell_misfit(bench: Bench, draft: Draft, error: SeriesError) -> None:
    """Find the first patch that does not apply: those before it do."""
    builder = bench.make_builder("apply")
    for number in range(1, len(bench.patches) + 1):
        try:
            applied = builder.apply(bench.request_at(number))
        except SeriesError as err:
            draft.put(replace(draft.row(number), applies=False))
            title, _, detail = str(err).partition("\n")
            draft.find(FindingKind.DOES_NOT_APPLY, title, number=number, detail=detail)
            return
        draft.put(replace(draft.row(number), applies=True, notes=applied[-1].notes))
    draft.find(FindingKind.DOES_NOT_APPLY, str(error))


def _check_headers(bench: Bench, draft: Draft) -> None:
    for number, patch in enumerate(bench.patches, start=1):
        problems = find_header_problems(patch)
        draft.put(replace(draft.row(number), header_problems=len(problems)))
        for problem in problems:
            draft.find(FindingKind.HEADER, problem, number=number)


def _check_style(bench: Bench, draft: Draft) -> None:
    results = bench.make_builder("checkpatch").check_patches(bench.request_at(0), bench.patches)
    if results is None:
        draft.note(f"checkpatch: the source has no {SCRIPT}")
        return
    for number, result in enumerate(results, start=1):
        _tell_style(draft, result, number=number)


def _tell_style(draft: Draft, result: CheckpatchResult, *, number: int) -> None:
    if result.trouble:
        draft.note(f"checkpatch: patch {number}: {result.trouble}")
        return
    levels = [one.level for one in result.messages]
    count = CheckpatchCount(
        errors=levels.count(ERROR), warnings=levels.count(WARNING), checks=levels.count(CHECK)
    )
    draft.put(replace(draft.row(number), checkpatch=count))
    for one in result.messages:
        if one.level != CHECK:
            draft.find(
                FindingKind.CHECKPATCH,
                f"{one.level.lower()}: {one}",
                number=number,
                is_blocking=one.level == ERROR,
            )


def _check_builds(bench: Bench, draft: Draft) -> None:
    """Build the kernel after each patch; one that does not build does not end it."""
    base = bench.make_builder("base").build(bench.request_at(0))
    if isinstance(base, BuildFailure):
        draft.find(
            FindingKind.DOES_NOT_BUILD,
            f"the base does not build, without any patch: {base.error}",
            detail=f"log:\n{base.log}",
        )
        return
    failures: dict[int, tuple[str, str]] = {}
    for number in range(1, len(bench.patches) + 1):
        label = f"patch {number}"
        failure = _find_failure(partial(_build, bench, number, label))
        draft.put(replace(draft.row(number), builds=failure is None))
        if failure is not None:
            failures[number] = failure
            bench.say(f"{label}: does not build: {failure[0]}")
    _tell_failures(draft, failures, last=len(bench.patches))


def _build(bench: Bench, number: int, label: str) -> Kernel | BuildFailure:
    outcome = bench.make_builder(label).build(bench.request_at(number))
    if isinstance(outcome, Kernel):
        how = "from the cache" if outcome.is_cached else f"{outcome.compiled_files} files compiled"
        bench.say(f"{label}: builds ({how})")
    return outcome


def _find_failure(build: Callable[[], Kernel | BuildFailure]) -> tuple[str, str] | None:
    """Return the first error of a build and where its log is; None where there is a kernel."""
    try:
        outcome = build()
    except KconfigError as err:  # the base's options landed
        title, _, detail = str(err).partition("\n")
        return title, detail
    return (outcome.error, f"log:\n{outcome.log}") if isinstance(outcome, BuildFailure) else None


def _tell_failures(draft: Draft, failures: dict[int, tuple[str, str]], *, last: int) -> None:
    """Tell each failure with what mends it; the same error in the next patches is the same one."""
    for number, (error, detail) in failures.items():
        if failures.get(number - 1, ("", ""))[0] == error:
            continue
        mended = next((n for n in range(number + 1, last + 1) if n not in failures), None)
        if mended is not None:
            title = f"patch {number} does not build alone; with patch {mended} it does: {error}"
        else:
            title = f"patch {number} does not build: {error}"
        draft.find(FindingKind.DOES_NOT_BUILD, title, number=number, detail=detail)


_STAGES: Final[dict[Stage, Callable[[Bench, Draft], None]]] = {
    Stage.APPLIES: _check_applies,
    Stage.HEADER: _check_headers,
    Stage.CHECKPATCH: _check_style,
    Stage.BUILDS: _check_builds,
    Stage.WARNINGS: check_warnings,
    Stage.KCONFIG: check_options,
    Stage.VARIANTS: check_variants,
    Stage.SPARSE: check_sparse,
}
