"""What the guest tests cover: which cells of a matrix, which items of a contract, which promises.

The matrix has three axes: through which interface pages are moved, what backs them, and under what
condition. Two sides of it are shown: interface by backing where nothing else goes on, and interface
by condition over any backing.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final

from pydantic import Field

from testbed.core.declared import (
    CoverageCell,
    Declared,
    DeclaredTest,
    Item,
    Line,
    Name,
)
from testbed.core.strict_yaml import StrictModel, parse_yaml
from testbed.errors import PlanError

QUIET: Final = "quiet"
"""The condition that the matrix of backings is shown for; every matrix has it."""

_AXES: Final = ("interface", "backing", "condition")

_Glob = Annotated[str, Field(pattern=r"^[a-z0-9_*?-]+$")]
_Meanings = Annotated[dict[Name, Line], Field(min_length=1)]


class _Axes(StrictModel):
    interface: _Meanings
    backing: _Meanings
    condition: _Meanings


class _Rule(StrictModel):
    """Cells that cannot be; an axis that is left out stands for all of it."""

    interface: tuple[_Glob, ...] = ("*",)
    backing: tuple[_Glob, ...] = ("*",)
    condition: tuple[_Glob, ...] = ("*",)
    why: Line

    def fits(self, cell: CoverageCell) -> bool:
        """Whether the rule is about ``cell``."""
        return all(
            any(fnmatchcase(getattr(cell, axis), glob) for glob in getattr(self, axis))
            for axis in _AXES
        )


class Coverage(StrictModel):
    """What there is to cover, each with a line about it."""

    axes: _Axes
    impossible: tuple[_Rule, ...] = ()
    contract: dict[Item, Line]
    promises: dict[Name, Line]

    def check(self, declared: Declared, *, filename: str) -> None:
        """Raise :class:`PlanError` where ``declared`` has a name that there is not."""
        for axis in _AXES:
            for name in sorted({getattr(cell, axis) for cell in declared.cells}):
                _check_name(name, getattr(self.axes, axis), key=axis, filename=filename)
        for item in declared.contract:
            _check_name(item, self.contract, key="contract", filename=filename)
        for name in declared.promises:
            _check_name(name, self.promises, key="promises", filename=filename)

    def explain_impossible(self, cell: CoverageCell) -> str:
        """Return why ``cell`` cannot be; empty where it can."""
        return next((rule.why for rule in self.impossible if rule.fits(cell)), "")


def parse_coverage(text: str, *, filename: str) -> Coverage:
    """Read what there is to cover; raises :class:`PlanError` with what is wrong in one line."""
    coverage = parse_yaml(text, Coverage, filename=filename)
    if QUIET not in coverage.axes.condition:
        raise PlanError(f"{filename}: key 'axes.condition': {QUIET!r} is missing")
    for number, rule in enumerate(coverage.impossible):
        for axis in _AXES:
            names = getattr(coverage.axes, axis)
            for glob in getattr(rule, axis):
                if not any(fnmatchcase(name, glob) for name in names):
                    raise PlanError(
                        f"{filename}: key 'impossible[{number}].{axis}': {glob!r} fits none of: "
                        f"{', '.join(names)}"
                    )
    return coverage


class State(StrEnum):
    """What is known of a square."""

    ASSERTED = "asserted"
    IMPOSSIBLE = "impossible"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A place in a table: the tests that assert it, or why it cannot be."""

    row: str
    column: str
    tests: tuple[str, ...] = ()
    why: str = ""

    @property
    def state(self) -> State:
        """Asserted, impossible or open."""
        if self.tests:
            return State.ASSERTED
        return State.IMPOSSIBLE if self.why else State.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One side of the matrix; ``rows`` and ``columns`` are names and their meanings."""

    title: str
    rows: Mapping[str, str]
    columns: Mapping[str, str]
    squares: Mapping[tuple[str, str], Square]

    def count(self, state: State) -> int:
        """Return how many squares are in ``state``."""
        return sum(square.state is state for square in self.squares.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that is to be asserted, and the tests that do."""

    name: str
    title: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageReport:
    """How far the tests cover what there is to cover.

    ``contradictions`` are (test, cell, why) of cells that are asserted and called impossible.
    """

    tests: int
    quick: int
    known: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    contract: tuple[Claim, ...]
    promises: tuple[Claim, ...]
    contradictions: tuple[tuple[str, CoverageCell, str], ...]


def compute_coverage(coverage: Coverage, tests: Sequence[DeclaredTest]) -> CoverageReport:
    """Return how far ``tests`` cover ``coverage``."""
    return CoverageReport(
        tests=len(tests),
        quick=sum(test.declared.is_quick for test in tests),
        known=tuple(
            (test.id, f"{known.kernels}: {known}")
            for test in tests
            for known in test.declared.known
        ),
        tables=(
            _make_table("interface by backing, quiet", "backing", coverage, tests),
            _make_table("interface by condition, any backing", "condition", coverage, tests),
        ),
        contract=tuple(
            _claim(str(item), title, (test for test in tests if item in test.declared.contract))
            for item, title in sorted(coverage.contract.items())
        ),
        promises=tuple(
            _claim(name, title, (test for test in tests if name in test.declared.promises))
            for name, title in coverage.promises.items()
        ),
        contradictions=tuple(
            (test.id, cell, why)
            for test in tests
            for cell in sorted(test.declared.cells)
            if (why := coverage.explain_impossible(cell))
        ),
    )


def _make_table(title: str, axis: str, coverage: Coverage, tests: Sequence[DeclaredTest]) -> Table:
    """Return the table of interfaces by ``axis``."""
    rows, columns = coverage.axes.interface, getattr(coverage.axes, axis)
    asserting: defaultdict[CoverageCell, list[int]] = defaultdict(list)
    for number, test in enumerate(tests):
        for cell in test.declared.cells:
            asserting[cell].append(number)
    squares = {}
    for row in rows:
        for column in columns:
            cells = _list_cells(coverage, row, axis, column)
            numbers = sorted({number for cell in cells for number in asserting.get(cell, ())})
            found = (tests[number].id for number in numbers)
            reasons = [coverage.explain_impossible(cell) for cell in cells]
            why = reasons[0] if all(reasons) else ""
            squares[row, column] = Square(row=row, column=column, tests=tuple(found), why=why)
    return Table(title=title, rows=rows, columns=columns, squares=squares)


def _list_cells(coverage: Coverage, row: str, axis: str, column: str) -> list[CoverageCell]:
    """Return the cells that a square stands for: a backing is quiet, a condition of any backing."""
    if axis == "backing":
        return [CoverageCell(interface=row, backing=column, condition=QUIET)]
    return [
        CoverageCell(interface=row, backing=backing, condition=column)
        for backing in coverage.axes.backing
    ]


def _claim(name: str, title: str, asserting: Iterable[DeclaredTest]) -> Claim:
    return Claim(name=name, title=title, tests=tuple(test.id for test in asserting))


def _check_name(name: object, names: Iterable[object], *, key: str, filename: str) -> None:
    allowed = tuple(names)
    if name not in allowed:
        listing = ", ".join(str(one) for one in allowed)
        raise PlanError(f"{filename}: key {key!r}: {name!r} will not do; allowed: {listing}")
