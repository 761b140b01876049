"""What makes a kernel bad: a test that fails, a number beyond a limit, or a crash by its title.

A judgement is about the kernel and that one symptom. A kernel that breaks in another way (it does
not boot, it crashes elsewhere) is neither good nor bad by it: ``SKIP``, as git bisect has it.
"""

import math
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from testbed.core.result import Metric, TestResult, Verdict
from testbed.core.text import clean, shorten_middle
from testbed.errors import UserError

_REASON_CHARS: Final = 200
_MESSAGE_CHARS: Final = 2000
_SHOWN: Final = 8
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
# The test's own "::" is none of the ":" between test and number.
_METRIC: Final = re.compile(
    r"(?P<test>.+)(?<!:):(?!:)(?P<name>[^:<>=]+?)\s*(?P<sign>>=|<=|>|<)\s*"
    r"(?P<limit>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>\S*)"
)


class Outcome(StrEnum):
    """What the runs say of a kernel. LOST is the host's fault: run again."""

    BAD = "bad"
    GOOD = "good"
    SKIP = "skip"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one run says, and why."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What all runs of a batch say of a kernel.

    ``failures`` and ``passes`` are the runs that count; ``lost`` those that the host spoiled.
    ``reason`` is one line; ``message`` is what the test itself said where it failed.
    ``is_unbooted`` says that the kernel did not come up.
    """

    outcome: Outcome
    failures: int
    passes: int
    lost: int
    reason: str
    message: str = ""
    is_unbooted: bool = False


class JudgeSpec(Protocol):
    """What to judge by; ``test`` is the id of a test, or its end, or empty for all tests."""

    @property
    def test(self) -> str:
        """The test that must be run."""

    @property
    def title(self) -> str:
        """The symptom in words."""

    def rule(self, run: Sequence[TestResult]) -> Ruling:
        """Judge one run of the test, or of all tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSpec:
    """Bad is a kernel on which ``test`` fails, in whatever way."""

    __test__ = False  # pytest would take the class name for a test's

    test: str

    @property
    def title(self) -> str:
        """The symptom in words."""
        return f"{self.test} fails"

    def rule(self, run: Sequence[TestResult]) -> Ruling:
        """Judge by the verdict of the one result."""
        return Ruling(outcome=_BY_TEST[run[0].verdict], reason=_describe(run[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """Bad is a kernel on which ``test`` measures a ``name`` beyond ``limit``, as ``sign`` says."""

    test: str
    name: str
    sign: str
    limit: float
    unit: str = ""

    @property
    def title(self) -> str:
        """The symptom in words."""
        return f"{self.test}: {self.name} {self.sign} {self.limit:g} {self.unit}".rstrip()

    def rule(self, run: Sequence[TestResult]) -> Ruling:
        """Judge by the number; a test that fails may have measured nothing that counts."""
        result = run[0]
        if result.verdict is not Verdict.PASSED:
            outcome = _BY_NUMBER[result.verdict]
            return Ruling(outcome=outcome, reason=f"not measured: {_describe(result)}")
        value = self._find(result).value
        unit = self._find(result).unit
        shown = f"{self.name} is {value:g} {unit}".rstrip()
        if not math.isfinite(value):
            return Ruling(outcome=Outcome.SKIP, reason=shown)
        is_bad = _OPERATORS[self.sign](value, self.limit)
        said = "" if is_bad else "not "
        reason = f"{shown}, {said}{self.sign} {self.limit:g}"
        return Ruling(outcome=Outcome.BAD if is_bad else Outcome.GOOD, reason=clean(reason))

    def _find(self, result: TestResult) -> Metric:
        found = [metric for metric in result.metrics if metric.name == self.name]
        if not found:
            there = _list_some(metric.name for metric in result.metrics)
            raise UserError(f"{clean(result.id)} measures no {self.name!r}; there are: {there}")
        if self.unit and self.unit != found[-1].unit:
            raise UserError(
                f"{self.name} is measured in {clean(found[-1].unit)}, not in {self.unit}: "
                f"give the limit in {clean(found[-1].unit)}"
            )
        return found[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashSpec:
    """Bad is a kernel that crashes with a title that ``pattern`` fits.

    A title with ``*`` for any characters, or ``/a regular expression/`` that is found in it.
    """

    pattern: str
    test: str = ""

    @property
    def title(self) -> str:
        """The symptom in words."""
        return f"crash {self.pattern}"

    def rule(self, run: Sequence[TestResult]) -> Ruling:
        """Judge by the crashes; one of another title may have come in the way of this one."""
        regex = compile_title(self.pattern)
        titles = [clean(result.crash.title) for result in run if result.crash]
        if fitting := [title for title in titles if regex.search(title)]:
            return Ruling(outcome=Outcome.BAD, reason=f"crashed: {fitting[0]}")
        seen = {_BY_CRASH[result.verdict]: result for result in reversed(run)}
        for outcome in (Outcome.LOST, Outcome.SKIP, Outcome.GOOD):
            if outcome in seen:
                return Ruling(outcome=outcome, reason=_describe(seen[outcome]))
        return Ruling(outcome=Outcome.SKIP, reason=_describe(run[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSpec:
    """Bad is a kernel that does not boot: for a series whose last kernel does not."""

    test: str = ""

    @property
    def title(self) -> str:
        """The symptom in words."""
        return "the kernel does not boot"

    def rule(self, run: Sequence[TestResult]) -> Ruling:
        """Judge by the boot alone: whatever a test says, it was booted for it."""
        for result in run:
            outcome = _BY_BOOT.get(result.verdict)
            if outcome is not None:
                return Ruling(outcome=outcome, reason=_describe(result))
        return Ruling(outcome=Outcome.GOOD, reason="booted")


# Who bisects a test wants the kernel that broke it, declared or not: KNOWN is a failure here.
_BY_TEST: Final[Mapping[Verdict, Outcome]] = {
    Verdict.PASSED: Outcome.GOOD,
    Verdict.SKIPPED: Outcome.SKIP,
    Verdict.KNOWN: Outcome.BAD,
    Verdict.FAILED: Outcome.BAD,
    Verdict.CRASHED: Outcome.BAD,
    Verdict.TIMED_OUT: Outcome.BAD,
    Verdict.BOOT_FAILED: Outcome.SKIP,
    Verdict.BUILD_FAILED: Outcome.SKIP,
    Verdict.LOST: Outcome.LOST,
}
_BY_NUMBER: Final[Mapping[Verdict, Outcome]] = {
    verdict: Outcome.LOST if verdict is Verdict.LOST else Outcome.SKIP for verdict in Verdict
}
_BY_CRASH: Final[Mapping[Verdict, Outcome | None]] = {
    Verdict.PASSED: Outcome.GOOD,
    Verdict.SKIPPED: None,
    Verdict.KNOWN: Outcome.GOOD,
    Verdict.FAILED: Outcome.GOOD,
    Verdict.CRASHED: Outcome.SKIP,
    Verdict.TIMED_OUT: Outcome.SKIP,
    Verdict.BOOT_FAILED: Outcome.SKIP,
    Verdict.BUILD_FAILED: Outcome.SKIP,
    Verdict.LOST: Outcome.LOST,
}
_BY_BOOT: Final[Mapping[Verdict, Outcome]] = {
    Verdict.BOOT_FAILED: Outcome.BAD,
    Verdict.BUILD_FAILED: Outcome.SKIP,
    Verdict.LOST: Outcome.LOST,
}


def parse_spec(*, test: str = "", metric: str = "", crash: str = "") -> JudgeSpec:
    """Read what the command line gave: a test, a metric's limit, a crash's title.

    A test beside a crash says which test is to be run. Raises :class:`UserError` where it is none
    of them, too many, or not written as it should be.
    """
    given = [word for word, value in (("--test", test), ("--metric", metric)) if value]
    if len(given) + bool(crash) == 0:
        raise UserError("say what to judge by: --test ID, --metric 'TEST:NAME > 30', --crash TITLE")
    if metric and (test or crash):
        other = "--test" if test else "--crash"
        raise UserError(f"--metric and {other} exclude each other: a metric names its own test")
    if metric:
        return _parse_metric(metric)
    if crash:
        compile_title(crash)
        return CrashSpec(pattern=crash, test=test)
    return TestSpec(test=test)


def judge(results: Sequence[TestResult], spec: JudgeSpec) -> Observation:
    """Return what ``results``, of one run of the test or of several, say of their kernel.

    Raises :class:`UserError` where the test is not among them or may be any of several.
    """
    runs = _split_runs(_choose(results, spec.test))
    rulings = [spec.rule(run) for run in runs]
    counts = Counter(ruling.outcome for ruling in rulings)
    outcome = next(one for one in _PRECEDENCE if counts[one])
    place = next(at for at, ruling in enumerate(rulings) if ruling.outcome is outcome)
    return Observation(
        outcome=outcome,
        failures=counts[Outcome.BAD],
        passes=counts[Outcome.GOOD],
        lost=counts[Outcome.LOST],
        reason=rulings[place].reason,
        message=_find_message(runs[place]) if outcome is Outcome.BAD else "",
        is_unbooted=all(result.verdict is Verdict.BOOT_FAILED for run in runs for result in run),
    )


_PRECEDENCE: Final = (Outcome.BAD, Outcome.GOOD, Outcome.SKIP, Outcome.LOST)


def compile_title(pattern: str) -> re.Pattern[str]:
    """Return what finds the titles that ``pattern`` means; :class:`UserError` if it cannot."""
    is_regex = len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/")
    if not is_regex:
        return re.compile(r"\A" + ".*".join(map(re.escape, pattern.split("*"))) + r"\Z", re.DOTALL)
    try:
        return re.compile(pattern[1:-1])
    except re.error as err:
        raise UserError(f"--crash {pattern}: not a regular expression: {err}") from err


def _parse_metric(text: str) -> MetricSpec:
    match = _METRIC.fullmatch(text.strip())
    if match is None:
        raise UserError(
            f"--metric {text!r}: write TEST:NAME, one of {' '.join(_OPERATORS)}, and a number, "
            "as in 'migrate/move_pages.c::move_pages.many:move_pages > 30'"
        )
    return MetricSpec(
        test=match["test"].strip(),
        name=match["name"].strip(),
        sign=match["sign"],
        limit=float(match["limit"]),
        unit=match["unit"],
    )


def _choose(results: Sequence[TestResult], wanted: str) -> list[TestResult]:
    """Return the results of the test ``wanted``: its id, or its end behind ``/`` or ``::``."""
    if not results:
        raise UserError(f"no test ran: is {wanted or 'any'} one that this machine can host?")
    if not wanted:
        return list(results)
    ids = tuple(dict.fromkeys(result.id for result in results))
    found = [one for one in ids if one == wanted]
    found = found or [one for one in ids if one.endswith((f"/{wanted}", f"::{wanted}"))]
    if len(found) > 1:
        raise UserError(f"{wanted!r} may be any of: {_list_some(found)}")
    if not found:
        raise UserError(f"no test {wanted!r} ran; there are: {_list_some(ids)}")
    return [result for result in results if result.id == found[0]]


def _split_runs(results: Iterable[TestResult]) -> list[list[TestResult]]:
    """Return the results run by run: the second one of a test is of the second run."""
    runs: list[list[TestResult]] = []
    seen: defaultdict[str, int] = defaultdict(int)
    for result in results:
        if seen[result.id] == len(runs):
            runs.append([])
        runs[seen[result.id]].append(result)
        seen[result.id] += 1
    return runs


def _describe(result: TestResult) -> str:
    """Return the verdict and what there is to say about it, in one line."""
    detail = result.crash.title if result.crash else result.message
    lines = clean(detail).strip().splitlines()
    verdict = result.verdict.value.replace("_", " ")
    if not lines or result.verdict is Verdict.PASSED:
        return verdict
    return shorten_middle(f"{verdict}: {lines[0]}", width=_REASON_CHARS)


def _find_message(run: Sequence[TestResult]) -> str:
    texts = [clean(one.message or (one.crash.title if one.crash else "")).strip() for one in run]
    return shorten_middle(next(filter(None, texts), ""), width=_MESSAGE_CHARS)


def _list_some(names: Iterable[str]) -> str:
    every = [clean(name) for name in names]
    more = f", and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return (", ".join(every[:_SHOWN]) or "none") + more
