"""The self test of the suites: what a patch says, which tests come first, what came of a mutant."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from testbed.core.hints import Hints, read_hints
from testbed.core.mutant import Mutant, list_words, read_mutant
from testbed.core.result import TestResult, Verdict
from testbed.core.selfcheck import (
    MutantResult,
    Place,
    Seen,
    SelfcheckReport,
    Status,
    compute_score,
    decide_exit,
    dump_report,
    dump_result,
    load_report,
    load_results,
    order_tests,
)
from testbed.core.series import Series, SeriesMeta, parse_patch
from testbed.errors import InfraError, KconfigError, SeriesError, UserError
from testbed.host.builder import BuildFailure, Kernel
from testbed.pipeline.selfcheck import Terms, try_mutant
from testbed.pipeline.selfcheck_job import find_account, load_mutants
from testbed.report.selfcheck_table import describe_mutant, render_selfcheck_text
from testbed.tests.unit.records import HOSTILE

PATCH = """\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: A <a@example.org>
Date: Sat, 1 Jan 2000 00:00:00 +0000
Subject: [PATCH] mm/ksm: MUTANT: forget where a page has gone

What a user sees.

{trailers}Signed-off-by: A <a@example.org>
---
 mm/ksm.c | 2 +-

diff --git a/mm/ksm.c b/mm/ksm.c
--- a/mm/ksm.c
+++ b/mm/ksm.c
@@ -9,3 +9,3 @@ void folio_migrate_ksm(struct folio *newfolio, struct folio *folio)
 one
-two
+TWO
 three
"""
NAMES = ("m/a.c::a.x", "b.c::b.y", "boot")
ONE, TWO, BOOT = (Place(topology="two-nodes", test=name) for name in NAMES)


def make_mutant(trailers: str = "", name: str = "node-lost") -> Mutant:
    patch = parse_patch(PATCH.format(trailers=trailers), filename="x.patch")
    meta = SeriesMeta(title="", why="", base=())
    return read_mutant(Series(name="x", patches=(patch,), meta=meta), name=name)


def test_a_mutant_says_what_it_breaks_and_who_may_see_it() -> None:
    mutant = make_mutant(
        "Contract: 3, 12\nSeen-in: *ksm*, mempolicy/*\nEquivalent: never read,\n and never told\n"
    )
    assert mutant.subject == "forget where a page has gone"
    assert (mutant.files, mutant.functions) == (("mm/ksm.c",), ("folio_migrate_ksm",))
    assert (mutant.contract, mutant.seen_in) == ((3, 12), ("*ksm*", "mempolicy/*"))
    assert mutant.equivalent == "never read, and never told"
    assert {"ksm", "migrate", "node"} <= list_words(mutant)
    assert mutant.builds_on == ()
    assert make_mutant("Builds-on: one, two\n").builds_on == ("one", "two")
    assert mutant.digest != make_mutant().digest


def test_an_item_that_is_no_number_is_refused() -> None:
    with pytest.raises(SeriesError, match=r"node-lost: Contract: 'x' is no number"):
        make_mutant("Contract: 1, x\n")


SOURCE = """\
// SPDX-License-Identifier: GPL-2.0-only
/*
 * About.
 *
 * testbed:
 *   nodes: 2
 *   contract: {12: ["state.*.ksm"], 3: ["other.*"]}
 *   covers:
 *     - {cases: "state.*", interface: [mbind-move], backing: [anon-private, ksm]}
 */
#include "x.h"
"""


def test_what_a_test_declares_is_read_for_its_words() -> None:
    hints = read_hints(SOURCE)
    assert hints.list_items("state.one.ksm") == {12}
    assert {"mbind", "ksm", "anon"} <= hints.list_words("state.one.thp")
    assert hints.list_words("other.one") == frozenset()


@pytest.mark.parametrize(
    "source",
    [
        *("", "int x;", "/*\n * testbed:\n *   a: [\n */", "/*\n * testbed:\n *   - a\n */"),
        "/*\n * testbed:\n *   contract: {x: 1, 2: 3}\n *   covers: [1, {cases: 2}]\n */",
    ],
)
def test_what_cannot_be_read_is_no_hint(source: str) -> None:
    assert read_hints(source) == Hints()


def test_tests_that_may_see_it_come_first_and_all_come() -> None:
    by_chance, by_item, by_word, named = (
        *("z/any.c::any.x", "m/state.c::state.one.ksm"),
        *("m/ksm.c::merge.ok", "mempolicy/b.c::b.y"),
    )
    names = ("boot", by_chance, by_item, by_word, named)
    places = [Place(topology="two-nodes", test=name) for name in names]
    hints = {"m/state.c": read_hints(SOURCE)}
    mutant = make_mutant("Contract: 12\nSeen-in: mempolicy/*\n")
    batches = order_tests(mutant, places, hints)
    assert [[place.test for place in batch] for batch in batches] == [
        ["boot", named],
        [by_item],
        [by_word],
        [by_chance],
    ]
    assert order_tests(make_mutant(), places[:2], {}) == (tuple(places[:2]),)


def make_kernel() -> Kernel:
    return Kernel(
        **IDENTITY,
        image=Path("bzImage"),
        vmlinux=Path("vmlinux"),
        config=Path("config"),
        log=Path("log"),
        harness_dir=Path(),
        release="6.12",
        build_seconds=8.0,
        phases=(),
        compiled_files=1,
        is_cached=False,
    )


IDENTITY: dict[str, Any] = {
    "key": "k",
    "source_id": "s",
    "source_title": "s",
    "patch_ids": (),
    "fragments": ("base",),
    "kconfig_hash": "h",
    "toolchain": "t",
}


@dataclass
class Guests:
    """Runs tests whose verdicts are written down, run by run; a test without any passes."""

    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def __call__(
        self, kernel: Kernel, /, places: Sequence[Place], *, until_kill: bool
    ) -> Sequence[Seen]:
        assert kernel.key == "k"
        self.asked.append(tuple(place.test for place in places))
        seen = []
        for place in places:
            left = self.verdicts.get(place.test, [])
            verdict = left.pop(0) if left else Verdict.PASSED
            result = TestResult(id=place.test, verdict=verdict, seconds=1, message="why\nmore")
            seen.append(Seen(place=place, result=result))
            if until_kill and verdict in {Verdict.FAILED, Verdict.CRASHED}:
                return seen
        return seen


def try_it(
    guests: Guests, mutant: Mutant | None = None, *, all_tests: bool = False
) -> MutantResult:
    terms = Terms(places=(ONE, TWO, BOOT), hints={}, all_tests=all_tests)
    return try_mutant(
        mutant or make_mutant("Seen-in: m/*\n"),
        terms,
        digest="d",
        build=lambda _: make_kernel(),
        run=guests,
    )


def test_the_first_test_that_fails_twice_kills() -> None:
    guests = Guests({ONE.test: [Verdict.FAILED, Verdict.FAILED]})
    result = try_it(guests)
    assert result.status is Status.KILLED
    assert [(kill.test, kill.reason) for kill in result.kills] == [(ONE.test, "why")]
    assert guests.asked == [("boot", ONE.test), (ONE.test,)]
    assert (result.tests, result.planned, result.build_seconds) == (2, 3, 8.0)


def test_what_fails_once_kills_nothing_and_is_told() -> None:
    guests = Guests({ONE.test: [Verdict.FAILED]})
    result = try_it(guests)
    assert (result.status, result.unconfirmed) == (Status.SURVIVED, (ONE.test,))
    assert guests.asked[-1] == (TWO.test,)  # all tests before it is called a survivor
    assert result.tests == 3


def test_a_crash_kills_and_all_killers_are_named_if_asked_for() -> None:
    verdicts = {one.test: [Verdict.CRASHED, Verdict.TIMED_OUT] for one in (ONE, TWO)}
    result = try_it(Guests(verdicts), all_tests=True)
    assert [kill.test for kill in result.kills] == [ONE.test, TWO.test]
    assert {kill.verdict for kill in result.kills} == {Verdict.CRASHED}


def test_a_test_that_the_host_lost_is_run_again_and_never_counts() -> None:
    guests = Guests({ONE.test: [Verdict.LOST, Verdict.PASSED]})
    assert try_it(guests).status is Status.SURVIVED
    assert guests.asked[1] == (ONE.test,)
    with pytest.raises(InfraError, match=r"m/a.c::a.x on two-nodes: lost 3 times: why"):
        try_it(Guests({ONE.test: [Verdict.LOST] * 9}))


def test_a_kernel_that_does_not_come_up_is_no_kill() -> None:
    verdicts = {one.test: [Verdict.BOOT_FAILED] * 2 for one in (ONE, TWO, BOOT)}
    result = try_it(Guests(verdicts))
    assert (result.status, result.kills, result.reason) == (Status.DOES_NOT_BOOT, (), "why")


def test_an_equivalent_mutant_is_to_survive() -> None:
    mutant = make_mutant("Equivalent: proof\n")
    assert try_it(Guests(), mutant).status is Status.EQUIVALENT
    guests = Guests({ONE.test: [Verdict.FAILED] * 2})
    assert try_it(guests, mutant).status is Status.NOT_EQUIVALENT


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SeriesError("x.patch: no\nhunk 1"), Status.DOES_NOT_APPLY),
        (KconfigError("NUMA: no"), Status.DOES_NOT_BUILD),
        (None, Status.DOES_NOT_BUILD),
    ],
)
def test_what_makes_no_kernel_is_told(error: UserError | None, status: Status) -> None:
    def build(_: Mutant) -> Kernel | BuildFailure:
        if error is not None:
            raise error
        return BuildFailure(
            **IDENTITY,
            stage="make",
            error="mm/x.c:1: no",
            first_error=None,
            log=Path("log"),
            build_seconds=1.0,
            compiled_files=1,
        )

    terms = Terms(places=(ONE,), hints={})
    result = try_mutant(make_mutant(), terms, digest="d", build=build, run=Guests())
    assert result.status is status
    assert result.reason.endswith(": no")
    assert decide_exit([result]) == 3


def make_result(status: Status, **changes: Any) -> MutantResult:  # noqa: ANN401 - fields
    return replace(
        MutantResult(name=f"m-{status}", subject="sub", digest="d", status=status), **changes
    )


@pytest.mark.parametrize(
    ("statuses", "code", "score"),
    [
        ((), 0, None),
        ((Status.KILLED, Status.EQUIVALENT), 0, 1.0),
        ((Status.KILLED, Status.KILLED, Status.SURVIVED), 1, 0.6667),
        ((Status.NOT_EQUIVALENT, Status.KILLED), 1, 1.0),
        ((Status.SURVIVED, Status.DOES_NOT_BOOT), 3, 0.0),
    ],
)
def test_the_score_is_of_those_that_could_be_killed(
    statuses: tuple[Status, ...], code: int, score: float | None
) -> None:
    results = [make_result(status) for status in statuses]
    assert (decide_exit(results), compute_score(results)) == (code, score)


def test_an_account_is_read_back_but_for_a_torn_line() -> None:
    results = (make_result(Status.KILLED, contract=(3,)), make_result(Status.SURVIVED))
    text = "".join(map(dump_result, results))
    assert load_results(text + text[:20], filename="x") == results
    assert load_results("", filename="x") == ()
    with pytest.raises(UserError, match="x: not the account of a selfcheck"):
        load_results("{}\n" + text, filename="x")


def make_report(*mutants: MutantResult, left_out: tuple[str, ...] = ()) -> SelfcheckReport:
    return SelfcheckReport(
        id="1",
        command=("testbed", "selfcheck"),
        source="debian:6.12",
        topologies=("two-nodes",),
        base_tests=7,
        left_out=left_out,
        mutants=mutants,
        seconds=61,
        resumed=1,
        exit_code=decide_exit(mutants),
        score=compute_score(mutants),
    )


def test_the_report_tells_survivors_first_and_ends_with_the_score() -> None:
    killed = try_it(Guests({ONE.test: [Verdict.CRASHED, Verdict.FAILED]}))
    survivor = make_result(Status.SURVIVED, tests=7, contract=(3, 9), unconfirmed=("a",))
    report = make_report(killed, survivor, left_out=("c on two-nodes: failed",))
    assert load_report(dump_report(report)) == report
    text = render_selfcheck_text(report, width=100)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "2 mutants of debian:6.12, 7 tests on two-nodes"
    assert text.index("m-survived") < text.index("a.x (m/a.c on two-nodes: crashed)")
    assert "m-survived: sub (contract: 3, 9)" in lines
    assert "1 test failed once and then passed" in text
    assert "c on two-nodes: failed" in lines
    assert lines[-1] == (
        "1 killed, 1 survived; mutation score 50 %; 1 min 01 s, 1 known from before; exit 1"
    )
    assert describe_mutant(survivor, number=2, total=2).startswith(
        "2/2 m-survived: survived: 7 tes"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_reach_no_terminal(text: str) -> None:
    result = make_result(Status.DOES_NOT_BUILD, reason=text, subject=text)
    shown = render_selfcheck_text(make_report(replace(result, name=text)), width=100)
    assert "\x1b" not in shown + describe_mutant(result, number=1, total=1)


def test_a_folder_of_mutants_has_patches_and_series(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_mutants(tmp_path / "none")
    with pytest.raises(UserError, match="holds no mutant"):
        load_mutants(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/0001-x.patch").write_text(PATCH.format(trailers=""))
    (tmp_path / "a.patch").write_text(PATCH.format(trailers=""))
    (tmp_path / "README").write_text("no patch")
    assert [one.name for one in load_mutants(tmp_path)] == ["a", "b"]
    assert [one.name for one in load_mutants(tmp_path, only=["b*"])] == ["b"]
    with pytest.raises(UserError, match=r"--mutant c\*: none is called so; there are: a, b"):
        load_mutants(tmp_path, only=["c*"])


def test_what_is_to_be_resumed_must_be_there(tmp_path: Path) -> None:
    for name in ("latest", "1"):
        with pytest.raises(UserError, match="no selfcheck to resume"):
            find_account(tmp_path, name)
    (tmp_path / "1").mkdir()
    (tmp_path / "1/selfcheck.jsonl").write_text("")
    assert find_account(tmp_path, "latest") == find_account(tmp_path, "1") == tmp_path / "1"


def test_the_project_s_own_mutants_are_whole() -> None:
    mutants = load_mutants(Path(__file__).parents[3] / "patches/selfcheck")
    assert len(mutants) > 40
    assert len({mutant.digest for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        is_real = bool(mutant.contract or mutant.builds_on) and bool(mutant.seen_in)
        assert is_real is not bool(mutant.equivalent) or mutant.name == "wrong-node", mutant.name
        assert mutant.files, mutant.name


def test_a_line_tells_the_first_killer_and_how_many_more() -> None:
    verdicts = {one.test: [Verdict.FAILED] * 2 for one in (ONE, TWO)}
    told = describe_mutant(try_it(Guests(verdicts), all_tests=True), number=1, total=1)
    assert told.startswith("1/1 node-lost: killed: a.x (m/a.c on two-nodes) and 1 more (")
    shy = describe_mutant(try_it(Guests({ONE.test: [Verdict.FAILED]})), number=1, total=1)
    assert "survived: 3 tests passed, 1 test failed once and then passed (" in shy
