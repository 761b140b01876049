"""A bisection told in lines: one a step while it goes, and at the end what came of it."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from testbed.core.bisect_account import Bisected, Step, count_builds, count_runs
from testbed.core.bisection import Ending
from testbed.core.judge import Outcome
from testbed.core.series import Patch
from testbed.core.text import shorten_middle
from testbed.report.text import clean_text, clip_lines, count, format_seconds, show_line

_LINE_CHARS: Final = 300
_MESSAGE_LINES: Final = 12
_COMMIT_CHARS: Final = 12
_MOST_CERTAIN: Final = 0.9999

# What pytest -k takes for one name (_pytest/mark/expression.py, 8.3).
_SELECTABLE: Final = re.compile(r"[\w:+.\[\]\\/-]+")

_HEADLINES: Final[Mapping[Ending, str]] = {
    Ending.NEVER_FAILS: "nothing to find: the bad end does not fail",
    Ending.BASE_FAILS: "nothing to find: the good end fails already",
    Ending.BASE_UNUSABLE: "cannot be bisected: the good end says nothing",
    Ending.TIP_UNUSABLE: "cannot be bisected: the bad end says nothing",
    Ending.CONTRADICTED: "contradictory: what was said to fail each time did not",
    Ending.MERGE_BASE_BAD: "nothing to find: where the good and the bad branch part, it is bad",
}
_ADVICE: Final[Mapping[Ending, str]] = {
    Ending.NEVER_FAILS: (
        "see it fail with `testbed run` first; a test that fails rarely needs a higher --max-runs"
    ),
    Ending.BASE_FAILS: (
        "what is to blame is older: take an older good end, or bisect the commits of a tree"
    ),
    Ending.BASE_UNUSABLE: "take a good end that builds and boots, and a test that it can run",
    Ending.TIP_UNUSABLE: "mend the bad end, or take one that builds and boots and runs the test",
    Ending.CONTRADICTED: "the test is flaky after all: bisect it in normal mode, with repeats",
    Ending.MERGE_BASE_BAD: (
        "something on the way to the good commit mends it: take one that leads to the bad commit"
    ),
}


def describe_step(step: Step, *, total: int) -> str:
    """Return the line of a step; ``total`` is the number of patches, 0 for commits."""
    kernel = f"built in {format_seconds(step.build_seconds)}"
    kernel = "from the cache" if step.is_cached else kernel if step.kernel else "no kernel"
    words = [_name_kernel(step, total), kernel, step.outcome.value, _tell_runs([step])]
    line = ": ".join(words)
    if step.first and step.outcome is not Outcome.SKIP and (step.index or not step.failures):
        line += f" ({_name_range(step.first, step.last)} left)"
    return _line(line)


def render_series(
    bisected: Bisected, patches: Sequence[Patch], *, command: Sequence[str]
) -> tuple[str, ...]:
    """Return what came of a bisection of ``patches``, in lines.

    ``command`` is what shows the failure, as an argv; :func:`choose_select` gives its -k.
    """
    answer = bisected.answer
    if answer.ending not in {Ending.FOUND, Ending.HIDDEN}:
        return tuple(_tell_dead_end(bisected))
    culprits = range(answer.first, answer.last + 1)
    head = f"{_name_range(answer.first, answer.last)} of {len(patches)}: {bisected.symptom}"
    lines = [_line(head)]
    for number in culprits:
        patch = patches[number - 1]
        name = f"{number}: {patch.filename.rpartition('/')[2]}: {patch.subject}"
        lines.append(_line(f"  {name}"))
    apart = [one for one in bisected.steps if one.without]
    hidden = [one for one in bisected.steps if one.index in culprits[:-1] and not one.without]
    lines += [
        _line(f"  {_name_kernel(one, len(patches))}: {_tell_runs([one])}")
        for one in (*hidden, *apart)
    ]
    tried = [
        one
        for one in bisected.steps
        if one.outcome in {Outcome.BAD, Outcome.GOOD} and not one.without
    ]
    bad = [one for one in tried if one.index >= answer.last and one.outcome is Outcome.BAD]
    lines += _tell_evidence(bisected, min(bad, key=lambda one: one.index))
    good = max((one for one in tried if one.index < answer.first), key=lambda one: one.index)
    lines += _tell_evidence(bisected, good)
    return (*lines, *_tell_cost(bisected), _tell_command(command))


def render_commits(
    bisected: Bisected, described: Mapping[str, str], *, command: Sequence[str]
) -> tuple[str, ...]:
    """Return what came of a bisection of commits; ``described`` has a line for each of them."""
    if bisected.answer.ending not in {Ending.FOUND, Ending.HIDDEN}:
        lines = list(_tell_dead_end(bisected))
        return (
            lines[0],
            *(_line(f"  {_name(one, described)}") for one in bisected.commits),
            *lines[1:],
        )
    first = (
        "first bad commit" if len(bisected.commits) == 1 else "the first bad one of these commits"
    )
    lines = [_line(f"{first}: {bisected.symptom}")]
    lines += [_line(f"  {_name(commit, described)}") for commit in bisected.commits]
    skipped = [one for one in bisected.steps if one.outcome is Outcome.SKIP]
    lines += [
        _line(f"  {_name(one.commit, described)}: {one.reason}")
        for one in skipped
        if one.commit in bisected.commits
    ]
    bad = [one for one in bisected.steps if one.outcome is Outcome.BAD]
    own = [one for one in bad if one.commit in bisected.commits]
    lines += _tell_evidence(bisected, (own or bad)[-1])
    return (*lines, *_tell_cost(bisected), _tell_command(command))


def choose_select(test: str) -> str:
    """Return what ``-k`` selects the test ``test`` with: its name, or the longest part that does.

    Empty where it has none.
    """
    name = test.rpartition("::")[2]
    return max(_SELECTABLE.findall(name), key=len, default="")


def _tell_dead_end(bisected: Bisected) -> Iterator[str]:
    ending = bisected.answer.ending
    yield _line(f"{_HEADLINES[ending]}: {bisected.symptom}")
    if bisected.steps:
        last = bisected.steps[-1]
        yield from _tell_evidence(bisected, last)
    yield from _tell_cost(bisected)
    yield f"  {_ADVICE[ending]}"


def _tell_evidence(bisected: Bisected, step: Step) -> Iterator[str]:
    """Tell what all runs of the kernel of ``step`` did, and what the test said in it."""
    total = max(one.index for one in bisected.steps)
    kernel = (step.index, step.without, step.commit)
    same = [one for one in bisected.steps if (one.index, one.without, one.commit) == kernel]
    yield _line(f"  {_name_kernel(step, max(total, 0))}: {_tell_runs(same)}")
    message = clip_lines(clean_text(step.message), _MESSAGE_LINES)
    if step.outcome is Outcome.BAD and "\n" in message:
        yield from (f"    {shorten_middle(one, width=_LINE_CHARS)}" for one in message.splitlines())


def _tell_runs(steps: Sequence[Step]) -> str:
    """Return how many runs of one kernel failed, or passed, and how."""
    failures, passes = sum(one.failures for one in steps), sum(one.passes for one in steps)
    most = next((one for one in steps if one.outcome is Outcome.BAD), steps[-1])
    if not failures + passes or most.outcome is Outcome.SKIP:
        return most.reason
    return f"{failures or passes} of {count(failures + passes, 'run')}: {most.reason}"


def _tell_cost(bisected: Bisected) -> Iterator[str]:
    kernels, built = count_builds(bisected.steps)
    runs = count(count_runs(bisected.steps), "run")
    seconds = format_seconds(sum(step.build_seconds for step in bisected.steps))
    # More digits would be more certain than the model is.
    sure = f"{100 * min(bisected.answer.probability, _MOST_CERTAIN):.4g} %"
    is_found = bisected.answer.ending in {Ending.FOUND, Ending.HIDDEN}
    certainty = f"confidence {sure}; " if is_found else ""
    yield f"  {certainty}{count(kernels, 'kernel')}, {built} built in {seconds}; {runs}"


def _name_kernel(step: Step, total: int) -> str:
    if step.commit:
        return step.commit[:_COMMIT_CHARS]
    if step.index == 0:
        return "base"
    if step.without:
        return f"patches 1 to {step.index} without {', '.join(map(str, step.without))}"
    if step.index == total:
        return f"all {count(total, 'patch', plural='patches')}"
    return f"patches 1 to {step.index}" if step.index > 1 else "patch 1 alone"


def _name_range(first: int, last: int) -> str:
    return f"patch {first}" if first == last else f"patches {first} to {last}"


def _name(commit: str, described: Mapping[str, str]) -> str:
    return described.get(commit, commit[:_COMMIT_CHARS])


def _line(text: str) -> str:
    """Return ``text`` as one harmless line; blanks at its start stay."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + show_line(text, width=_LINE_CHARS)


def _tell_command(command: Sequence[str]) -> str:
    """Return the line of what shows the failure: whole, for it is to be copied."""
    shown = clean_text(shlex.join(command)).replace("\n", " ")
    return f"  to see it: {shown}"
