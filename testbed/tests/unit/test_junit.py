from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from testbed.core.junit import escape_illegal, merge_junit
from testbed.core.record import CellRecord, Role
from testbed.core.result import Crash, TestResult, Verdict
from testbed.tests.unit.records import (
    HOSTILE,
    MBIND,
    NULL_DEREFERENCE,
    make_cell,
    make_test,
    wrong_node_run,
)

PYTEST_PART = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="1" skipped="1"
 tests="3" time="1.250" timestamp="2025-03-14T15:09:26+00:00" hostname="host">
<testcase classname="guest-tests.mempolicy.mbind.c" name="global.move_private" time="0.500">
<properties><property name="verdict" value="failed" /></properties>
<failure message="node 0, not node 1">mbind.c:97</failure></testcase>
<testcase classname="guest-tests.hotplug.test_dimm" name="test_offline[a/b::c]" time="0.250" />
<testcase classname="guest-tests.hotplug.test_dimm.TestRemove" name="test_busy" time="0.500">
<skipped type="pytest.skip" message="no slots">test_dimm.py:1</skipped></testcase>
</testsuite></testsuites>
"""
PYTEST_TESTS = (
    make_test(f"{MBIND}::global.move_private", Verdict.FAILED, message="of the record"),
    make_test("guest-tests/hotplug/test_dimm.py::test_offline[a/b::c]"),
    make_test("guest-tests/hotplug/test_dimm.py::TestRemove::test_busy", Verdict.SKIPPED),
)


def merge(*parts: tuple[CellRecord, str | None]) -> dict[str, TestSuite]:
    """Merge and read the result again, with both parsers; return the suites by name."""
    text = merge_junit(parts)
    assert ET.fromstring(text.encode()).tag == "testsuites"  # noqa: S314 - our own text
    return {suite.name or "": suite for suite in JUnitXml.fromstring(text.encode())}


def cases_of(suite: TestSuite) -> dict[tuple[str | None, str | None], TestCase]:
    return {(case.classname, case.name): case for case in suite}


def only_case(test: TestResult, part: str | None = None) -> TestCase:
    (suite,) = merge((make_cell([test]), part)).values()
    (case,) = list(suite)
    return case


def test_what_pytest_wrote_is_kept_under_the_name_of_the_cell() -> None:
    cell = make_cell(PYTEST_TESTS)
    suite = merge((cell, PYTEST_PART))[cell.name]
    cases = cases_of(suite)
    assert list(cases) == [
        ("guest-tests.mempolicy.mbind.c", "global.move_private"),
        ("guest-tests.hotplug.test_dimm", "test_offline[a/b::c]"),
        ("guest-tests.hotplug.test_dimm.TestRemove", "test_busy"),
    ]
    failed = cases["guest-tests.mempolicy.mbind.c", "global.move_private"]
    assert [type(r) for r in failed.result] == [Failure]
    assert failed.result[0].message == "node 0, not node 1"
    assert failed.result[0].text == "mbind.c:97"
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (3, 1, 1, 0)
    assert suite.time == 1.25
    assert (suite.timestamp, suite.hostname) == ("2025-03-14T15:09:26+00:00", "host")


def test_the_properties_of_a_case_are_kept() -> None:
    text = merge_junit([(make_cell(PYTEST_TESTS), PYTEST_PART)])
    found = ET.fromstring(text).find(".//testcase/properties/property")  # noqa: S314 - our own
    assert found is not None
    assert found.attrib == {"name": "verdict", "value": "failed"}


def test_every_cell_is_a_suite_and_the_totals_are_of_all() -> None:
    run = wrong_node_run()
    text = merge_junit([(cell, None) for cell in run.cells])
    xml = JUnitXml.fromstring(text.encode())
    assert [suite.name for suite in xml] == [cell.name for cell in run.cells]
    tests = [test for cell in run.cells for test in cell.tests]
    assert xml.tests == len(tests)
    assert xml.skipped == sum(t.verdict is Verdict.SKIPPED for t in tests)
    kernel = {Verdict.FAILED, Verdict.CRASHED}
    assert xml.failures == sum(t.verdict in kernel for t in tests)
    assert xml.errors == sum(t.verdict is Verdict.LOST for t in tests)


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (Verdict.SKIPPED, Skipped),
        (Verdict.KNOWN, Skipped),
        (Verdict.FAILED, Failure),
        (Verdict.CRASHED, Failure),
        (Verdict.TIMED_OUT, Failure),
        (Verdict.BOOT_FAILED, Error),
        (Verdict.BUILD_FAILED, Error),
        (Verdict.LOST, Error),
    ],
)
def test_a_case_that_pytest_did_not_write_is_made(verdict: Verdict, kind: type) -> None:
    case = only_case(make_test(f"{MBIND}::global.a", verdict, message="why\nand how"))
    assert (case.classname, case.name) == ("guest-tests.mempolicy.mbind.c", "global.a")
    assert case.time == 0.75
    (result,) = case.result
    assert type(result) is kind
    assert (result.message, result.type, result.text) == ("why", verdict, "why\nand how")


def test_a_passed_case_that_is_made_has_no_result() -> None:
    assert only_case(make_test()).is_passed


def test_a_made_case_without_a_message_says_its_verdict() -> None:
    (result,) = only_case(make_test(verdict=Verdict.TIMED_OUT)).result
    assert result.message == "timed_out"


def test_a_made_case_tells_the_crash() -> None:
    test = make_test(verdict=Verdict.CRASHED, message="gone", crash=NULL_DEREFERENCE)
    (result,) = only_case(test).result
    assert result.message == NULL_DEREFERENCE.title
    text = result.text or ""
    assert text.splitlines()[:2] == [NULL_DEREFERENCE.title, "gone"]
    assert "RIP: 0010:migrate_folio_unmap+0x92/0x410" in text


def test_a_test_that_is_missing_in_the_part_is_added_to_it() -> None:
    lost = make_test(f"{MBIND}::global.later", Verdict.LOST, message="pytest was killed")
    suite = merge((make_cell([*PYTEST_TESTS, lost]), PYTEST_PART))["base-numa2"]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (4, 1, 1, 1)
    assert cases_of(suite)["guest-tests.mempolicy.mbind.c", "global.later"].is_error


@pytest.mark.parametrize(
    "part", ["", "junk", PYTEST_PART[:400], "<html/>", "\x00", "<a>\ud800</a>"]
)
def test_a_part_that_is_no_junit_counts_as_none(part: str) -> None:
    tests = cases_of(merge((make_cell(PYTEST_TESTS), part))["base-numa2"])
    assert len(tests) == len(PYTEST_TESTS)
    (result,) = tests["guest-tests.mempolicy.mbind.c", "global.move_private"].result
    assert result.message == "of the record"


@pytest.mark.parametrize("verdict", sorted(set(Verdict) - {Verdict.FAILED}))
def test_where_pytest_and_the_record_disagree_the_record_counts(verdict: Verdict) -> None:
    test = make_test(f"{MBIND}::global.move_private", verdict, message="of the record")
    cell = make_cell([test, *PYTEST_TESTS[1:]])
    suite = merge((cell, PYTEST_PART))[cell.name]
    case = cases_of(suite)["guest-tests.mempolicy.mbind.c", "global.move_private"]
    is_good = verdict in {Verdict.PASSED, Verdict.SKIPPED, Verdict.KNOWN}
    assert (case.is_failure or case.is_error) is not is_good
    assert case.is_skipped is (verdict in {Verdict.SKIPPED, Verdict.KNOWN})
    assert suite.tests == 3


def test_what_pytest_wrote_of_a_known_failure_is_kept() -> None:
    part = PYTEST_PART.replace("pytest.skip", "pytest.xfail").replace("no slots", "known: why (x)")
    test = make_test(PYTEST_TESTS[2].id, Verdict.KNOWN, message="known: of the record")
    suite = merge((make_cell([*PYTEST_TESTS[:2], test]), part))["base-numa2"]
    case = cases_of(suite)["guest-tests.hotplug.test_dimm.TestRemove", "test_busy"]
    assert [(r.message, r.type) for r in case.result] == [("known: why (x)", "pytest.xfail")]


def test_an_ok_before_an_oops_is_no_pass() -> None:
    part = PYTEST_PART.replace('<failure message="node 0, not node 1">mbind.c:97</failure>', "")
    test = make_test(f"{MBIND}::global.move_private", Verdict.CRASHED, crash=NULL_DEREFERENCE)
    suite = merge((make_cell([test, *PYTEST_TESTS[1:]]), part))["base-numa2"]
    case = cases_of(suite)["guest-tests.mempolicy.mbind.c", "global.move_private"]
    assert [r.message for r in case.result] == [NULL_DEREFERENCE.title]


def test_both_cases_of_a_test_whose_teardown_failed_too_are_kept() -> None:
    twice = """<testsuite name="pytest">
        <testcase classname="a" name="t"><failure message="call"/></testcase>
        <testcase classname="a" name="t"><error message="teardown"/></testcase></testsuite>"""
    suite = merge((make_cell([make_test("a.py::t", Verdict.FAILED)]), twice))["base-numa2"]
    assert [r.message for case in suite for r in case.result] == ["call", "teardown"]


def test_a_case_that_the_record_does_not_know_is_kept() -> None:
    suite = merge((make_cell(), PYTEST_PART))["base-numa2"]
    assert suite.tests == 3


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        "]]>",
        "".join(map(chr, range(0x20))),
        "\ud800\udfff\ufffe\uffff",
        "<!--" + chr(0x10FFFF),
        "\x1b[31m\x7f",
        "x" * 100_000,
    ],
    ids=["hostile", "cdata end", "controls", "not characters", "comment", "escape", "long"],
)
def test_the_xml_is_valid_whatever_a_guest_said(text: str) -> None:
    crash = Crash(title=text, kind="oops", frames=(text,), excerpt=text)
    cells = [
        make_cell(
            [
                make_test(f"{MBIND}::{text}[{text}]", Verdict.CRASHED, message=text, crash=crash),
                make_test("plain", Verdict.FAILED, message=text),
            ],
            topology=text,
            role=Role.PATCHED,
        )
    ]
    (suite,) = merge((cells[0], None)).values()
    (plain,) = [case for case in suite if case.name == "plain"]
    (result,) = plain.result
    normal = escape_illegal(text).replace("\r\n", "\n").replace("\r", "\n")
    assert result.text == normal


def test_what_xml_cannot_carry_is_written_out_as_pytest_does() -> None:
    assert escape_illegal("a\x1b[1m\x00\x7f\ud800\ufffe\tä\n") == (
        "a#x1B[1m#x00#x7F#xD800#xFFFE\tä\n"
    )


def test_the_message_of_a_made_case_is_a_short_line() -> None:
    (result,) = only_case(make_test(verdict=Verdict.FAILED, message="\n" + "y" * 900)).result
    assert result.message == "y" * 500
