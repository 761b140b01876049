"""Suspects told apart that a bisection leaves together, since the kernels between do not build.

A kernel with none of the suspects but one says of that one alone whether it fails the test. git
bisect has no such kernel; a series has, where the patch applies and builds without the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from testbed.core.bisect_account import Bisected, Step
from testbed.core.bisection import Ending, Rules
from testbed.core.judge import JudgeSpec, Outcome
from testbed.core.text import clean
from testbed.errors import SeriesError
from testbed.host.builder import BuildFailure, Kernel
from testbed.pipeline.bisect import Keep, Runs, try_out

BuildsWithout = Callable[[int, tuple[int, ...]], Kernel | BuildFailure]
"""Builds the kernel with the first patches of a series, less those of the given numbers."""


def tell_apart(
    bisected: Bisected,
    spec: JudgeSpec,
    *,
    build: BuildsWithout,
    run: Runs,
    keep: Keep,
    rules: Rules,
) -> Bisected:
    """Return ``bisected`` with one culprit where one of its suspects fails without the others.

    The last one is looked at first: what mends the build is the likeliest to do more. A suspect
    that passes alone is not cleared by that: it may need another one to fail.
    """
    answer = bisected.answer
    if answer.ending is not Ending.HIDDEN:
        return bisected
    steps = list(bisected.steps)
    for number in range(answer.last, answer.first - 1, -1):
        step = _find_known(steps, number) or _look_at(
            number,
            without=tuple(n for n in range(answer.first, number)),
            spec=spec,
            build=build,
            run=run,
            times=rules.batch_runs,
        )
        if step not in steps:
            keep(step)
            steps.append(step)
        if step.outcome is Outcome.BAD and step.without:
            found = replace(answer, ending=Ending.FOUND, first=number, last=number)
            return replace(bisected, answer=found, steps=tuple(steps))
    return replace(bisected, steps=tuple(steps))


def _find_known(steps: Sequence[Step], number: int) -> Step | None:
    """Return what an earlier part of the bisection saw of it."""
    return next((step for step in steps if step.index == number and step.without), None)


def _look_at(
    number: int,
    *,
    without: tuple[int, ...],
    spec: JudgeSpec,
    build: BuildsWithout,
    run: Runs,
    times: int,
) -> Step:
    try:
        step = try_out(lambda: build(number, without), run=run, spec=spec, times=times)
    except SeriesError as err:
        reason = f"does not apply without the others: {clean(str(err)).splitlines()[0]}"
        step = Step(
            kernel="", is_cached=False, build_seconds=0.0, outcome=Outcome.SKIP, reason=reason
        )
    return replace(step, index=number, without=without)
