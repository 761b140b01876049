"""The self test of the suites: the order of the tests, what came of each mutant, the score.

A mutant is killed by a test that passes on the base and fails on it, twice: one that fails on the
base, or once only, says nothing of the mutant.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from pydantic import TypeAdapter, ValidationError

from testbed.core.events import BOOT_TEST
from testbed.core.hints import Hints
from testbed.core.mutant import Mutant, list_words, split_words
from testbed.core.result import TestResult, Verdict
from testbed.errors import UserError

EXIT_ALL_KILLED: Final = 0
EXIT_SURVIVED: Final = 1
EXIT_UNUSABLE: Final = 3
_SAYS_NOTHING: Final = frozenset({Verdict.LOST, Verdict.BUILD_FAILED})
_FINE: Final = frozenset({Verdict.PASSED, Verdict.SKIPPED})


class Status(StrEnum):
    """What came of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    NOT_EQUIVALENT = "killed, though called equivalent"
    DOES_NOT_APPLY = "does not apply"
    DOES_NOT_BUILD = "does not build"
    DOES_NOT_BOOT = "does not boot"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """A test on a machine."""

    topology: str
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How a test ended on a kernel."""

    place: Place
    result: TestResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """A test that tells a mutant from the base: its verdict and the first line of what it said."""

    test: str
    topology: str
    verdict: Verdict
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantResult:
    """What came of one mutant.

    ``digest`` names all that it rests on. ``tests`` is how many tests were run, of ``planned``;
    ``unconfirmed`` are those that failed once and then passed. ``reason`` is why there are no
    verdicts. ``build_seconds`` is 0 where the kernel was in the cache.
    """

    name: str
    subject: str
    digest: str
    status: Status
    kills: tuple[Kill, ...] = ()
    unconfirmed: tuple[str, ...] = ()
    tests: int = 0
    planned: int = 0
    seconds: float = 0.0
    build_seconds: float = 0.0
    reason: str = ""
    contract: tuple[int, ...] = ()
    equivalent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfcheckReport:
    """What came of all mutants.

    ``base_tests`` pass on the base, or on one with a series that mutants are faults of, and can
    kill; ``left_out`` do not pass there. ``resumed`` is how many mutants were known from before.
    """

    id: str
    command: tuple[str, ...]
    source: str
    topologies: tuple[str, ...]
    base_tests: int
    left_out: tuple[str, ...]
    mutants: tuple[MutantResult, ...]
    seconds: float
    resumed: int
    exit_code: int
    score: float | None
    schema_version: int = 1


_RESULT: Final = TypeAdapter(MutantResult)
_REPORT: Final = TypeAdapter(SelfcheckReport)


def is_kill(result: TestResult) -> bool:
    """Whether ``result`` of a test that passes on the base tells a mutant from it."""
    return result.verdict not in _FINE | _SAYS_NOTHING


def says_something(result: TestResult) -> bool:
    """Whether ``result`` is the kernel's doing: a test that was lost to the host is run again."""
    return result.verdict not in _SAYS_NOTHING


def order_tests(
    mutant: Mutant, places: Iterable[Place], hints: Mapping[str, Hints]
) -> tuple[tuple[Place, ...], ...]:
    """Return the tests in the batches in which they are tried; ``hints`` are by test file.

    First those that the mutant names itself, then those of the items that it breaks that have a
    word with it in common, then whatever has one, then all others. The boot of a machine is in the
    first batch that needs it. No batch is empty.
    """
    words = list_words(mutant)
    ranks = {
        place: _rank(mutant, words, place, hints)
        for place in sorted(set(places))
        if place.test != BOOT_TEST
    }
    first: dict[str, int] = {}
    for place, rank in ranks.items():
        first[place.topology] = min(rank, first.get(place.topology, rank))
    boots = {place: first[place.topology] for place in places if place.test == BOOT_TEST}
    batches: dict[int, list[Place]] = {}
    for place, rank in {**boots, **ranks}.items():
        batches.setdefault(rank, []).append(place)
    return tuple(tuple(batches[rank]) for rank in sorted(batches))


def _rank(mutant: Mutant, words: frozenset[str], place: Place, hints: Mapping[str, Hints]) -> int:
    file, _, case = place.test.partition("::")
    if any(_does_match(glob, place.test) for glob in mutant.seen_in):
        return 0
    hint = hints.get(file, Hints())
    own = frozenset(split_words(place.test)) | hint.list_words(case)
    if not words & own:
        return 3
    return 1 if hint.list_items(case).intersection(mutant.contract) else 2


def _does_match(glob: str, test: str) -> bool:
    """Whether ``glob`` is of the test or of its file."""
    return any(fnmatchcase(name, glob) for name in (test, test.partition("::")[0]))


def describe_kill(seen: Seen) -> Kill:
    """Return the account of a test that killed."""
    result = seen.result
    detail = result.crash.title if result.crash else result.message
    return Kill(
        test=seen.place.test,
        topology=seen.place.topology,
        verdict=result.verdict,
        seconds=round(result.seconds, 3),
        reason=next(iter(detail.strip().splitlines()), ""),
    )


def decide_status(mutant: Mutant, kills: Sequence[Kill]) -> Status:
    """Return what came of a mutant that was built and tested."""
    if mutant.equivalent:
        return Status.NOT_EQUIVALENT if kills else Status.EQUIVALENT
    return Status.KILLED if kills else Status.SURVIVED


def compute_score(results: Iterable[MutantResult]) -> float | None:
    """Return the part of the mutants that was killed, of those that could be; None of none."""
    counts = Counter(result.status for result in results)
    total = counts[Status.KILLED] + counts[Status.SURVIVED]
    return round(counts[Status.KILLED] / total, 4) if total else None


def decide_exit(results: Iterable[MutantResult]) -> int:
    """Return 3 where a mutant could not be tried, else 1 where one survived, else 0."""
    seen = {result.status for result in results}
    if seen & {Status.DOES_NOT_APPLY, Status.DOES_NOT_BUILD, Status.DOES_NOT_BOOT}:
        return EXIT_UNUSABLE
    is_bad = bool(seen & {Status.SURVIVED, Status.NOT_EQUIVALENT})
    return EXIT_SURVIVED if is_bad else EXIT_ALL_KILLED


def dump_result(result: MutantResult) -> str:
    """Return the line of a mutant in the account."""
    return _RESULT.dump_json(result).decode() + "\n"


def load_results(text: str, *, filename: str) -> tuple[MutantResult, ...]:
    """Read an account; a last line that was cut short is left out.

    Raises :class:`UserError` for any other line that is not what it should be.
    """
    lines = text.split("\n")
    del lines[-1]  # empty, or a line whose end was never written
    try:
        return tuple(_RESULT.validate_json(line, strict=True) for line in lines)
    except ValidationError as err:
        raise UserError(f"{filename}: not the account of a selfcheck: start it anew") from err


def dump_report(report: SelfcheckReport) -> str:
    """Return the report as JSON."""
    return _REPORT.dump_json(report, indent=2).decode() + "\n"


def load_report(text: str | bytes) -> SelfcheckReport:
    """Read a report back; raises :class:`ValueError` where it is none."""
    return _REPORT.validate_json(text, strict=True)
