"""Base against patched, test by test: what each verdict has become.

The rules are two tables, :data:`_KINDS` (what a pair of standings means) and :data:`_SEVERITY`
(which of two failures is the worse one); ``classify_change`` reads them and nothing else decides.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

from testbed.core.record import CellRecord, Change, ChangeKind
from testbed.core.result import Verdict


class _Standing(Enum):
    """What a verdict says of the kernel, coarsely."""

    GOOD = "it ran and did right"
    BAD = "the kernel is at fault"
    KNOWN = "the kernel is at fault, as is declared of it"
    ABSENT = "nothing is known: skipped, or not there"
    LOST = "nothing is known: the host failed"


_STANDINGS: Final[Mapping[Verdict | None, _Standing]] = {
    None: _Standing.ABSENT,
    Verdict.SKIPPED: _Standing.ABSENT,
    Verdict.PASSED: _Standing.GOOD,
    Verdict.KNOWN: _Standing.KNOWN,
    Verdict.FAILED: _Standing.BAD,
    Verdict.CRASHED: _Standing.BAD,
    Verdict.TIMED_OUT: _Standing.BAD,
    Verdict.BOOT_FAILED: _Standing.BAD,
    Verdict.BUILD_FAILED: _Standing.BAD,
    Verdict.LOST: _Standing.LOST,
}

# A lockup shows as a crash or as a timeout, whichever is noticed first, so the two weigh the same.
_SEVERITY: Final[Mapping[Verdict, int]] = {
    Verdict.SKIPPED: 0,
    Verdict.PASSED: 1,
    Verdict.KNOWN: 2,
    Verdict.LOST: 3,
    Verdict.FAILED: 4,
    Verdict.TIMED_OUT: 5,
    Verdict.CRASHED: 5,
    Verdict.BOOT_FAILED: 6,
    Verdict.BUILD_FAILED: 7,
}

# What is declared of a kernel excuses what its base does too, and no more: a test that passes on
# the base and fails on the patched kernel has regressed, whatever is declared, and so has one that
# fails in another way than it is known to.
_KINDS: Final[Mapping[tuple[_Standing, _Standing], ChangeKind]] = {
    (_Standing.GOOD, _Standing.GOOD): ChangeKind.STILL_PASSING,
    (_Standing.GOOD, _Standing.BAD): ChangeKind.REGRESSED,
    (_Standing.GOOD, _Standing.ABSENT): ChangeKind.GONE,
    (_Standing.GOOD, _Standing.KNOWN): ChangeKind.REGRESSED,
    (_Standing.BAD, _Standing.GOOD): ChangeKind.FIXED,
    (_Standing.BAD, _Standing.BAD): ChangeKind.STILL_FAILING,
    (_Standing.BAD, _Standing.ABSENT): ChangeKind.GONE,
    (_Standing.BAD, _Standing.KNOWN): ChangeKind.STILL_FAILING,
    (_Standing.KNOWN, _Standing.GOOD): ChangeKind.FIXED,
    (_Standing.KNOWN, _Standing.BAD): ChangeKind.REGRESSED,
    (_Standing.KNOWN, _Standing.ABSENT): ChangeKind.GONE,
    (_Standing.KNOWN, _Standing.KNOWN): ChangeKind.KNOWN,
    (_Standing.ABSENT, _Standing.GOOD): ChangeKind.NEW,
    (_Standing.ABSENT, _Standing.BAD): ChangeKind.NEW_FAILING,
    (_Standing.ABSENT, _Standing.ABSENT): ChangeKind.STILL_SKIPPED,
    (_Standing.ABSENT, _Standing.KNOWN): ChangeKind.KNOWN,
}

WORST_FIRST: Final[tuple[ChangeKind, ...]] = (
    ChangeKind.REGRESSED,
    ChangeKind.NEW_FAILING,
    ChangeKind.GONE,
    ChangeKind.LOST,
    ChangeKind.STILL_FAILING,
    ChangeKind.FIXED,
    ChangeKind.NEW,
    ChangeKind.KNOWN,
    ChangeKind.STILL_SKIPPED,
    ChangeKind.STILL_PASSING,
)
"""The order in which changes are listed."""


def is_bad(verdict: Verdict | None) -> bool:
    """Whether ``verdict`` puts the kernel at fault.

    LOST does not, since that is the host's, nor KNOWN, since that is declared.
    """
    return _STANDINGS[verdict] is _Standing.BAD


def classify_change(before: Verdict | None, after: Verdict | None) -> ChangeKind:
    """Return what it means that a test went from ``before`` on the base to ``after``.

    None stands for a test that the side does not have. A failure that became a worse one (a
    failed test that now crashes the kernel) is a regression, not "still failing". Raises
    ValueError if the test is on neither side.
    """
    if before is None and after is None:
        raise ValueError("a test that is on neither side cannot be compared")
    standings = (_STANDINGS[before], _STANDINGS[after])
    if _Standing.LOST in standings:
        return ChangeKind.LOST
    kind = _KINDS[standings]
    if kind is ChangeKind.STILL_FAILING and _severity(after) > _severity(before):
        return ChangeKind.REGRESSED
    return kind


def compare_cells(base: Sequence[CellRecord], patched: Sequence[CellRecord]) -> tuple[Change, ...]:
    """Compare every test of ``base`` with the same test on the same topology of ``patched``.

    The worst come first (:data:`WORST_FIRST`), then by topology and test id. A test that one side
    ran more than once counts with its worst verdict. With one side empty there is nothing to
    compare, and the result is empty.
    """
    if not base or not patched:
        return ()
    before, after = worst_verdicts(base), worst_verdicts(patched)
    changes = (
        Change(
            test=test,
            topology=topology,
            kind=classify_change(before.get((topology, test)), after.get((topology, test))),
            before=before.get((topology, test)),
            after=after.get((topology, test)),
        )
        for topology, test in {**before, **after}
    )
    return tuple(sorted(changes, key=lambda c: (WORST_FIRST.index(c.kind), c.topology, c.test)))


def worst_verdicts(cells: Sequence[CellRecord]) -> dict[tuple[str, str], Verdict]:
    """Return the verdict of each (topology, test), the worst where it ran more than once."""
    verdicts: dict[tuple[str, str], Verdict] = {}
    for cell in cells:
        for test in cell.tests:
            key = (cell.topology, test.id)
            verdicts[key] = max(verdicts.get(key, test.verdict), test.verdict, key=_severity)
    return verdicts


def _severity(verdict: Verdict | None) -> int:
    return -1 if verdict is None else _SEVERITY[verdict]
