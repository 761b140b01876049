"""What a plan comes to with the series that it runs, and with their tests alone."""

from testbed.core.plan import Plan
from testbed.core.series import SeriesMeta
from testbed.core.wishes import add_wishes, confine

PLAN = Plan(kconfig=("base",), topologies=("two-nodes",), tests=("migrate", "cpuset/move.c"))
META = SeriesMeta(
    title="",
    why="",
    base=(),
    kconfig=("swap", "base"),
    topologies=("swap",),
    tests=("series/x",),
    guards=("migrate/move_pages.c", "hotplug"),
)


def test_what_a_series_needs_is_added_once() -> None:
    plan = add_wishes(PLAN, [META])
    assert plan.kconfig == ("base", "swap")
    assert plan.topologies == ("two-nodes", "swap")
    assert plan.tests == ("migrate", "cpuset/move.c", "series/x", "hotplug")
    assert add_wishes(plan, [META]) == plan
    assert add_wishes(PLAN, [META], is_narrowed=True).topologies == ("two-nodes",)


def test_a_series_alone_has_its_own_tests_and_machines() -> None:
    plan = confine(PLAN, [META])
    assert (plan.kconfig, plan.topologies) == (("base", "swap"), ("swap",))
    assert plan.tests == ("series/x",)
    assert confine(PLAN, [META], is_narrowed=True).topologies == ("two-nodes",)


def test_what_a_series_does_not_say_stays_the_plan_s() -> None:
    bare = SeriesMeta(title="", why="", base=())
    assert confine(PLAN, [bare]) == PLAN
