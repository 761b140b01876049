"""Bisections: of the patches of a series, without any history, and of the commits of a tree.

Building and running are given as callables. After each step its account is given to ``keep``;
the steps of a bisection that was cut short are given back as ``steps``, and count as seen.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Protocol, TypeVar

from testbed.core.bisect_account import Bisected, Step
from testbed.core.bisection import (
    Answer,
    Ending,
    Rules,
    State,
    Tally,
    choose_next,
    compute_posterior,
    conclude,
    find_suspects,
    observe,
    skip,
    start,
)
from testbed.core.judge import BootSpec, CrashSpec, JudgeSpec, Observation, Outcome, judge
from testbed.core.result import TestResult
from testbed.core.text import clean
from testbed.errors import InfraError, KconfigError
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.git_bisect import GitBisect, GitEnding, Mark

_MAX_TRIES: Final = 3
_MARKS: Final = {
    Ending.BASE_FAILS: Mark.BAD,
    Ending.FOUND: Mark.GOOD,
    Ending.BASE_UNUSABLE: Mark.SKIP,
}
_ENDINGS: Final = {
    GitEnding.FOUND: Ending.FOUND,
    GitEnding.ONLY_SKIPPED: Ending.HIDDEN,
    GitEnding.MERGE_BASE_BAD: Ending.MERGE_BASE_BAD,
}


class Builds(Protocol):
    """Builds the kernel with the first patches of a series; 0 is the base."""

    def __call__(self, count: int, /) -> Kernel | BuildFailure:
        """Return it, from the cache or built now."""


class BuildsCommit(Protocol):
    """Builds the kernel of a commit."""

    def __call__(self, commit: str, /) -> Kernel | BuildFailure:
        """Return it, from the cache or built now."""


class Runs(Protocol):
    """Runs the test that is judged by."""

    def __call__(self, kernel: Kernel, /, times: int) -> Sequence[TestResult]:
        """Return the results of ``times`` runs; where all tests run, those of a run together."""


Keep = Callable[[Step], None]
_Name = TypeVar("_Name", bound=int | str)


def try_out(
    build: Callable[[], Kernel | BuildFailure], *, run: Runs, spec: JudgeSpec, times: int
) -> Step:
    """Return the step of one kernel that is no end of a bisection; the caller says which it is."""
    bench = _Bench[int](lambda _: build(), run, spec)
    return bench.try_out(0, times=times, is_bad_end=False)


class _Bench(Generic[_Name]):
    """Builds each kernel once, runs the test on it and judges; ``spec`` is what it judges by now.

    A kernel is not asked for again: a tree of the user's may have changed meanwhile.
    """

    def __init__(
        self, build: Callable[[_Name], Kernel | BuildFailure], run: Runs, spec: JudgeSpec
    ) -> None:
        self._build = build
        self._run = run
        self._kernels: dict[_Name, Kernel] = {}
        self.spec = spec

    def try_out(self, name: _Name, *, times: int, is_bad_end: bool) -> Step:
        """Return the step of the kernel of a count or a commit; the caller says in it which."""
        try:
            outcome = self._kernels.get(name) or self._build(name)
        except KconfigError as err:  # an option that a later patch brings
            return _tell_unbuilt(f"cannot be configured: {str(err).splitlines()[0]}")
        if isinstance(outcome, BuildFailure):
            return _tell_unbuilt(f"does not build: {outcome.error}", outcome.build_seconds)
        self._kernels[name] = replace(outcome, is_cached=True, compiled_files=0)
        seen = self._observe(outcome, times=times, is_bad_end=is_bad_end)
        return Step(
            kernel=outcome.key,
            is_cached=outcome.is_cached,
            build_seconds=0.0 if outcome.is_cached else outcome.build_seconds,
            outcome=seen.outcome,
            failures=seen.failures,
            passes=seen.passes,
            lost=seen.lost,
            reason=seen.reason,
            message=seen.message,
            is_unbooted=seen.is_unbooted,
        )

    def look_at_boot(self) -> None:
        """Judge by the boot from now on: what is looked for is the patch that broke it."""
        if not isinstance(self.spec, CrashSpec):  # that one has said which crash it means
            self.spec = BootSpec(test=self.spec.test)

    def _observe(self, kernel: Kernel, *, times: int, is_bad_end: bool) -> Observation:
        """Run until the host lets a run count."""
        for _ in range(_MAX_TRIES):
            results = self._run(kernel, times=times)
            seen = judge(results, self.spec)
            if is_bad_end and seen.is_unbooted:
                self.look_at_boot()
                seen = judge(results, self.spec)
            if seen.outcome is not Outcome.LOST:
                return seen
        raise InfraError(f"{_MAX_TRIES * times} runs, and none that counts: {seen.reason}")


def bisect_series(
    count: int,
    spec: JudgeSpec,
    *,
    build: Builds,
    run: Runs,
    keep: Keep,
    rules: Rules | None = None,
    steps: Sequence[Step] = (),
) -> Bisected:
    """Find the patch of ``count`` with which ``spec`` begins to see a kernel as bad.

    Raises :class:`testbed.errors.InfraError` where a test is lost again and again, and what
    ``build`` and ``run`` raise; an option that a kernel does not know yet makes it a skip.
    """
    state = resume(count, steps, rules=rules)
    bench = _Bench(build, run, spec)
    done = list(steps)
    if any(step.is_unbooted for step in done if step.index == count):
        bench.look_at_boot()
    while (probe := choose_next(state)) is not None:
        step = bench.try_out(probe.index, times=probe.times, is_bad_end=probe.index == count)
        step = replace(step, index=probe.index)
        state = _add(state, step)
        first, last = find_suspects(state)
        likeliest = max(compute_posterior(state)[1:-1], default=0.0)
        done.append(replace(step, first=first, last=last, probability=likeliest))
        keep(done[-1])
    answer = conclude(state)
    if answer is None:
        raise AssertionError("nothing is next, and yet there is no answer")
    return Bisected(answer=answer, steps=tuple(done), symptom=bench.spec.title)


def resume(count: int, steps: Sequence[Step], *, rules: Rules | None = None) -> State:
    """Return what is known of ``count`` patches after ``steps``."""
    state = start(count, rules)
    for step in steps:
        state = state if step.without else _add(state, step)
    return state


def bisect_commits(
    git: GitBisect,
    spec: JudgeSpec,
    *,
    build: BuildsCommit,
    run: Runs,
    keep: Keep,
    rules: Rules | None = None,
    steps: Sequence[Step] = (),
) -> Bisected:
    """Let ``git`` find the commit with which ``spec`` begins to see a kernel as bad.

    Raises as :func:`bisect_series` does.
    """
    return _CommitSearch(
        git=git,
        bench=_Bench(build, run, spec),
        keep=keep,
        rules=_share_doubt(rules or Rules(), git.count),
        earlier=tuple(steps),
    ).search()


def _share_doubt(rules: Rules, count: int) -> Rules:
    """Return the rules for each of the commits that a bisection of ``count`` looks at.

    Each may be taken for good by mistake, so they share the doubt that is allowed in all.
    """
    looked_at = math.ceil(math.log2(count + 1)) + 1  # and the good end
    return replace(rules, confidence=1 - (1 - rules.confidence) / looked_at, weights=())


@dataclass(kw_only=True)
class _CommitSearch:
    """Commits are judged one by one, each as the base of a series of one patch.

    Kernel 1 of that series stands for all that is known to be bad: how often those fail says how
    many passes make a commit good.
    """

    git: GitBisect
    bench: _Bench[str]
    keep: Keep
    rules: Rules
    earlier: tuple[Step, ...]
    done: list[Step] = field(default_factory=list)
    bad_runs: Tally = field(default_factory=Tally)
    probability: float = 1.0

    def search(self) -> Bisected:
        """See both ends, then whatever git asks for."""
        self.done = list(self.earlier)
        if any(step.is_unbooted for step in self.done if step.commit == self.git.bad):
            self.bench.look_at_boot()
        self.bad_runs = self._recall(self.git.bad, start(1, self.rules), 1).tallies[1]
        answer = self._settle(self.git.good)
        if _MARKS.get(answer.ending) is not Mark.GOOD:
            return self._end(answer)
        while (result := self.git.result) is None:
            answer = self._settle(self.git.current)
            if answer.ending not in _MARKS:
                return self._end(answer)
            self.git.mark(_MARKS[answer.ending])
        answer = Answer(ending=_ENDINGS[result.ending], probability=self.probability)
        return self._end(answer, result.commits)

    def _settle(self, commit: str) -> Answer:
        """Run what is at hand until ``commit`` is good or bad, or can be neither."""
        state = self._recall(commit, observe(start(1, self.rules), 1, self.bad_runs), 0)
        while (probe := choose_next(state)) is not None:
            asked = (commit, self.git.bad)[probe.index]
            step = self.bench.try_out(asked, times=probe.times, is_bad_end=probe.index == 1)
            state = _add(state, replace(step, index=probe.index))
            if probe.index == 1:
                self.bad_runs = state.tallies[1]
            certain = max(compute_posterior(state), default=0.0)
            self.done.append(replace(step, commit=asked, probability=certain))
            self.keep(self.done[-1])
        answer = conclude(state)
        if answer is None:
            raise AssertionError("nothing is next, and yet there is no answer")
        if answer.ending is Ending.BASE_FAILS:
            self.bad_runs += state.tallies[0]
        self.probability *= answer.probability
        return answer

    def _recall(self, commit: str, state: State, index: int) -> State:
        """Return ``state`` with what earlier steps have seen of ``commit``, as kernel ``index``."""
        for step in self.earlier:
            if step.commit == commit:
                state = _add(state, replace(step, index=index))
        return state

    def _end(self, answer: Answer, commits: tuple[str, ...] = ()) -> Bisected:
        return Bisected(
            answer=answer,
            steps=tuple(self.done),
            symptom=self.bench.spec.title,
            commits=commits,
        )


def _add(state: State, step: Step) -> State:
    if step.outcome is Outcome.SKIP:
        return skip(state, step.index)
    return observe(state, step.index, Tally(failures=step.failures, passes=step.passes))


def _tell_unbuilt(reason: str, build_seconds: float = 0.0) -> Step:
    return Step(
        kernel="",
        is_cached=False,
        build_seconds=build_seconds,
        outcome=Outcome.SKIP,
        reason=clean(reason),
    )
