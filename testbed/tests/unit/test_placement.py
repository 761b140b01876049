"""Each test once: on the first topology that can host it; a series' own on those that it names."""

from testbed.core.needs import Needs
from testbed.core.placement import ALL, Placement, explain_placed, place_tests
from testbed.core.plan import Plan
from testbed.core.series import SeriesMeta
from testbed.host import catalog

PLAN = Plan(
    kconfig=("base",),
    topologies=("one-node", "two-nodes", "swap", "ring-of-four"),
    tests=("migrate",),
    each_test="once",
)


def make_meta(*topologies: str, feature: str = "new") -> SeriesMeta:
    return SeriesMeta(title="", why="", base=(), topologies=topologies, provides=(feature,))


def explain(needs: Needs, placement: Placement) -> str:
    before = [catalog.load_topology(name) for name in placement.before]
    return explain_placed(needs, placement, before)


def test_a_test_that_runs_once_runs_where_it_first_can() -> None:
    last = place_tests(PLAN, [], "ring-of-four")
    assert last == Placement(before=("one-node", "two-nodes", "swap"))
    assert explain(Needs(nodes=2), last) == "runs on two-nodes"
    assert explain(Needs(nodes=5), last) == ""
    assert explain(Needs(nodes=2), place_tests(PLAN, [], "two-nodes")) == ""
    assert explain(Needs(nodes=1), place_tests(PLAN, [], "one-node")) == ""


def test_a_test_that_runs_everywhere_is_left_to_nobody() -> None:
    plan = PLAN.model_copy(update={"each_test": "everywhere"})
    assert place_tests(plan, [make_meta("swap")], "ring-of-four") == ALL


def test_what_needs_a_series_runs_on_each_machine_that_the_series_names() -> None:
    metas = [make_meta("swap", "ring-of-four"), make_meta(feature="other")]
    needs = Needs(nodes=2, features=("new",))
    on = {name: explain(needs, place_tests(PLAN, metas, name)) for name in PLAN.topologies}
    elsewhere = "runs on the topologies that new asks for"
    assert on == {"one-node": elsewhere, "two-nodes": elsewhere, "swap": "", "ring-of-four": ""}
    other = Needs(nodes=2, features=("other",))
    assert explain(other, place_tests(PLAN, metas, "swap")) == "runs on two-nodes"


def test_machines_that_the_user_has_left_out_are_not_waited_for() -> None:
    plan = PLAN.model_copy(update={"topologies": ("one-node", "two-nodes")})
    placement = place_tests(plan, [make_meta("swap", "ring-of-four")], "two-nodes")
    assert explain(Needs(nodes=2, features=("new",)), placement) == ""
