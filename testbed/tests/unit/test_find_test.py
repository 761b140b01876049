from dataclasses import replace

import pytest

from testbed.core.find_test import find_test
from testbed.core.record import Role
from testbed.core.result import Verdict
from testbed.errors import UserError
from testbed.tests.unit.records import MBIND, TEST_IDS, make_cell, make_run, make_test

ONE, TWO = f"{MBIND}::global.move", f"{MBIND}::global.move_all"
RUN = make_run(
    [
        make_cell([make_test(ONE), make_test(TWO)], role=Role.BASE),
        make_cell([make_test(ONE), make_test(TWO, Verdict.CRASHED)], role=Role.PATCHED),
    ]
)
NAMES = [cell.name for cell in RUN.cells]


@pytest.mark.parametrize("wanted", [TWO, "global.move_all", "mbind.c::global.move_all", "ve_all"])
def test_the_cell_is_taken_where_the_test_did_not_pass(wanted: str) -> None:
    found = find_test(RUN, wanted)
    assert (found.cell.name, found.test.id) == (NAMES[1], TWO)
    assert found.test.verdict is Verdict.CRASHED


def test_an_end_counts_more_than_a_part() -> None:
    assert find_test(RUN, "global.move", cell="base").test.id == ONE
    with pytest.raises(UserError, match=rf"^'move' may be any of: {ONE}, {TWO}$"):
        find_test(RUN, "move")


def test_a_cell_is_told_by_a_part_of_its_name() -> None:
    assert find_test(RUN, TWO, cell="base").cell.name == NAMES[0]
    with pytest.raises(UserError, match=f"no cell 'three' in this run; there are: {NAMES[0]}"):
        find_test(RUN, TWO, cell="three")


def test_a_test_that_ran_on_several_cells_wants_one_named() -> None:
    with pytest.raises(UserError) as caught:
        find_test(RUN, ONE)
    assert "say which with --cell" in str(caught.value)
    assert all(f"{name} (passed)" in str(caught.value) for name in NAMES)


def test_a_misspelt_test_is_answered_with_the_near_ones() -> None:
    with pytest.raises(UserError, match=f"no test .*; did you mean: .*{TWO}"):
        find_test(RUN, TWO.replace("move_all", "mvoe_all"))


def test_a_long_list_is_cut() -> None:
    run = make_run([make_cell([make_test(name) for name in TEST_IDS])])
    with pytest.raises(UserError, match=rf"and {len(TEST_IDS) - 8} more$"):
        find_test(run, "zzz")
    with pytest.raises(UserError, match="no test '' in this run"):
        find_test(run, "")


def test_a_run_without_tests_says_so() -> None:
    run = replace(RUN, cells=(make_cell(),))
    with pytest.raises(UserError, match=r"there are: none$"):
        find_test(run, "mbind")
