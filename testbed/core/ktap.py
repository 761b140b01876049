"""The output of one run of a kselftest program: KTAP lines to cases, with all that was wrong.

A verdict on one case of it is :func:`judge_case`. The grammar of the lines is in
:mod:`testbed.core.ktap_line`.
"""

import re
import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

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
_MAX_DIAGNOSTICS: Final = 200  # a case; expectations that failed are kept up to twice as many
_MAX_DIAGNOSTIC_CHARS: Final = 1000
_MAX_MARKERS: Final = 10_000  # a case
_MAX_PROBLEMS: Final = 50
_MAX_COMPLAINTS: Final = 40
_HINTS: Final = {
    Outcome.XPASS: " (did it end by an exit status of its own? Only a plain ok passes)",
    Outcome.XFAIL: " (expected failures are not marked here: the base fails as well)",
}
KSFT_SKIP: Final = 4  # exit status, tools/testing/selftests/kselftest.h, 6.12
_SHOWN_CHARS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class KtapCase:
    """One result line and the lines that belong to it.

    ``reason`` is the text of its directive; ``children`` are nested results. The outcome of a
    parent is never better than its children's: all skipped is skipped, one failed is failed.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    placements: tuple[Placement, ...] = ()
    children: tuple["KtapCase", ...] = ()


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
    """Read the output of one run, line by line; whatever is wrong with it is a problem."""
    parser = _Parser()
    for line in lines:
        parser.feed(line)
    return parser.finish()


@dataclass(slots=True)
class _Pending:
    """What has been seen of a case before its result line."""

    name: str = ""
    diagnostics: list[str] = field(default_factory=list)
    dropped: int = 0
    metrics: list[Metric] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    children: tuple[KtapCase, ...] = ()

    def add_diagnostic(self, line: str) -> None:
        limit = _MAX_DIAGNOSTICS * (2 if EXPECTATION.match(line) else 1)
        if len(self.diagnostics) < limit:
            self.diagnostics.append(line)
        else:
            self.dropped += 1

    @property
    def shown_diagnostics(self) -> tuple[str, ...]:
        more = (f"... {self.dropped} more lines",) if self.dropped else ()
        return (*self.diagnostics, *more)


@dataclass(slots=True)
class _Level:
    """One level of nesting: the results at one indentation."""

    indentation: int
    planned: int | None = None
    skip_reason: str | None = None
    cases: list[KtapCase] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    pending: _Pending = field(default_factory=_Pending)


class _Parser:
    """State of a parse: the stack of levels, outermost first."""

    def __init__(self) -> None:
        self._levels = [_Level(indentation=0)]
        self._problems: list[str] = []
        self._dropped_problems = 0
        self._is_bailed_out = False

    def feed(self, line: str) -> None:
        raw_chars = len(line)
        text = clean(line[: MAX_LINE_CHARS + 1]).rstrip()
        if KERNEL_LINE.match(text):
            return
        body = text.lstrip(" ")
        indentation = len(text) - len(body)
        if not self._feed_structure(body, indentation):
            self._feed_diagnostic(body, indentation, is_cut=raw_chars > MAX_LINE_CHARS)

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
            self._add_problem(f"Bail out! {match['reason']}".rstrip())
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
            pending.name = match["name"]
        elif match := TOTALS.match(body):
            self._check_totals(match, self._find(indentation))
        elif body and not HARNESS_NOISE.match(body):
            pending.add_diagnostic(shorten_middle(body, width=_MAX_DIAGNOSTIC_CHARS))

    def _take_plan(self, level: _Level, match: re.Match[str]) -> None:
        count = int(match["count"][:9])
        if level.planned is not None:
            self._add_problem(f"a second plan: 1..{count} after 1..{level.planned}")
            return
        level.planned = count
        if count == 0 and match["reason"] is not None:
            level.skip_reason = match["reason"] or "no reason given"

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
        level = self._enter(indentation)
        self._check_number(result.number, level)
        case = self._make_case(result, level.pending)
        if case.name and case.name in level.names:
            self._add_problem(f"{_show(case.name)} has more than one result")
        level.names.add(case.name)
        level.cases.append(case)
        level.pending = _Pending()
        return True

    def _check_number(self, number: int, level: _Level) -> None:
        due = len(level.cases) + 1
        if number in level.numbers:
            self._add_problem(f"number {number} came twice")
        elif number != due:
            self._add_problem(f"number {number} came where {due} was due")
        level.numbers.add(number)

    def _make_case(self, result: ResultLine, pending: _Pending) -> KtapCase:
        if pending.name and result.name and result.name != pending.name:
            self._add_problem(f"{pending.name} began, and {_show(result.name)} ended")
        return KtapCase(
            name=result.name or pending.name,
            outcome=_weigh(result.outcome, pending.children),
            reason=result.reason,
            diagnostics=pending.shown_diagnostics,
            metrics=tuple(pending.metrics),
            placements=tuple(pending.placements),
            children=pending.children,
        )

    def _take_marker(self, body: str, pending: _Pending, *, is_cut: bool) -> None:
        if is_cut:
            self._add_problem(f"a line of more than {MAX_LINE_CHARS} characters: {_show(body)}")
            return
        if len(pending.metrics) + len(pending.placements) >= _MAX_MARKERS:
            self._add_problem(f"more than {_MAX_MARKERS} metrics and placements in one case")
            return
        try:
            marker = parse_marker(body.removeprefix("# "))
        except MarkerError as err:
            self._add_problem(f"{err}: {_show(body)}")
            return
        if isinstance(marker, Metric):
            pending.metrics.append(marker)
        else:
            pending.placements.append(marker)

    def _find(self, indentation: int) -> _Level:
        """Return the innermost open level that a line so far indented can belong to."""
        return next(lv for lv in reversed(self._levels) if lv.indentation <= indentation)

    def _enter(self, indentation: int, *, is_new: bool = False) -> _Level:
        """Return the level of ``indentation``, ending deeper ones, opening it where it is new."""
        level = self._pop_to(indentation)
        if level.indentation == indentation:
            if is_new and (level.cases or level.planned is not None):
                self._add_problem("the output of a second program follows")
            return level
        if len(self._levels) >= MAX_DEPTH:
            self._add_problem(f"results are nested more than {MAX_DEPTH} deep")
            return level
        level = _Level(indentation=indentation)
        self._levels.append(level)
        return level

    def _pop_to(self, indentation: int) -> _Level:
        """End the levels deeper than ``indentation``: their cases await their parent's result."""
        while self._levels[-1].indentation > indentation:
            ended = self._levels.pop()
            if ended.pending.children:
                self._add_problem("nested results have no result line of their parent")
            self._check_level(ended)
            parent = self._levels[-1].pending
            parent.children = (*parent.children, *ended.cases)
        return self._levels[-1]

    def _check_level(self, level: _Level) -> None:
        came = len(level.cases)
        if level.pending.name:
            self._add_problem(f"{level.pending.name} began and did not end")
        if level.pending.metrics or level.pending.placements:
            self._add_problem("metrics or placements after the last result")
        if level.planned is None:
            self._add_problem("no plan (1..N)" if came else "no results and no plan (1..N)")
        elif level.planned != came:
            self._add_problem(f"{level.planned} results were planned, {came} came")

    def _check_totals(self, match: re.Match[str], level: _Level) -> None:
        seen = Counter(case.outcome.value for case in level.cases)
        wrong = [
            f"{key}:{count} (seen: {seen[key]})"
            for key, count in match.groupdict().items()
            if int(count[:9]) != seen[key]
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


def _show(text: str) -> str:
    return repr(shorten_middle(text, width=_SHOWN_CHARS))
