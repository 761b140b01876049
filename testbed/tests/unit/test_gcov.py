"""What gcov says, function by function, and the reasons for what did not run."""

import json

import pytest

from testbed.core.gcov import FileReach, format_share, parse_reasons, read_gcov
from testbed.core.plan import parse_plan
from testbed.errors import PlanError
from testbed.host.project import data_dir

PLAN = "kconfig: [base]\ntopologies: [two]\ntests: [migrate]\n"
SOURCE = ("int move(int a)", "{", "\tif (a)", "\t\treturn 1;", "\treturn 0;", "}", "", "idle();")
REASONS = """
unreached:
  - {file: mm/migrate.c, function: mo*, text: return 0, why: Nobody asks for it.}
"""


def line(number: int, count: int, function: str, branches: tuple[int, ...] = ()) -> object:
    return {
        "line_number": number,
        "function_name": function,
        "count": count,
        "branches": [{"count": one, "throw": False, "fallthrough": False} for one in branches],
    }


def say(*files: object) -> str:
    return json.dumps({"gcc_version": "12.2.0", "files": files})


GCOV = say(
    {
        "file": "../src/mm/migrate.c",
        "functions": [
            {"name": "idle", "start_line": 8},
            {"name": "move", "start_line": 1},
        ],
        "lines": [
            line(1, 4, "move"),
            line(3, 4, "move", (4, 0)),
            line(4, 4, "move"),
            line(5, 0, "move"),
            line(8, 0, "idle"),
            line(8, 0, "idle"),
        ],
    },
    {
        "file": "../src/include/linux/mm.h",
        "functions": [{"name": "inlined", "start_line": 3}],
        "lines": [line(3, 9, "inlined")],
    },
)


def read(reasons: str = "unreached: []") -> FileReach:
    told = parse_reasons(reasons, filename="unreached.yaml")
    return read_gcov(GCOV, path="mm/migrate.c", source=SOURCE, reasons=told)


def test_functions_come_in_their_order_and_headers_are_left_out() -> None:
    reach = read()
    assert [one.name for one in reach.functions] == ["move", "idle"]
    assert reach.lines == (3, 5)
    assert reach.branches == (1, 2)


def test_a_line_that_is_told_twice_counts_once() -> None:
    idle = read().functions[1]
    assert (idle.lines, idle.lines_reached) == (1, 0)
    assert [(one.number, one.text) for one in idle.unreached] == [(8, "idle();")]


def test_a_reason_is_given_to_the_lines_that_it_means() -> None:
    assert read().unexplained == 2
    reach = read(REASONS)
    assert reach.unexplained == 1
    assert [one.why for one in reach.functions[0].unreached] == ["Nobody asks for it."]
    assert [one.why for one in reach.functions[1].unreached] == [""]


def test_a_reason_has_to_be_given() -> None:
    with pytest.raises(PlanError, match="why"):
        parse_reasons("unreached: [{file: mm/ksm.c}]", filename="unreached.yaml")


def test_the_reasons_that_the_suite_comes_with_are_of_files_that_its_plan_looks_at() -> None:
    reasons = (data_dir() / "guest-tests/unreached.yaml").read_text(encoding="utf-8")
    plan = (data_dir() / "ci/plans/gcov.yaml").read_text(encoding="utf-8")
    told = parse_reasons(reasons, filename="unreached.yaml")
    assert {one.file for one in told} == set(parse_plan(plan, filename="gcov.yaml").gcov)
    assert all(one.why.endswith(".") for one in told)


def test_shares_are_told_in_percent() -> None:
    assert format_share(81, 90) == "81 of 90 (90.0 %)"
    assert format_share(0, 0) == "-"


@pytest.mark.parametrize("path", ["../etc/x.c", "/etc/x.c", "mm/../x.c", "mm/migrate.h", "a b.c"])
def test_a_plan_names_sources_inside_the_tree(path: str) -> None:
    with pytest.raises(PlanError, match="gcov"):
        parse_plan(f"{PLAN}gcov: ['{path}']\n", filename="p.yaml")


def test_a_deterministic_guest_is_not_asked_for_counters() -> None:
    with pytest.raises(PlanError, match="asks nothing of a guest"):
        parse_plan(f"{PLAN}gcov: [mm/ksm.c]\nmode: deterministic\n", filename="p.yaml")
    assert parse_plan(f"{PLAN}gcov: [mm/ksm.c]\n", filename="p.yaml").gcov == ("mm/ksm.c",)
