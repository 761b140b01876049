"""The grammar of KTAP: what each line of a kselftest program's output is.

Sources: Documentation/dev-tools/ktap.rst, tools/testing/selftests/kselftest.h and
kselftest_harness.h (6.12; 6.1 writes the result of a skipped case without its name).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What a result line says, its directive included."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"
    XFAIL = "xfail"
    XPASS = "xpass"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultLine:
    """One ``ok`` or ``not ok`` line; ``number`` is None where it has none, as TAP 13 allows."""

    text: str
    is_ok: bool
    number: int | None
    name: str
    outcome: Outcome
    reason: str


_MAX_DIGITS: Final = 9  # longer numbers are no counts, and int() of them is slow

# A kernel line on the same stream; what the kernel says is not the program's result.
KERNEL_LINE: Final = re.compile(r"(<\d+>)?\[ *\d+\.\d{6}\]")
VERSION: Final = re.compile(r"(?:TAP version 1[34]|KTAP version 1)$")
PLAN: Final = re.compile(r"1\.\.(?P<count>\d+)(?:\s+#\s*SKIP\b\s*(?P<reason>.*))?$", re.IGNORECASE)
_RESULT: Final = re.compile(r"(?P<verdict>ok|not ok)(?: (?P<number>\d+))?(?P<rest>| .*)$")
_DIRECTIVE: Final = re.compile(
    r"(?:^|\s)#(?:\s*(?P<word>SKIP|TODO|XFAIL|XPASS|TIMEOUT|ERROR)\w*:?(?=\s|$)|(?=\s))\s*(?P<reason>.*)$",
    re.IGNORECASE,
)
BAIL_OUT: Final = re.compile(r"Bail out!\s*(?P<reason>.*)$")
RUN: Final = re.compile(r"#  RUN           (?P<name>\S+) \.\.\.$")
TOTALS: Final = re.compile(
    r"# Totals: pass:(?P<pass>\d+) fail:(?P<fail>\d+) xfail:(?P<xfail>\d+) "
    r"xpass:(?P<xpass>\d+) skip:(?P<skip>\d+) error:(?P<error>\d+)$"
)
# What the harness says about itself: nothing of it explains a failure.
HARNESS_NOISE: Final = re.compile(
    r"#\s+(?:OK|FAIL|SKIP) {2,}|# Starting \d+ tests from"
    r"|# (?:PASSED|FAILED): \d+ /|# Planned tests != run"
)
EXPECTATION: Final = re.compile(r"(?:# )?\S+\.[ch]:\d+:\w+:Expected ")

_OUTCOMES: Final = {
    ("ok", ""): Outcome.PASS,
    ("ok", "SKIP"): Outcome.SKIP,
    ("ok", "XFAIL"): Outcome.XFAIL,
    ("ok", "XPASS"): Outcome.XPASS,
    ("ok", "TODO"): Outcome.XPASS,
    ("not ok", ""): Outcome.FAIL,
    ("not ok", "SKIP"): Outcome.FAIL,  # a contradiction: the worse of the two counts
    ("not ok", "XFAIL"): Outcome.XFAIL,
    ("not ok", "XPASS"): Outcome.FAIL,
    ("not ok", "TODO"): Outcome.XFAIL,
    ("ok", "TIMEOUT"): Outcome.TIMEOUT,
    ("not ok", "TIMEOUT"): Outcome.TIMEOUT,
    ("ok", "ERROR"): Outcome.ERROR,
    ("not ok", "ERROR"): Outcome.ERROR,
}


def parse_result(body: str) -> ResultLine | None:
    """Return what a line without its indentation says, None where it is no result."""
    match = _RESULT.match(body)
    if match is None:
        return None
    rest = match["rest"].strip().removeprefix("- ")
    directive = _DIRECTIVE.search(rest) if "#" in rest else None  # the search is slow
    word = (directive["word"] or "").upper() if directive else ""
    return ResultLine(
        text=body,
        is_ok=match["verdict"] == "ok",
        number=int(match["number"][:_MAX_DIGITS]) if match["number"] else None,
        name=rest[: directive.start()].strip() if directive else rest,
        outcome=_OUTCOMES[match["verdict"], word],
        reason=directive["reason"] if directive else "",
    )
