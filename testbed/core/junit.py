"""One junit.xml of a run out of those that pytest wrote, one a cell.

The record is what counts: a case that pytest did not live to write, or that it saw otherwise than
the record does (a kernel that crashed after printing "ok"), is made from the record.
"""
# junitparser claims to be typed, and half of it is not:
# mypy: untyped-calls-exclude=junitparser

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite

from testbed.core.compare import is_bad
from testbed.core.record import CellRecord
from testbed.core.result import TestResult, Verdict
from testbed.core.text import shorten_middle

# XML 1.0, production [2] Char; DEL goes too, as it does in the files that pytest writes.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\x7e\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MESSAGE_CHARS: Final = 500
_TEXT_CHARS: Final = 256 * 1024

# JUnit has no failure that is expected. pytest writes its own, XFAIL, as skipped with a message,
# which CI servers show apart from what passed and which turns no build red: so does KNOWN.
_RESULTS: Final[Mapping[Verdict, type[Failure | Error | Skipped]]] = {
    Verdict.SKIPPED: Skipped,
    Verdict.KNOWN: Skipped,
    Verdict.FAILED: Failure,
    Verdict.CRASHED: Failure,
    Verdict.TIMED_OUT: Failure,
    Verdict.BOOT_FAILED: Error,
    Verdict.BUILD_FAILED: Error,
    Verdict.LOST: Error,
}


def merge_junit(parts: Sequence[tuple[CellRecord, str | None]]) -> str:
    """Return one JUnit XML text with a suite per cell, named as the cell is.

    Each part is a cell and the text that pytest wrote for it, or None where it wrote none; a text
    that cannot be parsed (pytest was killed while writing) counts as none. Cases are matched by
    ``TestResult.id`` as pytest's node id, from which pytest derives class name and name. Whatever
    is in messages, the result is valid XML.
    """
    merged = JUnitXml("testbed")
    for cell, text in parts:
        merged.append(_merge_cell(cell, _parse_suites(text)))
    merged.update_statistics()
    xml: bytes = merged.tostring()
    return xml.decode()


def escape_illegal(text: str) -> str:
    """Write out characters that XML cannot carry as ``#x1B``, which is how pytest does it."""
    return _NOT_XML.sub(lambda match: f"#x{ord(match.group()):02X}", text)


def _parse_suites(text: str | None) -> tuple[TestSuite, ...]:
    if text is None:
        return ()
    try:
        return tuple(JUnitXml.fromstring(escape_illegal(text).encode()))
    except (SyntaxError, JUnitXmlError):  # both parsers' errors are SyntaxErrors
        return ()


def _merge_cell(cell: CellRecord, parts: Iterable[TestSuite]) -> TestSuite:
    suite = TestSuite(escape_illegal(cell.name))
    written: defaultdict[tuple[str, str], list[TestCase]] = defaultdict(list)
    for part in parts:
        suite.timestamp = suite.timestamp or part.timestamp
        suite.hostname = suite.hostname or part.hostname
        for case in part:
            written[case.classname or "", case.name or ""].append(case)
    for test in cell.tests:
        cases = written.pop(_case_address(test.id), [])
        suite.extend(cases if _do_agree(cases, test.verdict) else [_make_case(test)])
    for unknown in written.values():  # such as a file that could not be collected
        suite.extend(unknown)
    return suite


def _case_address(test_id: str) -> tuple[str, str]:
    """Return class name and name as pytest makes them of a node id.

    After ``mangle_test_address()`` of _pytest/junitxml.py, pytest 9: the file's slashes become
    dots, its ``.py`` goes, parameters stay whole.
    """
    address, bracket, parameters = escape_illegal(test_id).partition("[")
    file, *names = address.split("::")
    dotted = [file.replace("/", ".").removesuffix(".py"), *names]
    dotted[-1] += bracket + parameters
    return ".".join(dotted[:-1]), dotted[-1]


def _do_agree(cases: Sequence[TestCase], verdict: Verdict) -> bool:
    """Whether the cases that pytest wrote for a test say what its verdict says.

    There may be two: pytest writes an error of the teardown as a case of its own.
    """
    is_broken = any(case.is_failure or case.is_error for case in cases)
    is_skipped = not is_broken and any(case.is_skipped for case in cases)
    expected = (is_bad(verdict) or verdict is Verdict.LOST, _RESULTS.get(verdict) is Skipped)
    return bool(cases) and (is_broken, is_skipped) == expected


def _make_case(test: TestResult) -> TestCase:
    classname, name = _case_address(test.id)
    case = TestCase(name, classname, test.seconds)
    if kind := _RESULTS.get(test.verdict):
        title = test.crash.title if test.crash else ""
        excerpt = test.crash.excerpt if test.crash else ""
        result = kind(escape_illegal(_headline(test, title)), str(test.verdict))
        text = "\n".join(filter(None, (title, test.message, excerpt)))
        result.text = escape_illegal(shorten_middle(text, width=_TEXT_CHARS))
        case.append(result)
    return case


def _headline(test: TestResult, title: str) -> str:
    first = next((line for line in test.message.splitlines() if line.strip()), "")
    return (title or first or str(test.verdict))[:_MESSAGE_CHARS]
