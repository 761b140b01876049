import dataclasses

import pytest

from testbed.core.judge import (
    BootSpec,
    CrashSpec,
    JudgeSpec,
    MetricSpec,
    Outcome,
    TestSpec,
    judge,
    parse_spec,
)
from testbed.core.result import Crash, Metric, TestResult, Verdict
from testbed.errors import UserError
from testbed.tests.unit.records import HOSTILE

MANY = "migrate/move_pages.c::move_pages.many"
OTHER = "migrate/move_pages.c::move_pages.one"
OOPS = Crash(title="BUG: NULL dereference in migrate_folio", kind="oops", frames=(), excerpt="")
WARNING = Crash(title="WARNING in folio_add_lru", kind="warning", frames=(), excerpt="")


def result(
    verdict: Verdict = Verdict.PASSED,
    *,
    test: str = MANY,
    message: str = "",
    crash: Crash | None = None,
    value: float | None = None,
) -> TestResult:
    metrics = () if value is None else (Metric(name="move", value=value, unit="us/page"),)
    return TestResult(
        id=test, verdict=verdict, seconds=1, message=message, crash=crash, metrics=metrics
    )


PASSED, FAILED, LOST = result(), result(Verdict.FAILED, message="page 3"), result(Verdict.LOST)


@pytest.mark.parametrize(
    ("verdict", "by_test", "by_number", "by_boot"),
    [
        (Verdict.SKIPPED, Outcome.SKIP, Outcome.SKIP, Outcome.GOOD),
        (Verdict.KNOWN, Outcome.BAD, Outcome.SKIP, Outcome.GOOD),
        (Verdict.FAILED, Outcome.BAD, Outcome.SKIP, Outcome.GOOD),
        (Verdict.CRASHED, Outcome.BAD, Outcome.SKIP, Outcome.GOOD),
        (Verdict.TIMED_OUT, Outcome.BAD, Outcome.SKIP, Outcome.GOOD),
        (Verdict.BOOT_FAILED, Outcome.SKIP, Outcome.SKIP, Outcome.BAD),
        (Verdict.BUILD_FAILED, Outcome.SKIP, Outcome.SKIP, Outcome.SKIP),
        (Verdict.LOST, Outcome.LOST, Outcome.LOST, Outcome.LOST),
    ],
)
def test_each_verdict_says_one_thing_about_each_symptom(
    verdict: Verdict, by_test: Outcome, by_number: Outcome, by_boot: Outcome
) -> None:
    results = [result(verdict)]
    number = MetricSpec(test=MANY, name="move", sign=">", limit=3)

    assert judge(results, TestSpec(test=MANY)).outcome is by_test
    assert judge(results, number).outcome is by_number
    assert judge(results, BootSpec()).outcome is by_boot


def test_passing_is_good() -> None:
    seen = judge([PASSED] * 8, TestSpec(test=MANY))

    assert (seen.outcome, seen.failures, seen.passes) == (Outcome.GOOD, 0, 8)
    assert seen.reason == "passed"


def test_one_failure_among_passes_is_bad_and_all_are_counted() -> None:
    seen = judge([PASSED, LOST, FAILED, PASSED], TestSpec(test=MANY))

    assert (seen.outcome, seen.failures, seen.passes, seen.lost) == (Outcome.BAD, 1, 2, 1)
    assert seen.reason == "failed: page 3"
    assert seen.message == "page 3"


def test_runs_that_the_host_lost_say_nothing() -> None:
    lost = result(Verdict.LOST, message="QEMU ended")

    seen = judge([lost, lost], TestSpec(test=MANY))

    assert (seen.outcome, seen.failures, seen.passes, seen.lost) == (Outcome.LOST, 0, 0, 2)
    assert seen.reason == "lost: QEMU ended"


def test_a_kernel_that_does_not_come_up_is_told_with_its_crash() -> None:
    panic = result(Verdict.BOOT_FAILED, crash=OOPS)

    seen = judge([panic, panic], TestSpec(test=MANY))

    assert seen.is_unbooted
    assert seen.reason == f"boot failed: {OOPS.title}"
    assert not judge([panic, PASSED], TestSpec(test=MANY)).is_unbooted
    again = judge([panic, panic], BootSpec())
    assert (again.outcome, again.failures) == (Outcome.BAD, 2)
    assert judge([PASSED], BootSpec()).reason == "booted"


@pytest.mark.parametrize("wanted", [MANY, "move_pages.c::move_pages.many", "move_pages.many"])
def test_a_test_may_be_told_by_its_end(wanted: str) -> None:
    seen = judge([result(test=OTHER), FAILED], TestSpec(test=wanted))

    assert (seen.failures, seen.passes) == (1, 0)


@pytest.mark.parametrize(
    ("ids", "wanted", "message"),
    [
        ([MANY, OTHER], "many", "no test 'many' ran; there are: .*move_pages.many"),
        (["a/x.c::t.one", "b/x.c::t.one"], "t.one", "may be any of: a/x.c::t.one, b/x.c::t.one"),
        ([], MANY, "no test ran: is migrate"),
    ],
)
def test_a_test_that_is_not_the_one_is_the_users_error(
    ids: list[str], wanted: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        judge([result(test=one) for one in ids], TestSpec(test=wanted))


@pytest.mark.parametrize(
    ("sign", "value", "outcome"),
    [
        (">", 30.0, Outcome.GOOD),
        (">", 30.1, Outcome.BAD),
        (">=", 30.0, Outcome.BAD),
        (">=", 29.9, Outcome.GOOD),
        ("<", 30.0, Outcome.GOOD),
        ("<", 29.9, Outcome.BAD),
        ("<=", 30.0, Outcome.BAD),
        ("<=", 30.1, Outcome.GOOD),
    ],
)
def test_a_number_beyond_its_limit_is_bad(sign: str, value: float, outcome: Outcome) -> None:
    spec = parse_spec(metric=f"{MANY}:move {sign} 30")

    seen = judge([result(value=value)], spec)

    assert seen.outcome is outcome
    said = "" if outcome is Outcome.BAD else "not "
    assert seen.reason == f"move is {value:g} us/page, {said}{sign} 30"


def test_a_number_that_is_none_says_nothing() -> None:
    seen = judge([result(value=float("nan"))], parse_spec(metric=f"{MANY}:move > 3"))

    assert (seen.outcome, seen.reason) == (Outcome.SKIP, "move is nan us/page")


def test_a_test_that_fails_has_measured_nothing() -> None:
    failed = dataclasses.replace(FAILED, metrics=(Metric(name="move", value=99, unit="us"),))

    seen = judge([failed], parse_spec(metric=f"{MANY}:move > 3"))

    assert (seen.outcome, seen.reason) == (Outcome.SKIP, "not measured: failed: page 3")


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (f"{MANY}:moves > 3", "measures no 'moves'; there are: move"),
        (f"{MANY}:move > 3 ms", "measured in us/page, not in ms"),
    ],
)
def test_a_number_that_is_not_measured_so_is_the_users_error(metric: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        judge([result(value=12)], parse_spec(metric=metric))


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (f"{MANY}:move > 30", MetricSpec(test=MANY, name="move", sign=">", limit=30)),
        (f"{MANY}:move>=.5", MetricSpec(test=MANY, name="move", sign=">=", limit=0.5)),
        (
            f"{MANY}:pages moved < -1.5e3 us/page",
            MetricSpec(test=MANY, name="pages moved", sign="<", limit=-1500, unit="us/page"),
        ),
        ("many:move <= 3", MetricSpec(test="many", name="move", sign="<=", limit=3)),
    ],
)
def test_a_metric_is_read_as_it_is_written(text: str, spec: MetricSpec) -> None:
    assert parse_spec(metric=text) == spec


@pytest.mark.parametrize(
    "text",
    [MANY, f"{MANY}:move", f"{MANY}:move = 3", f"{MANY}:move > fast", "move > 3", f"{MANY} > 3"],
)
def test_a_metric_that_is_not_written_so_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="write TEST:NAME"):
        parse_spec(metric=text)


@pytest.mark.parametrize(
    ("pattern", "is_found"),
    [
        (OOPS.title, True),
        ("BUG: NULL dereference in *", True),
        ("*migrate_folio", True),
        ("BUG: NULL dereference", False),
        ("bug: NULL dereference in migrate_folio", False),
        ("BUG. NULL dereference in migrate_folio", False),
        ("/dereference in (migrate|move)_/", True),
        ("/^dereference/", False),
        ("*", True),
    ],
)
def test_a_crash_is_told_by_its_title(pattern: str, *, is_found: bool) -> None:
    crashed = result(Verdict.CRASHED, crash=OOPS)

    seen = judge([crashed], parse_spec(crash=pattern))

    assert seen.outcome is (Outcome.BAD if is_found else Outcome.SKIP)


def test_a_crash_at_boot_counts_where_its_title_fits() -> None:
    crashed = result(Verdict.BOOT_FAILED, crash=OOPS)

    assert judge([crashed], parse_spec(crash=OOPS.title)).outcome is Outcome.BAD
    assert judge([crashed], parse_spec(crash=WARNING.title)).outcome is Outcome.SKIP


def test_a_kernel_on_which_nothing_crashes_is_good_though_a_test_fails() -> None:
    skipped = result(Verdict.SKIPPED, test=OTHER)

    assert judge([FAILED, skipped], CrashSpec(pattern="*")).outcome is Outcome.GOOD
    assert judge([skipped], CrashSpec(pattern="*")).outcome is Outcome.SKIP


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        (Verdict.CRASHED, Outcome.SKIP),
        (Verdict.TIMED_OUT, Outcome.SKIP),
        (Verdict.BUILD_FAILED, Outcome.SKIP),
        (Verdict.LOST, Outcome.LOST),
    ],
)
def test_what_may_have_come_in_the_way_of_a_crash_makes_no_good_kernel(
    verdict: Verdict, outcome: Outcome
) -> None:
    other = result(verdict, test=OTHER, crash=WARNING if verdict is Verdict.CRASHED else None)

    assert judge([PASSED, other], CrashSpec(pattern=OOPS.title)).outcome is outcome


def test_all_tests_of_a_run_are_judged_together_by_a_crash() -> None:
    crashed = result(Verdict.CRASHED, test=OTHER, crash=OOPS)
    first, second = [PASSED, crashed], [PASSED, result(test=OTHER)]

    seen = judge([*first, *second], CrashSpec(pattern=OOPS.title))

    assert (seen.failures, seen.passes) == (1, 1)
    assert seen.reason == f"crashed: {OOPS.title}"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "say what to judge by"),
        ({"metric": f"{MANY}:a > 1", "test": MANY}, "--metric and --test exclude"),
        ({"metric": f"{MANY}:a > 1", "crash": "*"}, "--metric and --crash exclude"),
        ({"crash": "/(/"}, "not a regular expression"),
    ],
)
def test_what_cannot_be_judged_by_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_spec(**given)


@pytest.mark.parametrize(
    ("given", "spec", "title"),
    [
        ({"test": MANY}, TestSpec(test=MANY), f"{MANY} fails"),
        ({"crash": "*"}, CrashSpec(pattern="*"), "crash *"),
        ({"crash": "*", "test": MANY}, CrashSpec(pattern="*", test=MANY), "crash *"),
        (
            {"metric": "t:n>3 us"},
            MetricSpec(test="t", name="n", sign=">", limit=3, unit="us"),
            "t: n > 3 us",
        ),
    ],
)
def test_what_is_judged_by_has_a_title(given: dict[str, str], spec: JudgeSpec, title: str) -> None:
    assert parse_spec(**given) == spec
    assert spec.title == title


def test_what_a_guest_says_is_cleaned_and_bounded() -> None:
    failed = result(Verdict.FAILED, message=HOSTILE + "x" * 100_000)

    seen = judge([failed], TestSpec(test=MANY))

    assert "\x1b" not in seen.reason + seen.message
    assert len(seen.reason) < 300
    assert len(seen.message) <= 2000
