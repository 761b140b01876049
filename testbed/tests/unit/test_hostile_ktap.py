"""A test program that prints too much, or nonsense, fails; it never fills our memory."""

import itertools
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from testbed.core.ktap import MAX_LINES, judge_case, parse_ktap
from testbed.core.ktap_case import MAX_CASES, MAX_DIAGNOSTIC_CHARS, MAX_MARKERS, KtapCase
from testbed.core.result import Verdict
from testbed.core.text import clean
from testbed.tests.unit.nasty import NASTY

COUNTS = ", ".join(f'"{node}": {10**9 + node}' for node in range(700))
PLACEMENT = f'# @placement {{"what": "x", "expected": {{{COUNTS}}}, "seen": {{}}}}'


def count_pieces(cases: tuple[KtapCase, ...]) -> int:
    return sum(
        1 + len(c.diagnostics) + len(c.metrics) + len(c.placements) + count_pieces(c.children)
        for c in cases
    )


FLOODS: dict[str, Callable[[], Iterator[str]]] = {
    "results": lambda: (f"ok {n} case{n}" for n in itertools.count(1)),
    "nested results": lambda: (f"{' ' * (4 * (n % 9))}ok {n} case{n}" for n in itertools.count(1)),
    "long names": lambda: (f"ok {n} {'x' * 16_000}{n}" for n in range(1, 12_000)),
    "long reasons": lambda: (f"ok {n} x{n} # SKIP {'y' * 16_000}" for n in range(1, 5_000)),
    "diagnostics": lambda: (f"# {n} {'z' * 90}" for n in itertools.count()),
    "diagnostics of many cases": lambda: (
        f"ok {n // 100 + 1} c{n}" if n % 100 == 99 else f"# {n} {'z' * 900}" for n in range(50_000)
    ),
    "metrics": lambda: itertools.repeat('# @metric {"name": "a", "value": 1, "unit": "s"}'),
    "placements": lambda: itertools.repeat(PLACEMENT, 3000),
    "bad markers": lambda: itertools.repeat("# @metric {"),
    "plans": lambda: (f"1..{n}" for n in itertools.count()),
    "totals": lambda: (
        f"ok {n} case{n}"
        if n < MAX_CASES
        else "# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0"
        for n in range(1, 50_000)
    ),
    "beginnings": lambda: (f"#  RUN           c{n} ..." for n in itertools.count()),
    "bail-outs": lambda: itertools.repeat("Bail out! " + "b" * 16_000, 20_000),
    "versions": lambda: itertools.repeat("TAP version 13"),
    "empty lines": lambda: itertools.repeat(""),
    "one line": lambda: iter(["ok 1 " + "x" * (64 << 20)]),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_flood_fails_the_case_in_bounded_time_and_memory(
    flood: Callable[[], Iterator[str]],
) -> None:
    lines = itertools.chain(["TAP version 13", "1..1"], flood())
    began = time.process_time()
    run = parse_ktap(lines)
    verdict, message = judge_case(run, "global.x", exit_status=0)
    seconds = time.process_time() - began
    assert verdict is Verdict.FAILED
    assert len(message) < 100_000
    assert count_pieces(run.cases) <= MAX_CASES + MAX_MARKERS + MAX_DIAGNOSTIC_CHARS
    assert seconds < 20


@pytest.mark.parametrize(
    "name", ["results", "long names", "diagnostics of many cases", "metrics", "placements"]
)
def test_what_is_kept_of_a_flood_is_small(name: str) -> None:
    flood = itertools.islice(FLOODS[name](), 30_000)
    tracemalloc.start()
    try:
        run = parse_ktap(flood)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert run.problems
    assert peak < 80 << 20


def test_each_limit_is_told() -> None:
    def told(name: str) -> str:
        return "\n".join(parse_ktap(["1..1", *itertools.islice(FLOODS[name](), 40_000)]).problems)

    assert f"more than {MAX_CASES} results" in told("results")
    assert f"more than {MAX_MARKERS} metrics" in told("metrics")
    assert "characters of them" in told("placements")
    endless = parse_ktap(itertools.repeat("nothing"))
    assert f"more than {MAX_LINES} lines: the others were not read" in endless.problems


def test_a_result_beyond_the_limits_does_not_count() -> None:
    run = parse_ktap(itertools.chain(["1..1"], itertools.repeat("", MAX_LINES), ["ok 1 global.x"]))
    assert judge_case(run, "global.x", exit_status=0)[0] is Verdict.FAILED


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_nasty_text_in_any_place_never_passes_a_case_of_another_name(text: str) -> None:
    lines = [
        "TAP version 13",
        "1..1",
        f"#  RUN           {text} ...",
        f"# {text}",
        f'# @metric {{"name": {json.dumps(text[:200])}, "value": 1, "unit": "{text}"}}',
        f'# @placement {{"what": {json.dumps(text[:200])}, "expected": {{"0": 1}}, "seen": {{}}}}',
        f'# @placement {{"what": "x", "expected": {{{json.dumps(text)}: 1}}, "seen": {{}}}}',
        f"ok 1 {text}",
        text,
    ]
    run = parse_ktap(line for joined in lines for line in joined.split("\n"))
    verdict, message = judge_case(run, "global.wanted", exit_status=0)
    assert verdict is Verdict.FAILED
    assert message.encode()
    assert clean(message) == message
    assert all(clean(problem) == problem for problem in run.problems)
    assert all(len(problem) < 3000 for problem in run.problems)
    assert len(message) < 100_000
