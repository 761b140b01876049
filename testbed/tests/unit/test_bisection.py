import itertools
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from testbed.core.bisection import (
    Answer,
    Ending,
    Rules,
    State,
    Tally,
    choose_next,
    choose_repeats,
    compute_posterior,
    conclude,
    find_suspects,
    observe,
    skip,
    start,
)
from testbed.errors import UserError

MAX_STEPS = 2000
TRIALS = 300
BASE_FAILS, NEVER = 0, 99


@dataclass(frozen=True, kw_only=True)
class Trials:
    """Means of many bisections of 16 patches: right answers, what they said of themselves, cost."""

    right: float
    probability: float
    runs: float
    builds: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """How a bisection went; ``builds`` are the kernels with patches, in their order."""

    answer: Answer
    builds: tuple[int, ...]
    runs: int


def run_bisection(
    count: int,
    fails: Callable[[int], bool],
    *,
    rules: Rules | None = None,
    broken: frozenset[int] = frozenset(),
) -> Found:
    """Bisect with a test that ``fails`` a run on the kernel of a number."""
    state = start(count, rules)
    kernels: dict[int, None] = {}
    runs = 0
    for _ in range(MAX_STEPS):
        probe = choose_next(state)
        if probe is None:
            answer = conclude(state)
            assert answer is not None
            return Found(answer=answer, builds=tuple(k for k in kernels if k), runs=runs)
        kernels[probe.index] = None
        if probe.index in broken:
            state = skip(state, probe.index)
            continue
        failures = sum(fails(probe.index) for _ in range(probe.times))
        state = observe(state, probe.index, Tally(failures=failures, passes=probe.times - failures))
        runs += probe.times
    raise AssertionError("no end")


def breaks_at(culprit: int) -> Callable[[int], bool]:
    return lambda index: index >= culprit


@pytest.mark.parametrize("culprit", range(1, 17))
@pytest.mark.parametrize(
    "rules", [Rules(), Rules(confidence=0.999), Rules(confidence=0.8), Rules(failure_rate=1)]
)
def test_of_sixteen_patches_the_culprit_is_found_in_five_builds(culprit: int, rules: Rules) -> None:
    found = run_bisection(16, breaks_at(culprit), rules=rules)

    assert (found.answer.ending, found.answer.first, found.answer.last) == (
        Ending.FOUND,
        culprit,
        culprit,
    )
    assert found.answer.probability >= rules.confidence
    assert found.builds[0] == 16
    assert len(found.builds) <= 5


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 27, 64])
def test_a_series_of_any_length_takes_one_build_and_its_logarithm(count: int) -> None:
    for culprit in range(1, count + 1):
        found = run_bisection(count, breaks_at(culprit))

        assert (found.answer.first, found.answer.last) == (culprit, culprit)
        assert len(found.builds) <= 1 + math.ceil(math.log2(count))


def test_a_run_that_is_the_same_each_time_is_made_once_a_kernel() -> None:
    found = run_bisection(16, breaks_at(11), rules=Rules(failure_rate=1))

    assert found.runs == len(found.builds) + 1  # and the base


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize(("rate", "most_runs"), [(0.3, 90), (0.5, 55), (0.8, 32)])
def test_a_flaky_test_finds_the_culprit_as_often_as_was_asked_for(
    rate: float, most_runs: int, confidence: float
) -> None:
    trials = _try_often(Rules(confidence=confidence), rate, causes=range(1, 17))

    print(f"right: {trials.right}, runs: {trials.runs:.0f}, builds: {trials.builds:.2f}")
    assert trials.right >= confidence
    assert trials.runs <= most_runs
    assert trials.builds <= 5.15


@pytest.mark.parametrize("confidence", [0.9, 0.99])
@pytest.mark.parametrize(("rate", "false_alarms"), [(0.3, 0.0), (0.7, 0.05)])
def test_an_answer_is_right_as_often_as_it_says_where_the_rates_are_known(
    rate: float, false_alarms: float, confidence: float
) -> None:
    rules = Rules(confidence=confidence, failure_rate=rate, false_alarm_rate=false_alarms)

    trials = _try_often(rules, rate, causes=range(18))

    chance = trials.probability
    assert chance >= confidence
    assert abs(trials.right - chance) <= 2.5 * math.sqrt(chance * (1 - chance) / TRIALS)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_more_confidence_takes_more_runs(rate: float) -> None:
    runs = []
    for confidence in (0.8, 0.99, 0.9999):
        dice = _roll(7)
        rules = Rules(confidence=confidence)

        def fails(index: int, dice: random.Random = dice) -> bool:
            return index >= 9 and dice.random() < rate

        runs.append(sum(run_bisection(16, fails, rules=rules).runs for _ in range(20)))

    assert runs[0] < runs[1] < runs[2]


def test_a_series_that_does_not_fail_ends_after_the_runs_that_were_asked_for() -> None:
    found = run_bisection(16, breaks_at(NEVER), rules=Rules(max_runs=24))

    assert found.answer.ending is Ending.NEVER_FAILS
    assert (found.builds, found.runs) == ((16,), 24)


def test_one_pass_is_enough_where_a_bad_kernel_always_fails() -> None:
    found = run_bisection(16, breaks_at(NEVER), rules=Rules(failure_rate=1))

    assert found.answer == Answer(ending=Ending.NEVER_FAILS)
    assert found.runs == 1


def test_a_base_that_fails_already_is_an_answer_before_a_second_kernel_is_built() -> None:
    found = run_bisection(16, breaks_at(BASE_FAILS))

    assert found.answer == Answer(ending=Ending.BASE_FAILS)
    assert found.builds == (16,)


def test_a_base_that_fails_once_in_a_while_is_found_out() -> None:
    dice = _roll(3)
    answers = [run_bisection(16, lambda _: dice.random() < 0.5).answer.ending for _ in range(100)]

    assert answers.count(Ending.BASE_FAILS) >= 99


def test_a_false_alarm_on_the_base_is_taken_for_one_where_they_are_expected() -> None:
    first_on_base = itertools.count()

    def fails(index: int) -> bool:
        return index >= 9 or (index == 0 and next(first_on_base) == 0)

    assert run_bisection(16, fails).answer.ending is Ending.BASE_FAILS
    answer = run_bisection(16, fails, rules=Rules(false_alarm_rate=0.1)).answer
    assert (answer.first, answer.last) == (9, 9)


@pytest.mark.parametrize("culprit", range(1, 17))
@pytest.mark.parametrize("broken", range(1, 16))
def test_one_kernel_that_does_not_build_hides_no_more_than_its_neighbour(
    culprit: int, broken: int
) -> None:
    found = run_bisection(16, breaks_at(culprit), broken=frozenset({broken}))

    is_hidden = culprit in {broken, broken + 1}
    expected = (broken, broken + 1) if is_hidden else (culprit, culprit)
    assert (found.answer.first, found.answer.last) == expected
    assert found.answer.ending is (Ending.HIDDEN if is_hidden else Ending.FOUND)
    assert len(found.builds) <= 7


@pytest.mark.parametrize("culprit", range(1, 17))
def test_a_stretch_that_does_not_build_is_told_as_a_whole(culprit: int) -> None:
    broken = frozenset({6, 7, 8, 9, 10})

    answer = run_bisection(16, breaks_at(culprit), broken=broken).answer

    assert (answer.first, answer.last) == ((6, 11) if 6 <= culprit <= 11 else (culprit, culprit))


def test_after_a_skip_a_kernel_some_patches_away_is_tried() -> None:
    state = _see_both_ends(16)
    middle = choose_next(state)
    assert middle is not None
    assert middle.index == 8

    after = choose_next(skip(state, 8))

    assert after is not None
    assert 2 <= abs(after.index - 8) <= 4


@pytest.mark.parametrize(
    ("broken", "ending"), [(16, Ending.TIP_UNUSABLE), (0, Ending.BASE_UNUSABLE)]
)
def test_an_end_that_does_not_build_is_an_answer_of_its_own(broken: int, ending: Ending) -> None:
    found = run_bisection(16, breaks_at(5), broken=frozenset({broken}))

    assert found.answer == Answer(ending=ending)


def test_what_cannot_be_if_a_bad_kernel_always_fails_is_said() -> None:
    state = observe(start(4, Rules(failure_rate=1)), 4, Tally(failures=1, passes=1))

    assert compute_posterior(state) == ()
    assert conclude(state) == Answer(ending=Ending.CONTRADICTED)
    assert choose_next(state) is None


def test_a_kernel_that_is_there_is_asked_again_before_another_is_built() -> None:
    state = observe(_see_both_ends(16), 8, Tally(passes=1))

    probe = choose_next(state)

    assert probe is not None
    assert probe.index == 8


def test_three_passes_make_a_kernel_good_for_a_test_that_failed_eight_times_of_eight() -> None:
    state = _see_both_ends(16)

    assert choose_repeats(state, 8) == 3
    assert choose_repeats(_see_both_ends(16, confidence=0.9), 8) == 1
    assert choose_repeats(_see_both_ends(16, tip=Tally(failures=3, passes=7)), 8) > 12


def test_a_pass_is_as_likely_as_laplace_has_it() -> None:
    state = start(1)
    state = observe(state, 1, Tally(failures=8))
    base_bad, culprit, never = compute_posterior(observe(state, 0, Tally(passes=1)))

    assert base_bad / culprit == pytest.approx(1 / 10)
    assert never == 0


def test_weights_say_where_to_look_first() -> None:
    rules = Rules(weights=(1, 1, 1, 1, 1, 1, 1, 100))
    state = observe(observe(start(8, rules), 8, Tally(failures=8)), 0, Tally(passes=5))

    probe = choose_next(state)

    assert probe is not None
    assert probe.index == 7


def test_what_is_left_narrows_as_more_is_seen() -> None:
    state = _see_both_ends(16)
    assert find_suspects(state) == (1, 16)
    state = observe(state, 8, Tally(passes=3))
    assert find_suspects(state) == (9, 16)
    state = observe(state, 12, Tally(failures=3))
    assert find_suspects(state) == (9, 12)


def test_the_order_of_what_was_seen_does_not_matter() -> None:
    seen = [(16, Tally(failures=5, passes=3)), (0, Tally(passes=9)), (8, Tally(passes=4))]
    posteriors = []
    for order in itertools.permutations(seen):
        state = start(16)
        for index, tally in order:
            state = observe(state, index, tally)
        posteriors.append(compute_posterior(state))

    assert len({tuple(round(one, 9) for one in posterior) for posterior in posteriors}) == 1
    assert sum(posteriors[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"confidence": 1.0}, "between 0.5 and 1"),
        ({"confidence": 0.3}, "between 0.5 and 1"),
        ({"failure_rate": 0.0}, "above 0"),
        ({"failure_rate": 0.3, "false_alarm_rate": 0.3}, "below the failure rate"),
        ({"batch_runs": 0}, "0 runs at once"),
        ({"batch_runs": 9, "max_runs": 8}, "9 runs at once, 8 at most"),
        ({"weights": (1.0,)}, "1 weights for 2 patches"),
        ({"weights": (1.0, 0.0)}, "not above 0"),
    ],
)
def test_rules_without_sense_are_refused(given: Mapping[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        start(2, Rules(**given))  # type: ignore[arg-type] # each case has its own types


def test_a_series_without_a_patch_is_refused() -> None:
    with pytest.raises(UserError, match="no patch"):
        start(0)


def _see_both_ends(count: int, *, confidence: float = 0.99, tip: Tally | None = None) -> State:
    state = start(count, Rules(confidence=confidence))
    state = observe(state, count, tip or Tally(failures=8))
    return observe(state, 0, Tally(passes=40))


def _roll(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - it is to be the same each time


def _try_often(rules: Rules, rate: float, *, causes: range) -> Trials:
    """Bisect 16 patches again and again: 0 stands for a base that fails, 17 for no failure."""
    dice = _roll(20240229)
    endings = {0: Ending.BASE_FAILS, 17: Ending.NEVER_FAILS}
    right, found = 0, []
    for trial in range(TRIALS):
        cause = causes[trial % len(causes)]

        def fails(index: int, cause: int = cause) -> bool:
            return dice.random() < (rate if index >= cause else rules.false_alarm_rate)

        found.append(run_bisection(16, fails, rules=rules))
        answer = found[-1].answer
        patch = cause if cause not in endings else 0
        right += (answer.ending, answer.first) == (endings.get(cause, Ending.FOUND), patch)
    return Trials(
        right=right / TRIALS,
        probability=sum(one.answer.probability for one in found) / TRIALS,
        runs=sum(one.runs for one in found) / TRIALS,
        builds=sum(len(one.builds) for one in found) / TRIALS,
    )
