"""What a plan comes to with the series that it is to run: what they need is added."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from testbed.core.plan import Plan
from testbed.core.series import SeriesMeta


def add_wishes(plan: Plan, metas: Sequence[SeriesMeta], *, is_narrowed: bool = False) -> Plan:
    """Return ``plan`` with what each series' series.yaml asks for; doing so again changes nothing.

    Added are kconfig fragments, topologies (unless the user took some by name, ``is_narrowed``),
    and tests: the series' own and those that it must not regress.
    """
    topologies = [] if is_narrowed else [name for meta in metas for name in meta.topologies]
    tests = [name for meta in metas for name in (*meta.tests, *meta.guards)]
    return plan.model_copy(
        update={
            "kconfig": _add(plan.kconfig, (name for meta in metas for name in meta.kconfig)),
            "topologies": _add(plan.topologies, topologies),
            "tests": _add_tests(plan.tests, tests),
        }
    )


def confine(plan: Plan, metas: Sequence[SeriesMeta], *, is_narrowed: bool = False) -> Plan:
    """Return ``plan`` with the series' own tests alone, on the topologies that the series name.

    Where they have no tests, or name no topologies, the plan's stay.
    """
    wished = add_wishes(plan, metas, is_narrowed=is_narrowed)
    tests = _add((), (name for meta in metas for name in meta.tests))
    named = () if is_narrowed else _add((), (name for meta in metas for name in meta.topologies))
    return wished.model_copy(
        update={"tests": tests or plan.tests, "topologies": named or plan.topologies}
    )


def _add(names: Sequence[str], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, *more)))


def _add_tests(tests: Sequence[str], more: Iterable[str]) -> tuple[str, ...]:
    """Leave out what lies in a folder that is there already: pytest would be told of it twice."""
    kept = list(tests)
    for name in more:
        folders = {str(parent) for parent in PurePosixPath(name).parents}
        if name not in kept and folders.isdisjoint(kept):
            kept.append(name)
    return tuple(kept)
