"""KTAP output is read as it is, and only a plain ok passes."""

import itertools
import json
from pathlib import Path

import pytest

from testbed.core.ktap import MAX_DEPTH, MAX_LINE_CHARS, KtapRun, judge_case, parse_ktap
from testbed.core.ktap_line import Outcome, parse_result
from testbed.core.marker import MarkerError, parse_marker
from testbed.core.result import Metric, NodeCount, Placement, Verdict
from testbed.core.text import split_lines

GOLDEN = Path(__file__).parent.parent / "golden" / "ktap"
OUTPUTS = sorted(GOLDEN.glob("*.ktap"))
METRIC = '# @metric {"name": "move", "value": 12.5, "unit": "us/page"}'
RIGHT = '# @placement {"what": "anon", "expected": {"1": 16}, "seen": {"1": 16, "0": 0}}'
WRONG = '# @placement {"what": "anon", "expected": {"1": 16}, "seen": {"0": 15, "-1": 1}}'
EXPECTED = "# mbind.c:12:moves:Expected 16 (16) == moved (3)"


def run_of(*lines: str, plan: str = "1..1", end: tuple[str, ...] = ()) -> KtapRun:
    """Return the run of a program with one case, ``global.x``, that printed ``lines``."""
    begin = ("TAP version 13", plan, "#  RUN           global.x ...")
    return parse_ktap([*begin, *lines, *(end or ("ok 1 global.x",))])


def judge(run: KtapRun, exit_status: int = 0) -> tuple[Verdict, str]:
    return judge_case(run, "global.x", exit_status=exit_status)


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda path: path.stem)
def test_golden_output(output: Path) -> None:
    expected = json.loads(output.with_suffix(".json").read_text())
    run = parse_ktap(split_lines(output.read_bytes()))
    assert run.planned == expected["planned"]
    assert list(run.problems) == expected["problems"]
    assert [[c.name, c.outcome, c.reason] for c in run.cases] == expected["cases"]
    verdict, message = judge_case(run, expected["judged"], exit_status=expected["exit_status"])
    assert verdict == expected["verdict"]
    assert message.splitlines() == expected["message"]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda path: path.stem)
def test_output_cut_anywhere_before_its_last_result_never_passes(output: Path) -> None:
    lines = split_lines(output.read_bytes())
    last = max((i for i, line in enumerate(lines) if parse_result(line)), default=0)
    for end in range(last + 1):
        run = parse_ktap(lines[:end])
        assert run.problems or run.planned == 0
        for case in run.cases:
            assert judge_case(run, case.name, exit_status=0)[0] is Verdict.FAILED


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda path: path.stem)
def test_kernel_lines_in_between_change_nothing(output: Path) -> None:
    lines = split_lines(output.read_bytes())
    kernel = ("[    1.234567] ok 7 said the kernel", "<4>[   12.345678][ T12] not ok 8 1..4")
    mixed = [line for pair in zip(itertools.cycle(kernel), lines, strict=False) for line in pair]
    assert parse_ktap(mixed) == parse_ktap(lines)


def test_case_has_its_metrics_placements_and_diagnostics() -> None:
    run = run_of(METRIC, RIGHT, "# a remark", "plain output", "warning: \x1b[1mbold\x1b[0m")
    (case,) = run.cases
    assert case.metrics == (Metric(name="move", value=12.5, unit="us/page"),)
    assert case.placements == (
        Placement(
            what="anon",
            expected=(NodeCount(node=1, pages=16),),
            seen=(NodeCount(node=0, pages=0), NodeCount(node=1, pages=16)),
        ),
    )
    assert case.diagnostics == ("# a remark", "plain output", "warning: bold")
    assert judge(run) == (Verdict.PASSED, "")


RESULTS = {
    "ok 1 global.x": Outcome.PASS,
    "ok 1 - global.x": Outcome.PASS,
    "ok 1 global.x #  all is well": Outcome.PASS,
    "ok 1 global.x # skip": Outcome.SKIP,
    "ok 1 global.x # SKIP no swap": Outcome.SKIP,
    "ok 1 global.x # SKIPPED no swap": Outcome.SKIP,
    "ok 1 # SKIP no swap": Outcome.SKIP,
    "ok 1 global.x # XFAIL later": Outcome.XFAIL,
    "ok 1 global.x # XPASS unknown": Outcome.XPASS,
    "ok 1 global.x # TODO later": Outcome.XPASS,
    "ok 1 global.x # TIMEOUT 45 seconds": Outcome.TIMEOUT,
    "ok 1 global.x # ERROR": Outcome.ERROR,
    "not ok 1 global.x": Outcome.FAIL,
    "not ok 1 global.x # SKIP": Outcome.FAIL,
    "not ok 1 global.x # TODO later": Outcome.XFAIL,
    "not ok 1 global.x # XFAIL later": Outcome.XFAIL,
    "not ok 1 global.x # XPASS": Outcome.FAIL,
    "not ok 1 global.x # TIMEOUT 45 seconds": Outcome.TIMEOUT,
    "not ok 1 # error no such device": Outcome.ERROR,
}
VERDICTS = {Outcome.PASS: Verdict.PASSED, Outcome.SKIP: Verdict.SKIPPED}


@pytest.mark.parametrize(("line", "outcome"), tuple(RESULTS.items()))
@pytest.mark.parametrize("exit_status", [0, 1, 4, -11, 139])
@pytest.mark.parametrize("spoilt_by", ["", EXPECTED, WRONG, "# @metric {}", "1..1", "Bail out! no"])
def test_only_a_clean_ok_passes(
    line: str, outcome: Outcome, exit_status: int, spoilt_by: str
) -> None:
    run = run_of(*([spoilt_by] if spoilt_by else []), end=(line,))
    verdict, message = judge(run, exit_status)
    is_bailed_out = spoilt_by.startswith("Bail")
    assert [(c.name, c.outcome) for c in run.cases] == (
        [] if is_bailed_out else [("global.x", outcome)]
    )
    good_exits = {Verdict.PASSED: (0,), Verdict.SKIPPED: (0, 4)}
    wanted = VERDICTS.get(outcome, Verdict.FAILED)
    if spoilt_by or exit_status not in good_exits.get(wanted, ()):
        wanted = Verdict.FAILED
    assert verdict is wanted
    assert (verdict is Verdict.PASSED) == (message == "")


def test_message_begins_with_what_was_expected() -> None:
    run = run_of("# some remark", WRONG, EXPECTED, end=("not ok 1 global.x",))
    assert judge(run, 1)[1].splitlines() == [
        "mbind.c:12:moves:Expected 16 (16) == moved (3)",
        "anon: expected 16 pages on node 1; seen 1 pages not present, 15 pages on node 0",
        "some remark",
        "global.x said fail",
        "exit status 1",
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "no results and no plan (1..N)"),
        (["what is this?"], "no results and no plan (1..N)"),
        (["ok 1 a"], "no plan (1..N)"),
        (["1..2", "ok 1 a"], "2 results were planned, 1 came"),
        (["1..1", "ok 1 a", "ok 2 b"], "1 results were planned, 2 came"),
        (["1..1", "1..1", "ok 1 a"], "a second plan: 1..1 after 1..1"),
        (["1..2", "ok 1 a", "ok 1 b"], "number 1 came twice"),
        (["1..2", "ok 1 a", "ok 3 b"], "number 3 came where 2 was due"),
        (["1..2", "ok 1 a", "ok 2 a"], "'a' has more than one result"),
        (["1..1", "not ok", "ok 1 a"], "a result without a number: 'not ok'"),
        (["1..1", "Bail out! no memory", "ok 1 a"], "Bail out! no memory"),
        (["1..1", "Bail out!", "ok 1 a"], "a result after the bail-out: 'ok 1 a'"),
        (["1..1", "#  RUN           b ...", "ok 1 a"], "b began, and 'a' ended"),
        (
            ["1..1", "#  RUN           b ...", "#  RUN           a ...", "ok 1 a"],
            "b began and did not end",
        ),
        (["1..1", "ok 1 a", "#  RUN           b ..."], "b began and did not end"),
        (["1..1", "ok 1 a", METRIC], "metrics or placements after the last result"),
        (["1..1", "ok 1 a", "TAP version 13"], "the output of a second program follows"),
        (["1..1", "TAP version 13", "ok 1 a"], "the output of a second program follows"),
        (["ok 1 a", "TAP version 13", "1..1"], "the output of a second program follows"),
        (["1..1", "ok 1 a", RIGHT], "metrics or placements after the last result"),
        (
            ["1..1", "  1..1", "    1..1", "    ok 1 c", "  ok 1 b"],
            "nested results have no result line of their parent",
        ),
        (
            ["1..1", "  1..1", "    1..1", "    ok 1 c", "ok 1 a"],
            "nested results have no result line of their parent",
        ),
        (["1..1", "ok 1 a", "  ok 1 b"], "nested results have no result line of their parent"),
        (["1..1", "  ok 1 b", "ok 1 a"], "no plan (1..N)"),
        (["1..1", "  1..2", "  ok 1 b", "ok 1 a"], "2 results were planned, 1 came"),
        (
            ["1..1", "ok 1 a", "# Totals: pass:0 fail:1 xfail:0 xpass:0 skip:0 error:0"],
            "the program's totals differ from its results: pass:0 (seen: 1) fail:1 (seen: 0)",
        ),
        (["1..99999999999999999999", "ok 1 a"], "999999999 results were planned, 1 came"),
    ],
)
def test_what_is_wrong_with_an_output_is_a_problem(lines: list[str], problem: str) -> None:
    run = parse_ktap(lines)
    assert problem in run.problems
    assert judge_case(run, "a", exit_status=0)[0] is Verdict.FAILED


def test_plan_at_the_end_is_a_plan() -> None:
    assert parse_ktap(["TAP version 13", "ok 1 a", "1..1"]).problems == ()


def test_case_that_did_not_end_is_told_of_by_its_last_words() -> None:
    run = parse_ktap(
        ["TAP version 13", "1..1", "#  RUN           global.x ...", "# node 1 is full"]
    )
    assert run.tail == ("# node 1 is full",)
    verdict, message = judge(run, 137)
    assert verdict is Verdict.FAILED
    assert message.splitlines() == [
        "# node 1 is full",
        "global.x did not end",
        "global.x began and did not end",
        "1 results were planned, 0 came",
        "exit status 137 (SIGKILL)",
    ]


def test_other_cases_than_the_one_asked_for_fail_it() -> None:
    run = parse_ktap(["1..2", "ok 1 global.x", "ok 2 global.y"])
    assert judge(run) == (Verdict.FAILED, "other cases ran too: global.y")


def test_program_that_skips_itself_is_skipped_and_one_without_the_case_failed() -> None:
    assert judge(parse_ktap(["1..0 # SKIP no NUMA"]), 4) == (Verdict.SKIPPED, "no NUMA")
    assert judge(parse_ktap(["1..0 # SKIP no NUMA"]), 0)[0] is Verdict.FAILED
    assert judge(parse_ktap(["1..0"])) == (
        Verdict.FAILED,
        "global.x did not run: the program has no such case",
    )


@pytest.mark.parametrize(
    "outcomes", [outcomes for n in (1, 2, 3) for outcomes in itertools.product("psfx", repeat=n)]
)
@pytest.mark.parametrize("parent", ["ok 1 suite", "not ok 1 suite", "ok 1 suite # SKIP"])
def test_parent_is_never_better_than_its_children(outcomes: tuple[str, ...], parent: str) -> None:
    texts = {
        "p": "ok {} c{}",
        "s": "ok {} c{} # SKIP",
        "f": "not ok {} c{}",
        "x": "ok {} c{} # TIMEOUT",
    }
    children = [f"    {texts[o].format(i, i)}" for i, o in enumerate(outcomes, 1)]
    run = parse_ktap(
        [
            "KTAP version 1",
            "1..1",
            "    KTAP version 1",
            f"    1..{len(outcomes)}",
            *children,
            parent,
        ]
    )
    assert run.problems == ()
    (suite,) = run.cases
    assert [child.name for child in suite.children] == [
        f"c{i}" for i in range(1, len(outcomes) + 1)
    ]
    if parent.startswith("not") or set(outcomes) & {"f", "x"}:
        assert suite.outcome is Outcome.FAIL
    elif "SKIP" in parent or set(outcomes) == {"s"}:
        assert suite.outcome is Outcome.SKIP
    else:
        assert suite.outcome is Outcome.PASS


def test_nested_output_of_several_suites_and_levels() -> None:
    run = parse_ktap(
        """KTAP version 1
1..2
  KTAP version 1
  # Subtest: outer
  1..2
    KTAP version 1
    1..1
    # a remark
    ok 1 leaf
  ok 1 inner
  ok 2 plain # SKIP no swap
ok 1 outer
  1..1
  not ok 1 leaf
not ok 2 second""".splitlines()
    )
    assert run.problems == ()
    outer, second = run.cases
    assert [c.outcome for c in (outer, *outer.children, second)] == ["pass", "pass", "skip", "fail"]
    assert outer.children[0].children[0].diagnostics == ("# a remark",)


def test_bounds_hold() -> None:
    deep = [f"{' ' * i}ok 1 x" for i in range(3 * MAX_DEPTH)]
    assert f"results are nested more than {MAX_DEPTH} deep" in parse_ktap(deep).problems
    assert len(parse_ktap(["not ok"] * 10_000).problems) < 100
    (case,) = run_of(*["# noise"] * 5000, EXPECTED).cases
    assert len(case.diagnostics) < 500
    assert EXPECTED in case.diagnostics
    assert case.diagnostics[-1] == "... 4800 more lines"


@pytest.mark.parametrize("char", ["x", " ", "#", "\x1b", "[", "é", "\udcff", "\x9d"])
def test_huge_lines_are_cut_and_the_rest_is_read(char: str) -> None:
    run = run_of(char * 1_000_000, "# " + char * 1_000_000)
    assert judge(run) == (Verdict.PASSED, "")
    assert all(len(line) <= MAX_LINE_CHARS for line in run.cases[0].diagnostics)
    marked = run_of(METRIC + char * 1_000_000)
    assert len(marked.problems) == 1
    assert judge(marked)[0] is Verdict.FAILED


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    lines = split_lines(b"1..1\n# \xff\xfe\x00 \xc3\xa9\r\nok 1 global.x\n")
    (case,) = parse_ktap(lines).cases
    assert case.diagnostics == ("# \ufffd\ufffd \u00e9",)


@pytest.mark.parametrize(
    "text",
    [
        "@metric",
        "@metric {}",
        "@metric []",
        '@metric {"name": "a", "value": 1, "unit": "s"} x',
        '@metrik {"name": "a", "value": 1, "unit": "s"}',
        '@metric {"name": "a", "value": 1}',
        '@metric {"name": "a", "value": 1, "unit": "s", "x": 1}',
        '@metric {"name": "a", "value": "1", "unit": "s"}',
        '@metric {"name": "a", "value": true, "unit": "s"}',
        '@metric {"name": "a", "value": null, "unit": "s"}',
        '@metric {"name": "a", "value": NaN, "unit": "s"}',
        '@metric {"name": "a", "value": -Infinity, "unit": "s"}',
        '@metric {"name": "a", "value": 1e999, "unit": "s"}',
        '@metric {"name": "a", "value": 1' + "0" * 400 + ', "unit": "s"}',
        '@metric {"name": "a", "value": 1' + "0" * 5000 + ', "unit": "s"}',
        '@metric {"name": "", "value": 1, "unit": "s"}',
        '@metric {"name": "a", "name": "b", "value": 1, "unit": "s"}',
        '@metric {"name": ' + "[" * 10_000 + "}",
        '@placement {"what": "a", "expected": {}, "seen": {}}',
        '@placement {"what": "a", "expected": {"1": 1}}',
        '@placement {"what": "a", "expected": {"1": 1.5}, "seen": {}}',
        '@placement {"what": "a", "expected": {"1": "1"}, "seen": {}}',
        '@placement {"what": "a", "expected": {"1": -1}, "seen": {}}',
        '@placement {"what": "a", "expected": {"01": 1}, "seen": {}}',
        '@placement {"what": "a", "expected": {"-2": 1}, "seen": {}}',
        '@placement {"what": "a", "expected": {"1024": 1}, "seen": {}}',
        '@placement {"what": "a", "expected": {"N1": 1}, "seen": {}}',
        '@placement {"what": "a", "expected": {"1\\n": 1}, "seen": {}}',
        '@placement {"what": "a", "expected": {"1": 1, "1": 2}, "seen": {}}',
        '@placement {"what": "a", "expected": [[1, 1]], "seen": {}}',
    ],
)
def test_malformed_marker_is_a_problem_and_no_exception(text: str) -> None:
    with pytest.raises(MarkerError) as caught:
        parse_marker(text)
    assert "\n" not in str(caught.value)
    run = run_of(f"# {text}")
    assert len(run.problems) == 1
    assert judge(run)[0] is Verdict.FAILED


@pytest.mark.parametrize("value", [0, -3, 1, 12.5, 1e-9, 2**40])
def test_metric_takes_any_number(value: float) -> None:
    text = json.dumps({"unit": "us", "value": value, "name": "a"})
    assert parse_marker(f"@metric {text}") == Metric(name="a", value=float(value), unit="us")


@pytest.mark.parametrize("node", [-1, 0, 1, 9, 10, 99, 100, 999, 1000, 1019, 1020, 1023])
def test_placement_takes_every_node_there_can_be(node: int) -> None:
    marker = parse_marker(f'@placement {{"what": "a", "expected": {{"{node}": 7}}, "seen": {{}}}}')
    assert isinstance(marker, Placement)
    assert marker.expected == (NodeCount(node=node, pages=7),)
    assert not marker.is_as_expected


def test_plan_of_no_cases_says_why_or_does_not() -> None:
    assert parse_ktap(["1..0 # SKIP no NUMA"]).skip_reason == "no NUMA"
    assert parse_ktap(["1..0 # SKIP"]).skip_reason == "no reason given"
    assert parse_ktap(["1..0"]).skip_reason is None
    assert parse_ktap(["1..1 # SKIP no NUMA"]).skip_reason is None
    assert judge(parse_ktap(["1..0 # SKIP no NUMA", "ok 1 global.x"]), 4)[0] is Verdict.FAILED
    assert judge(run_of(end=("ok 1 global.x # SKIP",))) == (Verdict.SKIPPED, "no reason given")


def test_what_is_too_much_is_said() -> None:
    assert parse_ktap(["not ok"] * 70).problems[-1] == "... 21 more problems"
    run = run_of(*[METRIC] * 10_001)
    (problem,) = run.problems
    assert problem.startswith("more than 10000 metrics and placements")
    assert len(run.cases[0].metrics) == 10_000
    verdict, message = judge(run_of(*[EXPECTED] * 60))
    assert verdict is Verdict.FAILED
    assert message.splitlines()[-1] == "... 21 more lines"


def test_pages_that_are_nowhere_are_told_as_such() -> None:
    run = run_of('# @placement {"what": "anon", "expected": {"1": 16}, "seen": {"0": 0}}')
    assert judge(run)[1].startswith("anon: expected 16 pages on node 1; seen no pages\n")


def test_empty_lines_are_no_diagnostics() -> None:
    assert run_of("", "   ", "\t").cases[0].diagnostics == ()
