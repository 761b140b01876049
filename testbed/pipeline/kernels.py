"""The kernels of a request: the base, and the base with the series on top."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from testbed.core.plan import Plan
from testbed.core.record import Role
from testbed.core.series import Series
from testbed.host import catalog
from testbed.host.builder import Builder, BuildFailure, BuildRequest, Kernel
from testbed.host.series_dir import load_series
from testbed.host.store import Store
from testbed.pipeline.observer import Observer


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltKernel:
    """One kernel of a request, and what came of building it."""

    role: Role
    series: tuple[Series, ...]
    outcome: Kernel | BuildFailure


def load_stack(plan: Plan) -> tuple[Series, ...]:
    """Read the series of a plan, in their order; raises :class:`testbed.errors.SeriesError`."""
    return tuple(load_series(catalog.find_series(name)) for name in plan.series)


def build_kernels(
    plan: Plan, stack: Sequence[Series], *, tree: Path | None, store: Store, observer: Observer
) -> tuple[BuiltKernel, ...]:
    """Build the base, and with a ``stack`` of series the patched kernel; stop at a failure.

    The base gets the options that the series ask for too: the patches are to be the only
    difference between the two.
    """
    fragments = _add_fragments(catalog.load_fragments(plan.kconfig), stack)
    roles: list[tuple[Role, tuple[Series, ...]]] = [(Role.BASE, ())]
    if stack:
        roles.append((Role.PATCHED, tuple(stack)))
    built: list[BuiltKernel] = []
    for role, series in roles:
        builder = Builder(store, say=observer.say, on_progress=partial(observer.building, role))
        wanted = BuildRequest(
            source=plan.source,
            tree=tree,
            fragments=fragments,
            series=series,
            jobs=os.cpu_count() or 1,
        )
        outcome = builder.build(wanted)
        observer.say(_describe_build(role, outcome))
        built.append(BuiltKernel(role=role, series=series, outcome=outcome))
        if isinstance(outcome, BuildFailure):
            break
    return tuple(built)


def _add_fragments(
    fragments: tuple[tuple[str, str], ...], series: Sequence[Series]
) -> tuple[tuple[str, str], ...]:
    """Return the plan's fragments and those that the series ask for, each once."""
    known = {name for name, _ in fragments}
    asked = dict.fromkeys(name for one in series for name in one.meta.kconfig if name not in known)
    return (*fragments, *catalog.load_fragments(tuple(asked)))


def _describe_build(role: Role, outcome: Kernel | BuildFailure) -> str:
    if isinstance(outcome, BuildFailure):
        return f"{role} kernel: does not build: {outcome.error}\n  log: {outcome.log}"
    if outcome.is_cached:
        return f"{role} kernel: {outcome.release} from the cache, no compiler run"
    return (
        f"{role} kernel: {outcome.release} built in {outcome.build_seconds:.0f} s, "
        f"{outcome.compiled_files} files compiled"
    )
