"""Which test of a run is meant: a few letters of its name will do where they tell it."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from testbed.core.record import CellRecord, RunRecord
from testbed.core.result import TestResult, Verdict
from testbed.errors import UserError

_SHOWN: Final = 8
_FINE: Final = frozenset({Verdict.PASSED, Verdict.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTest:
    """One test, and the cell that it ran on."""

    cell: CellRecord
    test: TestResult


def find_test(record: RunRecord, wanted: str, *, cell: str = "") -> FoundTest:
    """Return the one test of ``record`` that ``wanted`` tells, on the cell that ``cell`` tells.

    A whole id counts more than its end (behind ``/`` or ``::``), an end more than any part. Where
    the test ran on several cells, the one is taken on which it did not pass. Raises
    :class:`UserError` with those that may be meant where it is none or not one.
    """
    cells = _find_cells(record.cells, cell)
    ids = tuple(dict.fromkeys(test.id for one in cells for test in one.tests))
    name = _find_id(ids, wanted)
    found = [
        FoundTest(cell=one, test=test) for one in cells for test in one.tests if test.id == name
    ]
    bad = [one for one in found if one.test.verdict not in _FINE]
    if len(found) > 1 and len(bad) == 1:
        return bad[0]
    if len(found) > 1:
        shown = ", ".join(f"{one.cell.name} ({one.test.verdict})" for one in found)
        raise UserError(f"{name} ran on several cells; say which with --cell: {shown}")
    return found[0]


def _find_cells(cells: Sequence[CellRecord], wanted: str) -> tuple[CellRecord, ...]:
    exact = tuple(one for one in cells if one.name == wanted)
    found = exact or tuple(one for one in cells if wanted in one.name)
    if not found:
        raise UserError(
            f"no cell {wanted!r} in this run; there are: {_list_some(c.name for c in cells)}"
        )
    return found


def _find_id(ids: Sequence[str], wanted: str) -> str:
    ends = (f"/{wanted}", f"::{wanted}")
    for found in (
        [one for one in ids if one == wanted],
        [one for one in ids if one.endswith(ends)],
        [one for one in ids if wanted and wanted in one],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{wanted!r} may be any of: {_list_some(found)}")
    near = difflib.get_close_matches(wanted, ids, n=_SHOWN, cutoff=0.4)
    hint = f"did you mean: {_list_some(near)}" if near else f"there are: {_list_some(ids)}"
    raise UserError(f"no test {wanted!r} in this run; {hint}")


def _list_some(names: Iterable[str]) -> str:
    every = tuple(names)
    more = f", and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return (", ".join(every[:_SHOWN]) or "none") + more
