"""The self test of the suites on one mutant: build it, try the tests on it, confirm what fails.

Building and running are given as callables; nothing here knows of files or guests.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from testbed.core.hints import Hints
from testbed.core.mutant import Mutant
from testbed.core.result import Verdict
from testbed.core.selfcheck import (
    Kill,
    MutantResult,
    Place,
    Seen,
    Status,
    decide_status,
    describe_kill,
    is_kill,
    order_tests,
    says_something,
)
from testbed.core.text import clean
from testbed.errors import InfraError, KconfigError, SeriesError
from testbed.host.builder import BuildFailure, Kernel

_MAX_TRIES: Final = 3


class Runs(Protocol):
    """Runs tests on a kernel."""

    def __call__(
        self, kernel: Kernel, /, places: Sequence[Place], *, until_kill: bool
    ) -> Sequence[Seen]:
        """Return how they ended; with ``until_kill`` only those up to the first that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all mutants are tried on: ``places`` are the tests that pass on the base.

    With ``all_tests`` none ends it: every test that kills is named.
    """

    places: tuple[Place, ...]
    hints: Mapping[str, Hints]
    all_tests: bool = False


def try_mutant(
    mutant: Mutant,
    terms: Terms,
    *,
    digest: str,
    build: Callable[[Mutant], Kernel | BuildFailure],
    run: Runs,
) -> MutantResult:
    """Return what came of ``mutant``.

    Raises :class:`InfraError` where tests are lost to the host again and again, and what ``build``
    and ``run`` raise, but for a patch that does not apply.
    """
    began = time.monotonic()
    told = MutantResult(
        name=mutant.name,
        subject=mutant.subject,
        digest=digest,
        status=Status.SURVIVED,
        planned=len(terms.places),
        contract=mutant.contract,
        equivalent=mutant.equivalent,
    )
    try:
        outcome = build(mutant)
    except KconfigError as err:
        told = replace(told, status=Status.DOES_NOT_BUILD, reason=_first_line(str(err)))
    except SeriesError as err:
        told = replace(told, status=Status.DOES_NOT_APPLY, reason=_first_line(str(err)))
    else:
        told = _try_kernel(mutant, outcome, terms, told, run)
    return replace(told, seconds=round(time.monotonic() - began, 1))


def _try_kernel(
    mutant: Mutant, outcome: Kernel | BuildFailure, terms: Terms, told: MutantResult, run: Runs
) -> MutantResult:
    if isinstance(outcome, BuildFailure):
        return replace(
            told,
            status=Status.DOES_NOT_BUILD,
            reason=_first_line(outcome.error),
            build_seconds=round(outcome.build_seconds, 1),
        )
    if not outcome.is_cached:
        told = replace(told, build_seconds=round(outcome.build_seconds, 1))
    trial = _Trial(kernel=outcome, run=run, all_tests=terms.all_tests)
    for batch in order_tests(mutant, terms.places, terms.hints):
        trial.try_batch(batch)
        if trial.is_decided:
            break
    status = Status.DOES_NOT_BOOT if trial.boot_failure else decide_status(mutant, trial.kills)
    return replace(
        told,
        status=status,
        kills=tuple(trial.kills),
        unconfirmed=tuple(trial.unconfirmed),
        tests=len(trial.done),
        reason=trial.boot_failure,
    )


@dataclass(kw_only=True)
class _Trial:
    """The tests on one kernel, until one kills it or, with ``all_tests``, until all have run."""

    kernel: Kernel
    run: Runs
    all_tests: bool
    kills: list[Kill] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    done: set[Place] = field(default_factory=set)
    boot_failure: str = ""

    @property
    def is_decided(self) -> bool:
        """Whether no more tests need be run."""
        return bool(self.boot_failure) or (bool(self.kills) and not self.all_tests)

    def try_batch(self, batch: Sequence[Place]) -> None:
        """Run the tests of ``batch`` until each has said something, or the mutant is decided."""
        tries = 0
        while (left := [one for one in batch if one not in self.done]) and not self.is_decided:
            before = len(self.done)
            seen = self.run(self.kernel, left, until_kill=not self.all_tests)
            known = [one for one in seen if says_something(one.result)]
            self._confirm([one for one in known if is_kill(one.result)])
            self.done.update(one.place for one in known)
            tries = 0 if len(self.done) > before else tries + 1
            if tries == _MAX_TRIES:
                raise InfraError(f"{_tell_lost(left)}: lost {tries} times: {_tell_why(seen)}")

    def _confirm(self, suspects: Sequence[Seen]) -> None:
        """Run once more what failed; only what fails again counts."""
        if not suspects:
            return
        first = {one.place: one for one in suspects}
        again = self._run_again(tuple(first))
        unbooted = [one for one in again if one.result.verdict is Verdict.BOOT_FAILED]
        if unbooted:
            self.boot_failure = _first_line(unbooted[0].result.message) or "it does not come up"
            return
        failed = {one.place for one in again if is_kill(one.result)}
        self.kills += [describe_kill(one) for place, one in first.items() if place in failed]
        self.unconfirmed += [one.test for one in first if one not in failed]

    def _run_again(self, places: Sequence[Place]) -> tuple[Seen, ...]:
        for _ in range(_MAX_TRIES):
            seen = self.run(self.kernel, places, until_kill=False)
            if {one.place for one in seen if says_something(one.result)}.issuperset(places):
                return tuple(seen)
        raise InfraError(f"{_tell_lost(places)}: lost {_MAX_TRIES} times: {_tell_why(seen)}")


def _tell_lost(places: Sequence[Place]) -> str:
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"{clean(places[0].test)} on {places[0].topology}{more}"


def _tell_why(seen: Iterable[Seen]) -> str:
    lost = (one.result.message for one in seen if not says_something(one.result))
    return _first_line(next(lost, "")) or "it did not run"


def _first_line(text: str) -> str:
    return next(iter(clean(text).strip().splitlines()), "")
