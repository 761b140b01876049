"""What a test declares of itself: read strictly, by globs over the names of its cases."""

import pytest

from testbed.core.declared import CoverageCell, Declared, Known, parse_markers
from testbed.core.needs import FileNeeds, parse_needs
from testbed.errors import PlanError

CASES = (
    "mbind.private.move",
    "mbind.private.hole",
    "mbind.shared.move",
    "mbind.shared.hole",
    "query.all",
)
FULL = """\
/*
 * mbind(2): where pages go.
 *
 * testbed:
 *   nodes: 2
 *   quick: ["mbind.*.move", query.all]
 *   contract:
 *     5: ["mbind.shared.*"]
 *     9: [query.all]
 *   promises:
 *     addresses-kept: ["mbind.private.m?ve"]
 *   covers:
 *     - {cases: "mbind.private.*", interface: [mbind-move], backing: [anon-private],
 *        condition: [quiet, hole]}
 *     - {cases: ["*.move"], interface: mbind-move, backing: thp, condition: quiet}
 *   known:
 *     - cases: [query.all]
 *       kernels: "<6.7"
 *       why: the status of the zero page is another
 *       commit: 5d4af6195c87
 */
int x;
"""
KNOWN = Known(kernels="<6.7", why="the status of the zero page is another", commit="5d4af6195c87")


def cell(backing: str, condition: str = "quiet") -> CoverageCell:
    return CoverageCell(interface="mbind-move", backing=backing, condition=condition)


def parse(*lines: str) -> FileNeeds:
    text = "".join(f" * {line}\n" for line in lines)
    return parse_needs(f"/*\n * A test.\n{text} */\n", filename="mbind.c")


def test_what_is_declared_of_each_case() -> None:
    needs = parse_needs(FULL, filename="mbind.c")
    needs.check_cases(CASES)
    assert needs.common.nodes == 2
    private = {cell("anon-private"), cell("anon-private", "hole")}
    assert needs.declare("mbind.private.move") == Declared(
        is_quick=True, promises=("addresses-kept",), cells=frozenset({*private, cell("thp")})
    )
    assert needs.declare("mbind.private.hole") == Declared(cells=frozenset(private))
    assert needs.declare("mbind.shared.move") == Declared(
        is_quick=True, contract=(5,), cells=frozenset({cell("thp")})
    )
    assert needs.declare("mbind.shared.hole") == Declared(contract=(5,))
    assert needs.declare("query.all") == Declared(is_quick=True, contract=(9,), known=(KNOWN,))


def test_nothing_declared_is_nothing() -> None:
    assert parse("testbed: {}").declare("a.b") == Declared()


def test_a_known_issue_is_one_of_some_kernels() -> None:
    declared = Declared(
        known=(
            Known(kernels=">=6.1,<6.7", why="first", commit="a"),
            Known(kernels="<6.10", why="second", commit="b"),
        )
    )
    first, second = declared.known
    assert declared.find_known("6.1.176") is first
    assert declared.find_known("6.8.0-rc1") is second
    assert declared.find_known("6.12.117") is None
    assert declared.find_known("") is None
    assert str(first) == "first (a)"


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("quick: []", ["'testbed.quick'", "at least 1"]),
        ("quick: [mbind*, 5]", ["'testbed.quick[1]'", "5"]),
        ("quick: ['mbind.[ab]']", ["'testbed.quick[0]'", "pattern"]),
        ("quick: {a: b}", ["'testbed.quick'"]),
        ("contract: {five: [a.b]}", ["'testbed.contract.five", "integer"]),
        ("contract: {0: [a.b]}", ["'testbed.contract", "greater than or equal to 1"]),
        ("contract: {5: []}", ["'testbed.contract", "at least 1"]),
        ("contract: [5]", ["'testbed.contract'"]),
        ("promises: {Kept: [a.b]}", ["'testbed.promises.Kept", "pattern"]),
        ("covers: {cases: a.b}", ["'testbed.covers'"]),
        (
            "covers: [{cases: a.b, interface: x, backing: x, condition: x, why: x}]",
            ["unknown key 'testbed.covers[0].why'", "interface, backing, condition, cases"],
        ),
        (
            "covers: [{cases: a.b, interface: x, backing: x}]",
            ["'testbed.covers[0].condition'", "missing"],
        ),
        (
            "covers: [{cases: a.b, interface: [], backing: x, condition: x}]",
            ["'testbed.covers[0].interface'", "at least 1"],
        ),
        (
            "known: [{cases: a.b, kernels: '6.7', why: x, commit: y}]",
            ["'testbed.known[0].kernels'", "'6.7'", "'<6.7'"],
        ),
        (
            "known: [{cases: a.b, kernels: '<6.7', why: x}]",
            ["'testbed.known[0].commit'", "missing"],
        ),
        (
            "known: [{cases: a.b, kernels: '<6.7', why: '', commit: y}]",
            ["'testbed.known[0].why'", "at least 1"],
        ),
        (
            'known: [{cases: a.b, kernels: "<6.7", why: "x\\ny", commit: y}]',
            ["'testbed.known[0].why'", "one line"],
        ),
        ("cases: {a.b: {quick: true}}", ["unknown key 'testbed.cases.a.b.quick'"]),
    ],
)
def test_what_is_not_understood_is_one_line_that_says_where(line: str, parts: list[str]) -> None:
    with pytest.raises(PlanError) as caught:
        parse("testbed:", f"  {line}")
    message = str(caught.value)
    assert message.startswith("mbind.c: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("line", "key", "glob"),
    [
        ("quick: ['mbind.*', 'mbnd.*']", "quick[1]", "mbnd.*"),
        ("contract: {5: [mbind.x]}", "contract.5[0]", "mbind.x"),
        ("promises: {kept: [MBIND.*]}", "promises.kept[0]", "MBIND.*"),
        ("covers: [{cases: a, interface: x, backing: x, condition: x}]", "covers[0].cases[0]", "a"),
        ("known: [{cases: a.b, kernels: '<6.7', why: x, commit: y}]", "known[0].cases[0]", "a.b"),
    ],
)
def test_a_glob_that_fits_no_case_is_an_error(line: str, key: str, glob: str) -> None:
    needs = parse("testbed:", f"  {line}")
    with pytest.raises(PlanError) as caught:
        needs.check_cases(["mbind.move", "mbind.hole"])
    assert str(caught.value) == (
        f"mbind.c: key 'testbed.{key}': {glob!r} fits no case of this file; "
        "its cases: mbind.move, mbind.hole"
    )


def test_markers_of_a_python_test() -> None:
    covers: list[dict[str, object]] = [
        {"interface": "mbind-move", "backing": ["thp", "ksm"], "condition": ("quiet",)},
        {"contract": [9, 5], "promises": "addresses-kept"},
        {"contract": [5]},
    ]
    known = [
        {"kernels": "<6.7", "why": "the status of the zero page is another", "commit": KNOWN.commit}
    ]
    assert parse_markers(covers, known, is_quick=True, filename="test_a.py::b") == Declared(
        is_quick=True,
        contract=(5, 9),
        promises=("addresses-kept",),
        cells=frozenset({cell("thp"), cell("ksm")}),
        known=(KNOWN,),
    )
    assert parse_markers([], [], is_quick=False, filename="test_a.py::b") == Declared()


@pytest.mark.parametrize(
    ("covers", "known", "said"),
    [
        ({"interfaces": "x"}, {}, "marker 'covers': unknown key 'interfaces'; allowed here: inter"),
        ({"interface": "x"}, {}, "marker 'covers': key 'backing' is missing"),
        ({"contract": 5}, {}, "marker 'covers': key 'contract': 5 will not do"),
        ({"contract": [0]}, {}, "marker 'covers': key 'contract[0]': 0 will not do"),
        ({}, {"kernels": "<6.7", "why": "x"}, "marker 'known': key 'commit' is missing"),
        ({}, {"kernels": "6", "why": "x", "commit": "y"}, "marker 'known': key 'kernels': '6' "),
    ],
)
def test_a_marker_that_is_not_understood_is_one_line(
    covers: dict[str, object], known: dict[str, object], said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        parse_markers([covers], [known] if known else [], is_quick=False, filename="t.py::b")
    assert str(caught.value).startswith(f"t.py::b: {said}")
    assert "\n" not in str(caught.value)
