"""The cases of a kselftest_harness program, from what it prints for ``-l``.

Format: test_harness_list_tests() in tools/testing/selftests/kselftest_harness.h, 6.12. A block a
fixture, divided by a line of dashes; each row is ``"%-20s %-25s %s"`` of fixture, variant, test,
where the fixture stands in the first row only and the lists of variants and of tests are printed
beside each other, the shorter one padded with blanks: the rows are no cross product.
"""

from collections.abc import Iterable
from typing import Final

_FIXTURE_WIDTH: Final = 20
_VARIANT_WIDTH: Final = 25


def parse_case_list(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all cases as option ``-r`` takes them: ``fixture[.variant].test``."""
    cases: list[str] = []
    fixture, variants, tests = "", list[str](), list[str]()
    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("----"):
            cases += _cross(fixture, variants, tests)
            fixture, variants, tests = "", [], []
            continue
        named, rest = _take_column(line, _FIXTURE_WIDTH)
        variant, test = _take_column(rest, _VARIANT_WIDTH)
        fixture = named or fixture
        variants += [variant] if variant else []
        tests += [test.strip()] if test.strip() else []
    return (*cases, *_cross(fixture, variants, tests))


def _take_column(text: str, width: int) -> tuple[str, str]:
    """Split a left-aligned column off, which a long name makes wider than ``width``."""
    name = "" if text.startswith(" ") else text.split(" ", 1)[0]
    return name, text[max(width, len(name)) + 1 :]


def _cross(fixture: str, variants: list[str], tests: list[str]) -> list[str]:
    return [
        f"{fixture}.{variant}.{test}" if variant else f"{fixture}.{test}"
        for variant in variants or [""]
        for test in tests
    ]
