from itertools import pairwise, product

import pytest

from testbed.core.compare import WORST_FIRST, classify_change, compare_cells, is_bad
from testbed.core.record import Change, ChangeKind, Role
from testbed.core.result import Verdict
from testbed.tests.unit.records import MEMORYLESS, TWO_NODES, make_cell, make_test

# The whole matrix, written out: a row a verdict on the base, a column a verdict on the patched.
# P still passing, R regressed, F fixed, f still failing, N new, n new and failing, G gone,
# s still skipped, k known, L lost, - no such pair.
COLUMNS: tuple[Verdict | None, ...] = (
    None,
    Verdict.SKIPPED,
    Verdict.PASSED,
    Verdict.KNOWN,
    Verdict.FAILED,
    Verdict.TIMED_OUT,
    Verdict.CRASHED,
    Verdict.BOOT_FAILED,
    Verdict.BUILD_FAILED,
    Verdict.LOST,
)
MATRIX = """
    - s N k n n n n n L
    s s N k n n n n n L
    G G P R R R R R R L
    G G F k R R R R R L
    G G F f f R R R R L
    G G F f f f f R R L
    G G F f f f f R R L
    G G F f f f f f R L
    G G F f f f f f f L
    L L L L L L L L L L
"""
LETTERS = {
    "P": ChangeKind.STILL_PASSING,
    "R": ChangeKind.REGRESSED,
    "F": ChangeKind.FIXED,
    "f": ChangeKind.STILL_FAILING,
    "N": ChangeKind.NEW,
    "n": ChangeKind.NEW_FAILING,
    "G": ChangeKind.GONE,
    "s": ChangeKind.STILL_SKIPPED,
    "k": ChangeKind.KNOWN,
    "L": ChangeKind.LOST,
}
EXPECTED = {
    (before, after): LETTERS[letter]
    for before, row in zip(COLUMNS, MATRIX.split("\n")[1:-1], strict=True)
    for after, letter in zip(COLUMNS, row.split(), strict=True)
    if letter != "-"
}


def test_the_matrix_names_every_verdict() -> None:
    assert set(COLUMNS) == {None, *Verdict}
    assert len(EXPECTED) == (len(Verdict) + 1) ** 2 - 1


@pytest.mark.parametrize(("before", "after"), list(EXPECTED))
def test_each_pair_of_verdicts_has_its_kind(before: Verdict | None, after: Verdict | None) -> None:
    assert classify_change(before, after) is EXPECTED[before, after]


def test_a_test_on_neither_side_is_no_change() -> None:
    with pytest.raises(ValueError, match="neither side"):
        classify_change(None, None)


@pytest.mark.parametrize("verdict", Verdict)
def test_the_same_verdict_is_never_a_regression(verdict: Verdict) -> None:
    assert classify_change(verdict, verdict) in {
        ChangeKind.STILL_PASSING,
        ChangeKind.STILL_FAILING,
        ChangeKind.STILL_SKIPPED,
        ChangeKind.KNOWN,
        ChangeKind.LOST,
    }


@pytest.mark.parametrize(("before", "after"), list(product(Verdict, Verdict)))
def test_a_regression_and_a_fix_do_not_look_alike(before: Verdict, after: Verdict) -> None:
    if classify_change(before, after) in {ChangeKind.REGRESSED, ChangeKind.FIXED}:
        assert classify_change(after, before) is not classify_change(before, after)


def test_what_is_bad_is_the_kernels_fault() -> None:
    good = {Verdict.PASSED, Verdict.SKIPPED, Verdict.KNOWN, Verdict.LOST}
    assert {v for v in Verdict if is_bad(v)} == set(Verdict) - good
    assert not is_bad(None)


def test_every_kind_has_a_place_in_the_order() -> None:
    assert sorted(WORST_FIRST) == sorted(ChangeKind)


def test_cells_are_compared_by_topology_and_test_with_the_worst_first() -> None:
    base = [
        make_cell([make_test("b"), make_test("a"), make_test("gone")], topology=TWO_NODES),
        make_cell([make_test("a", Verdict.FAILED)], topology=MEMORYLESS),
    ]
    patched = [
        make_cell([make_test("a")], topology=MEMORYLESS, role=Role.PATCHED),
        make_cell(
            [make_test("a", Verdict.FAILED), make_test("b", Verdict.CRASHED), make_test("new")],
            topology=TWO_NODES,
            role=Role.PATCHED,
        ),
    ]
    changes = compare_cells(base, patched)
    assert [(c.kind.value, c.topology, c.test) for c in changes] == [
        ("regressed", TWO_NODES, "a"),
        ("regressed", TWO_NODES, "b"),
        ("gone", TWO_NODES, "gone"),
        ("fixed", MEMORYLESS, "a"),
        ("new", TWO_NODES, "new"),
    ]
    assert changes[1] == Change(
        test="b",
        topology=TWO_NODES,
        kind=ChangeKind.REGRESSED,
        before=Verdict.PASSED,
        after=Verdict.CRASHED,
    )
    assert compare_cells(base[::-1], patched[::-1]) == changes


def test_the_order_is_by_kind_then_topology_then_test() -> None:
    verdicts = list(Verdict)
    topologies = ("z", "m", "a")
    base = [
        make_cell([make_test(f"{b}-{a}", b) for b, a in product(verdicts, verdicts)], topology=t)
        for t in topologies
    ]
    patched = [
        make_cell([make_test(f"{b}-{a}", a) for b, a in product(verdicts, verdicts)], topology=t)
        for t in topologies
    ]
    changes = compare_cells(base, patched)
    keys = [(WORST_FIRST.index(c.kind), c.topology, c.test) for c in changes]
    assert len(changes) == len(topologies) * len(verdicts) ** 2
    assert all(before < after for before, after in pairwise(keys))


@pytest.mark.parametrize(
    "runs", [(Verdict.PASSED, Verdict.FAILED), (Verdict.FAILED, Verdict.PASSED)]
)
def test_a_test_that_ran_twice_counts_with_its_worst_verdict(runs: tuple[Verdict, ...]) -> None:
    patched = make_cell([make_test("a", verdict) for verdict in runs], role=Role.PATCHED)
    (change,) = compare_cells([make_cell([make_test("a")])], [patched])
    assert change.kind is ChangeKind.REGRESSED


def test_one_side_alone_is_no_comparison() -> None:
    cells = [make_cell([make_test("a")])]
    assert compare_cells(cells, []) == ()
    assert compare_cells([], cells) == ()
