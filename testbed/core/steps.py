"""Patch by patch: which patch of a series made a test fail."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from testbed.core.compare import classify_change, worst_verdicts
from testbed.core.exit_code import REGRESSIONS, did_boot
from testbed.core.record import CellRecord, Culprit, PatchRecord, StepRecord
from testbed.core.result import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A test after the first ``number`` patches."""

    number: int
    verdict: Verdict | None
    is_bad: bool


def find_culprits(
    base: Sequence[CellRecord],
    steps: Sequence[StepRecord],
    patched: Sequence[CellRecord],
    *,
    patches: Sequence[PatchRecord],
) -> tuple[Culprit, ...]:
    """Return the patch behind each test that is worse than on the base, after any of ``patches``.

    ``steps`` are the kernels between base and patched, in their order. A step that did not build,
    boot or come to a verdict tells nothing, and the patches beside it stay suspects together,
    unless a step without the others shows the last of them to fail the test alone. Of a test that
    fails, passes and fails again, the last failure is told.
    """
    if not base or not patched:
        return ()
    before = worst_verdicts(base)
    plain = [step for step in steps if not step.without]
    columns = [*((step.patch.number, step.cells) for step in plain), (len(patches), patched)]
    apart = [step for step in steps if step.without]
    known = [(number, *_look_over(cells)) for number, cells in columns]
    names = dict.fromkeys([*before, *(name for *_, verdicts in known for name in verdicts)])
    found = []
    for topology, test in sorted(names):
        key = (topology, test)
        chain = [_Point(number=0, verdict=before.get(key), is_bad=False)]
        for number, booted, verdicts in known:
            if topology in booted and verdicts.get(key) is not Verdict.LOST:
                chain.append(_look_at(number, before.get(key), verdicts.get(key)))
        episode = _find_last_episode(chain)
        if episode is not None:
            good, bad, mended = episode
            suspects = tuple(patches[good.number : bad.number])
            does_alone = any(_fails_alone(step, suspects, key, before) for step in apart)
            found.append(
                Culprit(
                    test=test,
                    topology=topology,
                    verdict=bad.verdict,
                    suspects=suspects[-1:] if does_alone else suspects,
                    mended_by=patches[mended.number - 1] if mended else None,
                )
            )
    return tuple(found)


def _fails_alone(
    step: StepRecord,
    suspects: Sequence[PatchRecord],
    key: tuple[str, str],
    before: Mapping[tuple[str, str], Verdict],
) -> bool:
    """Whether ``step`` has the last of ``suspects`` and none of the others, and fails the test."""
    others = {patch.number for patch in suspects[:-1]}
    if step.patch != suspects[-1] or not others or not others.issubset(step.without):
        return False
    booted, verdicts = _look_over(step.cells)
    is_known = key[0] in booted and verdicts.get(key) is not Verdict.LOST
    return is_known and _look_at(step.patch.number, before.get(key), verdicts.get(key)).is_bad


def _look_over(
    cells: Sequence[CellRecord],
) -> tuple[frozenset[str], dict[tuple[str, str], Verdict]]:
    """Return the topologies that a kernel booted on, and the verdicts there."""
    booted = [cell for cell in cells if did_boot(cell)]
    return frozenset(cell.topology for cell in booted), worst_verdicts(booted)


def _look_at(number: int, before: Verdict | None, after: Verdict | None) -> _Point:
    """Judge a point; that a test comes only with a later patch is no failure before it."""
    if after is None and before is None:
        return _Point(number=number, verdict=None, is_bad=False)
    kind = classify_change(before, after)
    return _Point(number=number, verdict=after, is_bad=kind in REGRESSIONS)


def _find_last_episode(chain: Sequence[_Point]) -> tuple[_Point, _Point, _Point | None] | None:
    """Return the last good point before a failure, the failure, and the good point after it."""
    episodes = list(_list_episodes(chain))
    return episodes[-1] if episodes else None


def _list_episodes(
    chain: Sequence[_Point],
) -> Iterator[tuple[_Point, _Point, _Point | None]]:
    for place, (one, other) in enumerate(itertools.pairwise(chain)):
        if other.is_bad and not one.is_bad:
            later = (point for point in chain[place + 2 :] if not point.is_bad)
            yield one, other, next(later, None)
