"""The cases of a kselftest_harness program, from what it prints for ``-l``.

Format: test_harness_list_tests() in tools/testing/selftests/kselftest_harness.h, 6.12. A block a
fixture, divided by a line of dashes; each row is ``"%-20s %-25s %s"`` of fixture, variant, test,
where the fixture stands in the first row only and the lists of variants and of tests are printed
beside each other, the shorter one padded with blanks: the rows are no cross product.
"""

import re
from collections.abc import Iterable
from itertools import product
from typing import Final

from testbed.core.text import shorten_middle
from testbed.errors import UserError

MAX_CASES: Final = 10_000
_SHOWN_CHARS: Final = 120
# The harness makes each of them from an identifier of C, which this also bounds in length: a case
# is a command's argument, a part of file names, and shown.
_NAME: Final = re.compile(r"[A-Za-z_$][\w$]{0,299}", re.ASCII)
_FIXTURE_WIDTH: Final = 20
_VARIANT_WIDTH: Final = 25


def parse_case_list(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the names of all cases as option ``-r`` takes them: ``fixture[.variant].test``.

    Raises :class:`UserError` for what no program of the harness prints, and beyond
    :data:`MAX_CASES` cases.
    """
    cases: list[str] = []
    fixture, variants, tests = "", list[str](), list[str]()
    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("----"):
            _add_crossed(cases, fixture, variants, tests)
            fixture, variants, tests = "", [], []
            continue
        named, rest = _take_column(line, _FIXTURE_WIDTH)
        variant, test = _take_column(rest, _VARIANT_WIDTH)
        _check_names(line, named, variant, test.strip())
        fixture = named or fixture
        variants += [variant] if variant else []
        tests += [test.strip()] if test.strip() else []
    _add_crossed(cases, fixture, variants, tests)
    return tuple(cases)


def _check_names(line: str, *names: str) -> None:
    if not all(_NAME.fullmatch(name) for name in names if name):
        raise UserError(
            "no list of test cases: the program does not answer -l as kselftest_harness.h does, "
            f"but prints {shorten_middle(line, width=_SHOWN_CHARS)!r}"
        )


def _take_column(text: str, width: int) -> tuple[str, str]:
    """Split a left-aligned column off, which a long name makes wider than ``width``."""
    name = "" if text.startswith(" ") else text.split(" ", 1)[0]
    return name, text[max(width, len(name)) + 1 :]


def _add_crossed(cases: list[str], fixture: str, variants: list[str], tests: list[str]) -> None:
    variants = variants or [""]
    if len(cases) + len(variants) * len(tests) > MAX_CASES:
        raise UserError(f"a test program with more than {MAX_CASES} cases: divide it")
    cases += [
        f"{fixture}.{variant}.{test}" if variant else f"{fixture}.{test}"
        for variant, test in product(variants, tests)
    ]
