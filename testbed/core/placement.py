"""On which of a plan's topologies each test runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from testbed.core.applicability import explain_unhosted
from testbed.core.needs import Needs
from testbed.core.plan import Plan
from testbed.core.series import SeriesMeta
from testbed.core.topology import Topology


@dataclass(frozen=True, slots=True)
class Placement:
    """What a cell leaves to the cells of other topologies; as it stands, nothing.

    A test runs on one of the topologies ``before``, where it can. Tests that need a feature in
    ``here`` run in any case, and those that need one in ``elsewhere`` do not.
    """

    before: tuple[str, ...] = ()
    here: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


ALL: Final = Placement()


def place_tests(plan: Plan, metas: Iterable[SeriesMeta], topology: str) -> Placement:
    """Return what the cell on ``topology`` leaves to others.

    Of a plan that runs each test once, the tests that need a series run on all topologies that its
    series.yaml names, and on no other: it says on which machines the series is to be seen.
    """
    if plan.each_test != "once":
        return ALL
    here: list[str] = []
    elsewhere: list[str] = []
    for meta in metas:
        own = set(plan.topologies).intersection(meta.topologies)
        if own:
            (here if topology in own else elsewhere).extend(meta.provides)
    number = plan.topologies.index(topology)
    return Placement(plan.topologies[:number], tuple(here), tuple(elsewhere))


def explain_placed(needs: Needs, placement: Placement, before: Sequence[Topology]) -> str:
    """Return where a test with ``needs`` runs instead; empty if here.

    ``before`` are the topologies of the placement.
    """
    if found := set(needs.features).intersection(placement.elsewhere):
        return f"runs on the topologies that {', '.join(sorted(found))} asks for"
    if set(needs.features).intersection(placement.here):
        return ""
    host = next((one for one in before if not explain_unhosted(needs, one)), None)
    return f"runs on {host.name}" if host else ""
