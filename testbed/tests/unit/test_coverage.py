"""What the tests cover: the matrix, the contract, the promises."""

import json
from io import StringIO

import pytest
from rich.console import Console

from testbed.core.coverage import (
    Coverage,
    CoverageReport,
    State,
    compute_coverage,
    parse_coverage,
)
from testbed.core.coverage_json import dump_coverage
from testbed.core.declared import (
    CoverageCell,
    Declared,
    DeclaredTest,
    Known,
    dump_tests,
    load_tests,
)
from testbed.core.needs import parse_needs
from testbed.errors import PlanError
from testbed.host import catalog
from testbed.report.coverage import render_coverage

TEXT = """\
axes:
  interface: {move: it moves, query: it asks, attach: it attaches}
  backing: {anon: plain, zero: the zero page}
  condition: {quiet: nothing else, full: the target is full, bad-node: no node}
impossible:
  - {interface: [query], condition: [full, bad-*], why: a query has no target}
  - {interface: [attach], backing: [zero], why: nothing to attach}
  - {interface: [attach], backing: [anon], condition: [bad-node], why: no node is named}
contract: {9: queries, 5: moves, 18: the parent}
promises: {addresses-kept: addresses do not change, steps-in-order: the steps}
"""
COVERAGE = parse_coverage(TEXT, filename="c.yaml")


def cell(interface: str, backing: str, condition: str = "quiet") -> CoverageCell:
    return CoverageCell(interface=interface, backing=backing, condition=condition)


def declare(*cells: CoverageCell, **others: object) -> Declared:
    return Declared(cells=frozenset(cells), **others)  # type: ignore[arg-type]  # the rest of it


KNOWN = Known(kernels="<6.7", why="it is another", commit="5d4af6195c87")
TESTS = (
    DeclaredTest(
        id="a.c::move.all",
        declared=declare(cell("move", "anon"), cell("move", "zero"), is_quick=True, contract=(5,)),
    ),
    DeclaredTest(
        id="a.c::move.full",
        declared=declare(
            cell("move", "anon"), cell("move", "zero", "full"), promises=("addresses-kept",)
        ),
    ),
    DeclaredTest(
        id="test_b.py::test_it",
        declared=declare(cell("query", "anon"), contract=(5, 9), known=(KNOWN,)),
    ),
    DeclaredTest(id="c.c::nothing", declared=Declared()),
)


def compute(*tests: DeclaredTest, coverage: Coverage = COVERAGE) -> CoverageReport:
    return compute_coverage(coverage, tests or TESTS)


def states(report: CoverageReport, side: int) -> dict[tuple[str, str], str]:
    """Return each square as a number of tests, or its state."""
    return {
        place: str(len(square.tests) or square.state)
        for place, square in report.tables[side].squares.items()
    }


def test_a_square_of_a_backing_is_of_what_is_quiet() -> None:
    assert states(compute(), 0) == {
        ("move", "anon"): "2",
        ("move", "zero"): "1",
        ("query", "anon"): "1",
        ("query", "zero"): "open",
        ("attach", "anon"): "open",
        ("attach", "zero"): "impossible",
    }


def test_a_square_of_a_condition_is_of_any_backing() -> None:
    report = compute()
    assert states(report, 1) == {
        ("move", "quiet"): "2",
        ("move", "full"): "1",
        ("move", "bad-node"): "open",
        ("query", "quiet"): "1",
        ("query", "full"): "impossible",
        ("query", "bad-node"): "impossible",
        # One of the backings could be asserted; of the last column none could, for two reasons.
        ("attach", "quiet"): "open",
        ("attach", "full"): "open",
        ("attach", "bad-node"): "impossible",
    }
    table = report.tables[1]
    assert table.squares["move", "full"].tests == ("a.c::move.full",)
    assert table.squares["query", "full"].why == "a query has no target"
    assert {state: table.count(state) for state in State} == {
        State.ASSERTED: 3,
        State.IMPOSSIBLE: 3,
        State.OPEN: 3,
    }


def test_contract_and_promises_name_their_tests() -> None:
    report = compute()
    assert [(claim.name, claim.title, len(claim.tests)) for claim in report.contract] == [
        ("5", "moves", 2),
        ("9", "queries", 1),
        ("18", "the parent", 0),
    ]
    assert [(claim.name, claim.tests) for claim in report.promises] == [
        ("addresses-kept", ("a.c::move.full",)),
        ("steps-in-order", ()),
    ]
    assert (report.tests, report.quick) == (4, 1)
    assert report.known == (("test_b.py::test_it", "<6.7: it is another (5d4af6195c87)"),)
    assert report.contradictions == ()


def test_what_is_asserted_and_called_impossible_is_told() -> None:
    wrong = DeclaredTest(id="x", declared=declare(cell("query", "anon", "full")))
    report = compute(wrong)
    assert report.contradictions == (("x", cell("query", "anon", "full"), "a query has no target"),)
    assert report.tables[1].squares["query", "full"].state is State.ASSERTED


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "interface: [query]",
            "interface: [quern]",
            "'impossible[0].interface': 'quern' fits none",
        ),
        ("bad-*", "good-*", "'impossible[0].condition': 'good-*' fits none of: quiet, full, bad"),
        ("quiet: nothing else, ", "", "key 'axes.condition': 'quiet' is missing"),
        (", why: nothing to attach", "", "key 'impossible[1].why' is missing"),
        ("why: nothing to", "because: nothing to", "key 'impossible[1].why' is missing"),
        ("9: queries", "nine: queries", "key 'contract.nine"),
        ("anon: plain", "Anon: plain", "key 'axes.backing.Anon"),
        ("anon: plain", "anon: plain, anon: twice", "key 'anon' is given twice"),
        ("promises:", "promise:", "key 'promises' is missing"),
        ("contract: {", "order: 1\ncontract: {", "unknown key 'order'; allowed here: axes"),
    ],
)
def test_what_there_is_to_cover_is_read_strictly(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(PlanError) as caught:
        parse_coverage(TEXT.replace(old, new), filename="c.yaml")
    assert str(caught.value).startswith("c.yaml:")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (
            declare(cell("mvoe", "anon")),
            "a.c: key 'interface': 'mvoe' will not do; allowed: move, query, attach",
        ),
        (declare(cell("move", "thp")), "a.c: key 'backing': 'thp' will not do; allowed: anon, z"),
        (declare(cell("move", "zero", "loud")), "a.c: key 'condition': 'loud' will not do"),
        (declare(contract=(7,)), "a.c: key 'contract': 7 will not do; allowed: 9, 5, 18"),
        (declare(promises=("kept",)), "a.c: key 'promises': 'kept' will not do; allowed: addr"),
    ],
)
def test_a_name_that_there_is_not_is_told(declared: Declared, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        COVERAGE.check(declared, filename="a.c")
    assert str(caught.value).startswith(said)


def test_names_that_there_are_will_do() -> None:
    for test in TESTS:
        COVERAGE.check(test.declared, filename="a.c")


def test_declarations_survive_the_way_through_a_file() -> None:
    assert load_tests(dump_tests(TESTS)) == TESTS
    with pytest.raises(ValueError, match="JSON"):
        load_tests("nothing")


def test_the_json_has_every_square() -> None:
    data = json.loads(dump_coverage(compute()))
    assert (data["tests"], data["quick"]) == (4, 1)
    backings, conditions = data["tables"]
    assert (len(backings["cells"]), len(conditions["cells"])) == (6, 9)
    assert backings["rows"]["query"] == "it asks"
    assert (conditions["asserted"], conditions["impossible"], conditions["open"]) == (3, 3, 3)
    assert conditions["cells"][4] == {
        "row": "query",
        "column": "full",
        "state": "impossible",
        "tests": [],
        "why": "a query has no target",
    }
    assert data["contract"][0] == {
        "name": "5",
        "title": "moves",
        "tests": ["a.c::move.all", "test_b.py::test_it"],
    }
    assert data["known"][0]["test"] == "test_b.py::test_it"


def print_plain(report: CoverageReport, *, names_open: bool = False, width: int = 100) -> str:
    file = StringIO()
    Console(file=file, width=width).print(render_coverage(report, names_open=names_open))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_the_tables_as_they_are_printed() -> None:
    text = print_plain(compute())
    for line in (
        "4 guest tests, 1 of them quick, 1 known to fail on some kernel",
        "interface by backing, quiet: 3 asserted, 1 impossible, 2 open",
        "        a  b",
        "move    2  1",
        "query   1  .",
        "attach  .  -",
        "  a anon  b zero",
        "move    2  1  .",
        "query   1  -  -",
        "attach  .  .  -",
        "  a quiet  b full  c bad-node",
        " 5  moves                     2",
        "18  the parent                0",
        "  addresses-kept: addresses do not change",
        "    a.c::move.full",
        "    no test",
        "  test_b.py::test_it: <6.7: it is another (5d4af6195c87)",
        "open of interface by backing, quiet: 2 of 6; --open names them",
    ):
        assert line in text.splitlines(), line


def test_open_squares_are_named_where_asked_for() -> None:
    text = print_plain(compute(), names_open=True)
    assert "open of interface by condition, any backing: 3 of 9" in text.splitlines()
    assert "  query: zero" in text.splitlines()
    assert "  attach: quiet, full" in text.splitlines()
    assert "--open" not in text


def test_contradictions_are_printed() -> None:
    wrong = DeclaredTest(id="x", declared=declare(cell("query", "anon", "full")))
    assert "x: query x anon x full: a query has no target" in print_plain(compute(wrong))


def test_the_projects_own_fits_the_width_of_a_page() -> None:
    coverage = catalog.load_coverage()
    axes = coverage.axes
    cells = [cell(i, b) for i in axes.interface for b in axes.backing]
    tests = [DeclaredTest(id=f"a.c::{n}", declared=declare(*cells)) for n in range(120)]
    text = print_plain(compute(*tests, coverage=coverage), names_open=True, width=100)
    heads = [line for line in text.splitlines() if line.startswith(("mbind-move ", "migspeed"))]
    assert max(len(line) for line in text.splitlines()) <= 100
    assert len(heads[0].split()) == len(axes.backing) + 1  # nothing is cut short


def test_the_project_covers_what_it_says_it_does() -> None:
    """Each name is one of coverage.yaml, and nothing is asserted that it calls impossible."""
    coverage = catalog.load_coverage()
    assert sorted(coverage.contract) == list(range(1, 19))
    root = catalog.guest_tests_dir()
    covered = 0
    for path in sorted(root.rglob("*.c")):
        if path.relative_to(root).parts[0] in catalog.NO_SUITES:
            continue
        needs = parse_needs(path.read_text(encoding="utf-8"), filename=path.name)
        for _, glob in needs.declared.list_globs():
            declared = needs.declare(glob.replace("*", "x").replace("?", "x"))
            coverage.check(declared, filename=path.name)
            covered += len(declared.cells)
            for one in declared.cells:
                assert not coverage.explain_impossible(one), f"{path.name}: {one}"
    assert covered
