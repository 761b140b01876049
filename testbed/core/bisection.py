"""Which of N changes broke a test: what is known, what to look at next, and when it is enough.

Kernel k carries the first k of N patches, so kernel 0 is the base and kernel N the whole series.
If the culprit is patch c, the kernels c, c + 1, ... N are bad. Two more cases are candidates like
the patches: 0, the base fails already, and N + 1, not even the whole series fails. All of them are
equally likely at first, unless weights are given.

The model: a bad kernel fails a run with the same chance p, whatever its number; a good one fails
never, or by the ``false_alarm_rate``. Nothing is known of p at first: every value from 0 to 1 is
as likely (Laplace's rule, Beta(1, 1)), so F failures and P passes of the bad kernels have the
likelihood B(F + 1, P + 1). Hence a test that failed 8 times of 8 is not taken for certain to fail:
that a ninth run of the same kernel would pass has the chance 1/10, two more 1/55, three 1/220, and
so three passes make a kernel good at a confidence of 0.99. Where p is known (1 for a run that is
the same each time), one run is enough.

The rule for what comes next: the whole series, until it is known how often it fails; the base; then
runs on kernels that are there, until each of them is good or bad at the confidence asked for; only
then the kernel that halves what is left. A build costs minutes and a run a second, so no kernel is
built while one that is there can still say which half it would be built for.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate
from typing import Final

from testbed.errors import UserError

_ENOUGH_FAILURES: Final = 3  # with fewer, p is so vague that good kernels need far more runs
_MAX_REPEATS: Final = 10_000
_LEAST_CONFIDENCE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a bisection is to be judged.

    ``confidence`` is the posterior that an answer must have. ``failure_rate`` is the chance that a
    bad kernel fails a run, None where it is to be learned; ``false_alarm_rate`` that a good one
    does. A batch has at most ``batch_runs`` runs; a series that has not failed once after
    ``max_runs`` is said not to fail. ``weights`` say how likely each patch is, if not equally.
    """

    confidence: float = 0.99
    failure_rate: float | None = None
    false_alarm_rate: float = 0.0
    batch_runs: int = 8
    max_runs: int = 40
    weights: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The runs of one kernel that said something."""

    failures: int = 0
    passes: int = 0

    @property
    def runs(self) -> int:
        """How many there were."""
        return self.failures + self.passes

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(failures=self.failures + other.failures, passes=self.passes + other.passes)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is known: a tally for each kernel from 0 to N, and those that can say nothing."""

    rules: Rules
    tallies: tuple[Tally, ...]
    skipped: frozenset[int] = frozenset()

    @property
    def tip(self) -> int:
        """N: the number of patches, and of the kernel that has them all."""
        return len(self.tallies) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What to do next: run the test ``times`` times on kernel ``index``."""

    index: int
    times: int


class Ending(StrEnum):
    """What came of it. All but FOUND and HIDDEN say that there is nothing to bisect.

    MERGE_BASE_BAD is of commits alone: the good one is on another branch, and where the branches
    meet it is bad already, so that something on the way to the good one has mended it.
    """

    FOUND = "found"
    HIDDEN = "hidden"
    BASE_FAILS = "base_fails"
    NEVER_FAILS = "never_fails"
    BASE_UNUSABLE = "base_unusable"
    TIP_UNUSABLE = "tip_unusable"
    CONTRADICTED = "contradicted"
    MERGE_BASE_BAD = "merge_base_bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The patches ``first`` to ``last`` hold the culprit, with ``probability``.

    They are one and the same where the ending is FOUND; HIDDEN means that the kernels between them
    could not be tried. For other endings ``first`` and ``last`` are 0.
    """

    ending: Ending
    first: int = 0
    last: int = 0
    probability: float = 1.0


def start(count: int, rules: Rules | None = None) -> State:
    """Return the state before anything is known of ``count`` patches.

    Raises :class:`UserError` for rules that make no sense.
    """
    rules = rules or Rules()
    if count < 1:
        raise UserError("there is nothing to bisect: the series has no patch")
    _check_rules(rules, count)
    return State(rules=rules, tallies=(Tally(),) * (count + 1))


def observe(state: State, index: int, tally: Tally) -> State:
    """Return the state after more runs of kernel ``index``."""
    tallies = list(state.tallies)
    tallies[index] += tally
    return replace(state, tallies=tuple(tallies))


def skip(state: State, index: int) -> State:
    """Return the state after kernel ``index`` turned out to say nothing: it does not build."""
    return replace(state, skipped=state.skipped | {index})


def compute_posterior(state: State) -> tuple[float, ...]:
    """Return how likely each of the candidates 0 to N + 1 is, given all that was seen.

    Empty where no candidate can have made what was seen.
    """
    failures_from = _sum_from([tally.failures for tally in state.tallies])
    passes_from = _sum_from([tally.passes for tally in state.tallies])
    rules = state.rules
    logs = [
        _log(weight)
        + _log_bad(failures_from[culprit], passes_from[culprit], rules.failure_rate)
        + _times_log(failures_from[0] - failures_from[culprit], rules.false_alarm_rate)
        + _times_log(passes_from[0] - passes_from[culprit], 1 - rules.false_alarm_rate)
        for culprit, weight in enumerate(_list_weights(state))
    ]
    highest = max(logs)
    if highest == -math.inf:
        return ()
    odds = [math.exp(one - highest) for one in logs]
    total = math.fsum(odds)
    return tuple(one / total for one in odds)


def conclude(state: State) -> Answer | None:
    """Return the answer, or None as long as there is none with the confidence asked for."""
    return _find_dead_end(state) or _find_culprit(state)


def choose_next(state: State) -> Probe | None:
    """Return what to look at next, by the rule at the top of this module; None at the end.

    A kernel that nobody has built yet is chosen by how much it tells, times the chance that it
    builds: 1 - 1/(2 + d), where the nearest kernel that was skipped is d patches away. What breaks
    a build tends to break its neighbours too.
    """
    if conclude(state) is not None:
        return None
    if not _is_tip_known(state):
        return Probe(index=state.tip, times=_first_times(state.rules))
    if not state.tallies[0].runs:
        return _repeat(state, 0)
    limit = 1 - state.rules.confidence
    doubts = {index: _fold(chance) for index, chance in enumerate(_list_chances(state))}
    tried = [index for index in doubts if state.tallies[index].runs and index not in state.skipped]
    most_doubtful = max(tried, key=lambda index: doubts[index])
    if doubts[most_doubtful] > limit:
        return _repeat(state, most_doubtful)
    fresh = [index for index in doubts if index not in tried and index not in state.skipped]
    fresh = [index for index in fresh if doubts[index] > limit]
    if fresh:
        best = max(fresh, key=lambda index: _score(state, index, doubts[index]))
        return _repeat(state, best)
    return _repeat(state, most_doubtful)


def choose_repeats(state: State, index: int) -> int:
    """Return how many passes in a row, at least one, make kernel ``index`` good.

    That is, as certain as the rules ask for. At most 10,000.
    """
    limit = 1 - state.rules.confidence

    def is_enough(passes: int) -> bool:
        chances = _list_chances(observe(state, index, Tally(passes=passes)))
        return not chances or chances[index] <= limit

    return 1 + bisect_left(range(1, _MAX_REPEATS), True, key=is_enough)  # noqa: FBT003 - a key's value


def find_suspects(state: State) -> tuple[int, int]:
    """Return the first and the last patch that may still be it, at the confidence asked for."""
    chances = _list_chances(state)
    limit = 1 - state.rules.confidence
    if not chances:
        return 1, state.tip
    first = next((c for c in range(1, state.tip) if chances[c] > limit), state.tip)
    last = next((c for c in range(state.tip, 0, -1) if 1 - chances[c - 1] > limit), 1)
    return first, max(first, last)


def _find_dead_end(state: State) -> Answer | None:
    """Return the answer where there is no good end, no bad end, or no sense in it."""
    for index, ending in ((state.tip, Ending.TIP_UNUSABLE), (0, Ending.BASE_UNUSABLE)):
        if index in state.skipped:
            return Answer(ending=ending)
    posterior = compute_posterior(state)
    if not posterior:
        return Answer(ending=Ending.CONTRADICTED)
    for candidate, ending in ((0, Ending.BASE_FAILS), (-1, Ending.NEVER_FAILS)):
        if posterior[candidate] >= state.rules.confidence:
            return Answer(ending=ending, probability=posterior[candidate])
    tip = state.tallies[state.tip]
    if tip.runs >= state.rules.max_runs and not tip.failures:
        return Answer(ending=Ending.NEVER_FAILS, probability=posterior[-1])
    return None


def _find_culprit(state: State) -> Answer | None:
    if not state.tallies[state.tip].failures or not state.tallies[0].runs:
        return None  # however likely it is: both ends are to be seen
    posterior = compute_posterior(state)
    for first, last in _list_groups(state):
        probability = math.fsum(posterior[first : last + 1])
        if probability >= state.rules.confidence:
            ending = Ending.FOUND if first == last else Ending.HIDDEN
            return Answer(ending=ending, first=first, last=last, probability=probability)
    return None


def _list_groups(state: State) -> Iterator[tuple[int, int]]:
    """Yield the runs of patches that no kernel can tell apart, those between being skipped."""
    first = 1
    for index in range(1, state.tip + 1):
        if index not in state.skipped:
            yield first, index
            first = index + 1


def _is_tip_known(state: State) -> bool:
    """Whether it is known how often the whole series fails."""
    tip, rules = state.tallies[state.tip], state.rules
    if not tip.failures or rules.failure_rate is not None:
        return tip.failures > 0
    enough = min(_ENOUGH_FAILURES, rules.batch_runs)
    return tip.runs >= (rules.batch_runs if tip.failures >= enough else rules.max_runs)


def _first_times(rules: Rules) -> int:
    return 1 if rules.failure_rate == 1 else rules.batch_runs


def _repeat(state: State, index: int) -> Probe:
    return Probe(index=index, times=min(choose_repeats(state, index), state.rules.batch_runs))


def _list_chances(state: State) -> tuple[float, ...]:
    """Return for each kernel how likely it is bad; empty where the state has no sense."""
    return tuple(min(one, 1.0) for one in accumulate(compute_posterior(state)[: state.tip + 1]))


def _fold(chance: float) -> float:
    """Return how far from certain ``chance`` is, from 0 to 1/2."""
    return min(chance, 1 - chance)


def _score(state: State, index: int, doubt: float) -> float:
    """Return the bits that kernel ``index`` is expected to tell; a build that fails tells none."""
    bits = -_times_log(doubt, doubt) - _times_log(1 - doubt, 1 - doubt)
    away = min((abs(index - other) for other in state.skipped), default=math.inf)
    return bits * (1 - 1 / (2 + away))


def _list_weights(state: State) -> list[float]:
    weights = state.rules.weights or (1.0,) * state.tip
    mean = math.fsum(weights) / len(weights)
    return [mean, *weights, mean]


def _sum_from(numbers: Sequence[int]) -> list[int]:
    """Return the sums of ``numbers`` from each place to the end, and 0 for past the end."""
    return [*list(accumulate(reversed(numbers)))[::-1], 0]


def _log_bad(failures: int, passes: int, rate: float | None) -> float:
    """Return the log-likelihood of the runs of bad kernels."""
    if rate is None:
        return (
            math.lgamma(failures + 1) + math.lgamma(passes + 1) - math.lgamma(failures + passes + 2)
        )
    return _times_log(failures, rate) + _times_log(passes, 1 - rate)


def _times_log(factor: float, value: float) -> float:
    """Return ``factor * log(value)``, which is 0 where the factor is."""
    return factor * _log(value) if factor else 0.0


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def _check_rules(rules: Rules, count: int) -> None:
    rate = rules.failure_rate
    problems = (
        (
            not _LEAST_CONFIDENCE < rules.confidence < 1,
            f"a confidence of {rules.confidence:g}: it must lie between 0.5 and 1, say 0.99",
        ),
        (
            rate is not None and not 0 < rate <= 1,
            f"a failure rate of {rate}: it must lie above 0 and not above 1",
        ),
        (
            not 0 <= rules.false_alarm_rate < (1 if rate is None else rate),
            f"a false alarm rate of {rules.false_alarm_rate:g}: it must be below the failure rate",
        ),
        (
            not 1 <= rules.batch_runs <= rules.max_runs,
            f"{rules.batch_runs} runs at once, {rules.max_runs} at most: not 1 <= one <= the other",
        ),
        (
            bool(rules.weights) and len(rules.weights) != count,
            f"{len(rules.weights)} weights for {count} patches: give one for each",
        ),
        (
            any(not 0 < weight < math.inf for weight in rules.weights),
            "a weight that is not above 0: every patch may be the culprit",
        ),
    )
    for is_wrong, message in problems:
        if is_wrong:
            raise UserError(f"bisect: {message}")
