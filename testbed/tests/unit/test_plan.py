"""Plans and the names in them."""

import pytest

from testbed.core.plan import Catalog, check_names, parse_plan
from testbed.errors import PlanError
from testbed.host import catalog
from testbed.host.project import data_dir

GOOD = "kconfig: [base]\ntopologies: [two]\ntests: [migrate]\n"
NAMES = Catalog(
    kconfigs=("base", "numa"),
    series=("patches/a",),
    topologies=("two", "three-nodes"),
    tests=("migrate", "migrate/x.c"),
)


def test_what_is_left_out_has_a_default() -> None:
    plan = parse_plan(GOOD, filename="p.yaml")
    assert plan.source == "debian:6.12"
    assert plan.series == ()
    assert plan.mode == "normal"
    assert plan.seed == 0
    assert (plan.select, plan.marks) == ("", "")
    check_names(plan, NAMES, filename="p.yaml")


def test_a_deterministic_plan_may_have_a_seed() -> None:
    plan = parse_plan(GOOD + "mode: deterministic\nseed: 7\n", filename="p.yaml")
    assert (plan.mode, plan.seed) == ("deterministic", 7)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "topology: x\n", "p.yaml: unknown key 'topology'; allowed here: about, source"),
        (GOOD + "parallel: many\n", "p.yaml: key 'parallel': 'many' will not do"),
        (GOOD + "marks: [quick]\n", "p.yaml: key 'marks': ('quick',) will not do"),
        (GOOD + "mode: fast\n", "p.yaml: key 'mode': 'fast' will not do"),
        (GOOD + "mode: deterministic\nseed: -1\n", "p.yaml: key 'seed': -1 will not do"),
        (GOOD + "seed: 7\n", "p.yaml: seed: only `mode: deterministic` has one"),
        (GOOD + "series: patches/a\n", "p.yaml: key 'series': 'patches/a' will not do"),
        ("kconfig: [base]\ntests: [migrate]\n", "p.yaml: key 'topologies' is missing"),
    ],
)
def test_a_bad_plan_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, filename="p.yaml")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"topologies": ("two", "three-node")},
            (
                "p.yaml: key 'topologies[1]': 'three-node' is no topology"
                " (did you mean three-nodes?); allowed: two, three-nodes"
            ),
        ),
        ({"series": ("b",)}, "p.yaml: key 'series[0]': 'b' is no series; allowed: patches/a"),
        ({"kconfig": ("nuna",)}, "p.yaml: key 'kconfig[0]': 'nuna' is no kconfig fragment"),
        ({"tests": ("swap",)}, "p.yaml: key 'tests[0]': 'swap' is no path under guest-tests"),
    ],
)
def test_an_unknown_name_is_refused_with_what_is_allowed(
    change: dict[str, tuple[str, ...]], said: str
) -> None:
    plan = parse_plan(GOOD, filename="p.yaml").model_copy(update=change)
    with pytest.raises(PlanError) as caught:
        check_names(plan, NAMES, filename="p.yaml")
    assert str(caught.value).startswith(said)


def test_every_plan_of_the_project_is_valid() -> None:
    plans = sorted((data_dir() / "ci/plans").glob("*.yaml"))
    assert plans
    for path in plans:
        assert catalog.load_plan(path).about
