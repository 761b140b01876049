"""What a run keeps so that it can be resumed, and when it may not be."""

from pathlib import Path

import pytest
from junitparser import JUnitXml

from testbed.core.assemble import collect_results, find_finished, is_complete, sum_seconds
from testbed.core.events import BOOT_TEST, Begun, BootFailed, Broken, Collected, Event, Finished
from testbed.core.junit import merge_junit
from testbed.core.plan import Plan
from testbed.core.request import RunRequest, SavedRun, dump_request, parse_request
from testbed.core.result import Crash, TestResult, Verdict
from testbed.errors import UserError
from testbed.host.run_dir import REQUEST_FILE, RunDir
from testbed.pipeline.footing import check_footing
from testbed.tests.unit.records import make_cell, make_test

CRASH = Crash(title="Kernel panic: no", kind="panic", frames=(), excerpt="text")


def make_saved(**update: object) -> SavedRun:
    plan = Plan(
        kconfig=("base",), topologies=("two-nodes",), tests=("migrate",), series=("Übung \udcff",)
    )
    request = RunRequest(
        plan=plan,
        plan_name="quick",
        command=("testbed", "run", "-k", "a or b"),
        workdir="/home/x\udcff",
        tree="linux",
        is_narrowed=True,
    )
    saved = SavedRun(request=request, started="2026-03-14T12:00:00+00:00", part_began_s=12.5)
    return saved.model_copy(update=update)


def finished(name: str, verdict: Verdict = Verdict.PASSED) -> Finished:
    return Finished(result=TestResult(id=name, verdict=verdict, seconds=1.0))


def test_a_request_survives_the_file_with_names_that_are_no_utf_8(tmp_path: Path) -> None:
    saved = make_saved(footing={"base kernel": "k1"}, spent_s=3.25)
    run_dir = RunDir(tmp_path)
    run_dir.write(REQUEST_FILE, dump_request(saved))
    assert parse_request(run_dir.read(REQUEST_FILE), filename="r") == saved


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "r: not JSON: "),
        ("[]", "r: not as this version of the testbed writes it"),
        (dump_request(make_saved(version=2)), "r: not as this version of the testbed writes it"),
        ('{"version": 1}', "r: key 'request' is missing"),
        (
            dump_request(make_saved()).replace('"tree"', '"trees"'),
            "r: unknown key 'request.trees'; allowed here: plan, plan_name",
        ),
        (
            dump_request(make_saved()).replace('"parallel": 0', '"parallel": "0"'),
            "r: key 'request.plan.parallel': '0' will not do",
        ),
    ],
)
def test_a_request_that_is_none_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_request(text, filename="r")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_run_is_not_resumed_on_another_kernel(tmp_path: Path) -> None:
    saved = make_saved(footing={"base kernel": "k1", "guest image": "i1", "QEMU": "7.2"})
    check_footing(saved, {"base kernel": "k1"}, folder=tmp_path)
    check_footing(make_saved(), {"base kernel": "k1"}, folder=tmp_path)  # nothing was tested yet
    now = {"base kernel": "k2", "guest image": "i2", "QEMU": "7.2"}
    with pytest.raises(UserError) as caught:
        check_footing(saved, now, folder=tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: cannot be resumed, since its first tests were run with another base kernel, "
        "guest image: start it anew with `testbed run -k 'a or b'`"
    )


@pytest.mark.parametrize(
    ("events", "done", "is_whole"),
    [
        ((), (), False),
        ((Collected(ids=("a", "b")), finished("b")), ("b",), False),
        ((Collected(ids=("a", "b")), finished("b"), finished("a")), ("b", "a"), True),
        ((Collected(ids=()),), (), True),
        ((Collected(ids=("a",)), finished("a", Verdict.LOST)), (), False),
        ((Collected(ids=("a",)), finished("a", Verdict.LOST), finished("a")), ("a",), True),
        ((Collected(ids=("a", "b")), finished("a"), Broken(reason="disk")), ("a",), False),
        ((Collected(ids=(BOOT_TEST, "a")), BootFailed(crash=CRASH)), (), False),
        (
            (
                Collected(ids=(BOOT_TEST, "a")),
                BootFailed(crash=CRASH),
                finished("a", Verdict.BOOT_FAILED),
            ),
            (),
            True,
        ),
        (
            (
                Collected(ids=(BOOT_TEST, "a", "b")),
                BootFailed(crash=CRASH),
                finished("a", Verdict.BOOT_FAILED),
                finished(BOOT_TEST),
                finished("b"),
            ),
            (BOOT_TEST, "b"),
            False,
        ),
    ],
)
def test_what_is_left_of_a_cell(
    events: tuple[Event, ...], done: tuple[str, ...], *, is_whole: bool
) -> None:
    assert find_finished(events) == done
    assert is_complete(events) is is_whole


def test_a_test_that_was_collected_twice_has_one_result_its_last() -> None:
    first: list[Event] = [
        Collected(ids=("a", "b")),
        finished("a", Verdict.LOST),
        Broken(reason="no QEMU"),
    ]
    again: list[Event] = [Collected(ids=("a", "b")), finished("a"), Broken(reason="a full disk")]
    results = collect_results([*first, *again])
    assert [(one.id, one.verdict) for one in results] == [
        ("a", Verdict.PASSED),
        ("b", Verdict.LOST),
    ]
    assert results[1].message == "a full disk"


def test_the_pause_between_two_parts_is_not_counted() -> None:
    assert sum_seconds([], until_s=50) == 0
    first = Begun(at_s=100)
    assert sum_seconds([first, finished("a")], until_s=130) == 30
    again = Begun(at_s=1000, spent_s=30)
    assert sum_seconds([first, finished("a"), again], until_s=1012) == 42
    assert sum_seconds([first], until_s=99) == 0  # the clock was put back


def test_junit_is_complete_where_the_last_pytest_ran_the_rest_alone() -> None:
    ids = ("migrate/x.c::global.a", "migrate/x.c::global.b", "migrate/x.c::global.c")
    verdicts = (Verdict.PASSED, Verdict.FAILED, Verdict.PASSED)
    cell = make_cell([make_test(*one) for one in zip(ids, verdicts, strict=True)])
    text = (
        '<testsuites><testsuite name="pytest"><testcase classname="migrate.x.c" name="global.c" '
        'time="2.5"><properties><property name="verdict" value="passed"/></properties></testcase>'
        "</testsuite></testsuites>"
    )
    (suite,) = JUnitXml.fromstring(merge_junit([(cell, text)]).encode())
    cases = {case.name: case for case in suite}
    assert sorted(cases) == ["global.a", "global.b", "global.c"]
    assert [cases[name].is_failure for name in sorted(cases)] == [False, True, False]
    assert cases["global.c"].time == 2.5
