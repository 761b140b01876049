"""The output of one run of a kselftest program: KTAP lines to cases, with all that was wrong.

A verdict on one case of it is :func:`judge_case`. The grammar of the lines is in
:mod:`testbed.core.ktap_line`.
"""

import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from testbed.core.ktap_case import (
    MAX_CASES,
    MAX_MARKER_CHARS,
    MAX_MARKERS,
    KtapCase,
    Level,
    Pending,
    Room,
)
from testbed.core.ktap_line import (
    BAIL_OUT,
    EXPECTATION,
    HARNESS_NOISE,
    KERNEL_LINE,
    PLAN,
    RUN,
    TOTALS,
    VERSION,
    Outcome,
    ResultLine,
    parse_result,
)
from testbed.core.marker import MarkerError, parse_marker
from testbed.core.result import Metric, NodeCount, Placement, Verdict
from testbed.core.text import clean, shorten_middle

MAX_LINE_CHARS: Final = 16 * 1024
MAX_DEPTH: Final = 8
MAX_LINES: Final = 200_000  # of a whole transcript
_MAX_DIAGNOSTIC_LINE_CHARS: Final = 1000
_MAX_PROBLEMS: Final = 50
_MAX_COMPLAINTS: Final = 40
_HINTS: Final = {
    Outcome.XPASS: " (did it end by an exit status of its own? Only a plain ok passes)",
    Outcome.XFAIL: " (expected failures are not marked here: the base fails as well)",
}
KSFT_SKIP: Final = 4  # exit status, tools/testing/selftests/kselftest.h, 6.12
_SHOWN_CHARS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class KtapRun:
    """All of one program's output.

    ``planned`` is None without a plan; ``skip_reason`` is set where the whole program skipped
    itself (``1..0 # SKIP``). ``problems`` say where the output is not what a program that ran to
    its end prints: one is enough not to trust the results. ``tail`` are the lines after the last
    result that no result followed: the last words of a case that did not end.
    """

    cases: tuple[KtapCase, ...]
    planned: int | None
    problems: tuple[str, ...]
    skip_reason: str | None = None
    tail: tuple[str, ...] = ()


_BAD_OUTCOMES: Final = (Outcome.ERROR, Outcome.TIMEOUT, Outcome.FAIL)


def parse_ktap(lines: Iterable[str]) -> KtapRun:
    """Read the output of one run, line by line; whatever is wrong with it is a problem.

    More than :data:`MAX_LINES` lines are not read, more than :data:`MAX_CASES` results and
    :data:`MAX_MARKERS` metrics and placements are not kept; each of these is a problem too.
    """
    parser = _Parser()
    for number, line in enumerate(lines):
        if number == MAX_LINES:
            parser.give_up(f"more than {MAX_LINES} lines: the others were not read")
            break
        parser.feed(line)
    return parser.finish()


class _Parser:
    """State of a parse: the stack of levels, outermost first."""

    def __init__(self) -> None:
        self._levels = [Level(indentation=0)]
        self._problems: list[str] = []
        self._dropped_problems = 0
        self._is_bailed_out = False
        self._room = Room()
        self._told_limits: set[str] = set()

    def feed(self, line: str) -> None:
        raw_chars = len(line)
        text = clean(line[: MAX_LINE_CHARS + 1]).rstrip()
        if KERNEL_LINE.match(text):
            return
        body = text.lstrip(" ")
        indentation = len(text) - len(body)
        if not self._feed_structure(body, indentation):
            self._feed_diagnostic(body, indentation, is_cut=raw_chars > MAX_LINE_CHARS)

    def give_up(self, limit: str) -> None:
        """Say, once, which limit this transcript is beyond."""
        if limit not in self._told_limits:
            self._told_limits.add(limit)
            self._problems.append(limit)  # not counted with the others: it explains many of them

    def finish(self) -> KtapRun:
        top = self._pop_to(0)
        if top.pending.children:
            self._add_problem("nested results have no result line of their parent")
        self._check_level(top)
        if self._dropped_problems:
            self._problems.append(f"... {self._dropped_problems} more problems")
        return KtapRun(
            cases=tuple(top.cases),
            planned=top.planned,
            problems=tuple(self._problems),
            skip_reason=top.skip_reason,
            tail=top.pending.shown_diagnostics,
        )

    def _feed_structure(self, body: str, indentation: int) -> bool:
        """Take a line that is part of the protocol; False for all others."""
        if VERSION.match(body):
            self._enter(indentation, is_new=True)
        elif match := PLAN.match(body):
            self._take_plan(self._enter(indentation), match)
        elif result := parse_result(body):
            return self._take_result(result, indentation)
        elif match := BAIL_OUT.match(body):
            self._is_bailed_out = True
            self._add_problem(_shorten(f"Bail out! {match['reason']}".rstrip()))
        else:
            return False
        return True

    def _feed_diagnostic(self, body: str, indentation: int, *, is_cut: bool) -> None:
        pending = self._find(indentation).pending
        if body.startswith("# @"):
            self._take_marker(body, pending, is_cut=is_cut)
        elif match := RUN.match(body):
            if pending.name:
                self._add_problem(f"{pending.name} began and did not end")
            pending.name = _shorten(match["name"])
        elif match := TOTALS.match(body):
            self._check_totals(match, self._find(indentation))
        elif body and not HARNESS_NOISE.match(body):
            pending.add_diagnostic(_shorten(body), self._room)

    def _take_plan(self, level: Level, match: re.Match[str]) -> None:
        count = int(match["count"][:9])
        if level.planned is not None:
            self._add_problem(f"a second plan: 1..{count} after 1..{level.planned}")
            return
        level.planned = count
        if count == 0 and match["reason"] is not None:
            level.skip_reason = _shorten(match["reason"]) or "no reason given"

    def _take_result(self, result: ResultLine, indentation: int) -> bool:
        if result.number is None:
            # KTAP wants a number. A bare "ok" is some chat; "not ok" must not go unheard.
            if result.is_ok:
                return False
            self._add_problem(f"a result without a number: {_show(result.text)}")
            return True
        if self._is_bailed_out:
            self._add_problem(f"a result after the bail-out: {_show(result.text)}")
            return True
        if not self._room.cases:
            self.give_up(f"more than {MAX_CASES} results: the others were not kept")
            return True
        self._room.cases -= 1
        level = self._enter(indentation)
        self._check_number(result.number, level)
        case = self._make_case(result, level.pending)
        if case.name and case.name in level.names:
            self._add_problem(f"{_show(case.name)} has more than one result")
        level.names.add(case.name)
        level.cases.append(case)
        level.outcomes[case.outcome.value] += 1
        level.pending = Pending()
        return True

    def _check_number(self, number: int, level: Level) -> None:
        due = len(level.cases) + 1
        if number in level.numbers:
            self._add_problem(f"number {number} came twice")
        elif number != due:
            self._add_problem(f"number {number} came where {due} was due")
        level.numbers.add(number)

    def _make_case(self, result: ResultLine, pending: Pending) -> KtapCase:
        name = _shorten(result.name)
        if pending.name and name and name != pending.name:
            self._add_problem(f"{pending.name} began, and {_show(name)} ended")
        return KtapCase(
            name=name or pending.name,
            outcome=_weigh(result.outcome, pending.children),
            reason=_shorten(result.reason),
            diagnostics=pending.shown_diagnostics,
            metrics=tuple(pending.metrics),
            placements=tuple(pending.placements),
            children=pending.children,
        )

    def _take_marker(self, body: str, pending: Pending, *, is_cut: bool) -> None:
        if is_cut:
            self._add_problem(f"a line of more than {MAX_LINE_CHARS} characters: {_show(body)}")
            return
        if not self._room.markers or self._room.marker_chars < len(body):
            self.give_up(
                f"more than {MAX_MARKERS} metrics and placements, or {MAX_MARKER_CHARS} characters "
                "of them: the others were not kept"
            )
            return
        self._room.markers -= 1
        self._room.marker_chars -= len(body)
        try:
            marker = parse_marker(body.removeprefix("# "))
        except MarkerError as err:
            self._add_problem(f"{_tidy(str(err))}: {_show(body)}")
            return
        # What JSON escapes ("\\u001b") was not there when the line was cleaned.
        if isinstance(marker, Metric):
            name, unit = _tidy(marker.name), _tidy(marker.unit)
            pending.metrics.append(replace(marker, name=name, unit=unit))
        else:
            pending.placements.append(replace(marker, what=_tidy(marker.what)))

    def _find(self, indentation: int) -> Level:
        """Return the innermost open level that a line so far indented can belong to."""
        return next(lv for lv in reversed(self._levels) if lv.indentation <= indentation)

    def _enter(self, indentation: int, *, is_new: bool = False) -> Level:
        """Return the level of ``indentation``, ending deeper ones, opening it where it is new."""
        level = self._pop_to(indentation)
        if level.indentation == indentation:
            if is_new and (level.cases or level.planned is not None):
                self._add_problem("the output of a second program follows")
            return level
        if len(self._levels) >= MAX_DEPTH:
            self._add_problem(f"results are nested more than {MAX_DEPTH} deep")
            return level
        level = Level(indentation=indentation)
        self._levels.append(level)
        return level

    def _pop_to(self, indentation: int) -> Level:
        """End the levels deeper than ``indentation``: their cases await their parent's result."""
        while self._levels[-1].indentation > indentation:
            ended = self._levels.pop()
            if ended.pending.children:
                self._add_problem("nested results have no result line of their parent")
            self._check_level(ended)
            parent = self._levels[-1].pending
            parent.children = (*parent.children, *ended.cases)
        return self._levels[-1]

    def _check_level(self, level: Level) -> None:
        came = len(level.cases)
        if level.pending.name:
            self._add_problem(f"{level.pending.name} began and did not end")
        if level.pending.metrics or level.pending.placements:
            self._add_problem("metrics or placements after the last result")
        if level.planned is None:
            self._add_problem("no plan (1..N)" if came else "no results and no plan (1..N)")
        elif level.planned != came:
            self._add_problem(f"{level.planned} results were planned, {came} came")

    def _check_totals(self, match: re.Match[str], level: Level) -> None:
        wrong = [
            f"{key}:{shorten_middle(count, width=12)} (seen: {level.outcomes[key]})"
            for key, count in match.groupdict().items()
            if int(count[:9]) != level.outcomes[key]
        ]
        if wrong:
            self._add_problem(f"the program's totals differ from its results: {' '.join(wrong)}")

    def _add_problem(self, problem: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            self._problems.append(problem)
        else:
            self._dropped_problems += 1


def _weigh(outcome: Outcome, children: tuple[KtapCase, ...]) -> Outcome:
    """Return what a parent came to: its own word, or worse where its children say so."""
    if not children or outcome in _BAD_OUTCOMES:
        return outcome
    below = {child.outcome for child in children}
    for bad in _BAD_OUTCOMES:
        if bad in below:
            return Outcome.FAIL
    return Outcome.SKIP if below == {Outcome.SKIP} else outcome


def judge_case(run: KtapRun, name: str, *, exit_status: int) -> tuple[Verdict, str]:
    """Return the verdict on the case ``name`` that ``run`` was to run alone, and its message.

    Passed: exactly that case ran and said a plain ok, the program exited with 0, its output has
    no problem, no expectation failed (one in a child process does not reach the harness) and all
    pages were where they should be. XFAIL and XPASS are failures: the testbed compares with a base
    instead of marking, and a test that ends early by ``_exit(3)`` shows as XPASS
    (kselftest_harness.h, 6.12). ``exit_status`` is the shell's: above 128 it stands for a signal.
    """
    if run.skip_reason is not None and not run.cases and exit_status == KSFT_SKIP:
        return Verdict.SKIPPED, run.skip_reason
    case = next((case for case in run.cases if case.name == name), None)
    complaints = [*_complain_of_case(case), *_complain_of_run(run, name)]
    is_skip = case is not None and case.outcome is Outcome.SKIP
    if exit_status not in ((0, KSFT_SKIP) if is_skip else (0,)):
        complaints.append(f"exit status {exit_status}{_name_signal(exit_status)}")
    if complaints or case is None:
        shown = complaints[:_MAX_COMPLAINTS]
        more = len(complaints) - len(shown)
        return Verdict.FAILED, "\n".join([*shown, *([f"... {more} more lines"] if more else [])])
    return (Verdict.SKIPPED, case.reason or "no reason given") if is_skip else (Verdict.PASSED, "")


def _complain_of_case(case: KtapCase | None) -> list[str]:
    """Return what speaks against a case, what explains it best first; empty for ok and skip."""
    if case is None:
        return []
    told = [line.removeprefix("# ") for line in case.diagnostics]
    complaints = [line for line in told if EXPECTATION.match(line)]
    complaints += [_describe_misplaced(p) for p in case.placements if not p.is_as_expected]
    if case.outcome not in (Outcome.PASS, Outcome.SKIP):
        complaints += [line for line in told if not EXPECTATION.match(line)]
        said = f"{case.name} said {case.outcome}: {case.reason}".rstrip(": ")
        complaints.append(said + _HINTS.get(case.outcome, ""))
    elif complaints:
        complaints.append(f"{case.name} said {case.outcome} all the same")
    return complaints


def _complain_of_run(run: KtapRun, name: str) -> list[str]:
    names = [case.name or "(unnamed)" for case in run.cases]
    others = [other for other in names if other != name]
    complaints = list(run.problems)
    if name not in names:
        end = "did not run: the program has no such case" if run.planned == 0 else "did not end"
        complaints = [*run.tail, f"{name} {end}", *complaints]
    if others:
        complaints.append(f"other cases ran too: {shorten_middle(', '.join(others), width=300)}")
    return complaints


def _describe_misplaced(placement: Placement) -> str:
    return (
        f"{placement.what}: expected {_describe_counts(placement.expected)}; "
        f"seen {_describe_counts(placement.seen)}"
    )


def _describe_counts(counts: tuple[NodeCount, ...]) -> str:
    shown = [
        f"{count.pages} pages {'not present' if count.node < 0 else f'on node {count.node}'}"
        for count in counts
        if count.pages
    ]
    return ", ".join(shown) or "no pages"


def _name_signal(exit_status: int) -> str:
    number = exit_status - 128 if exit_status > 128 else -exit_status  # noqa: PLR2004 - sh(1)
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def _tidy(text: str) -> str:
    return _shorten(" ".join(clean(text).split()))


def _shorten(text: str) -> str:
    return shorten_middle(text, width=_MAX_DIAGNOSTIC_LINE_CHARS)


def _show(text: str) -> str:
    return repr(shorten_middle(text, width=_SHOWN_CHARS))
