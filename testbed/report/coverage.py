"""What the guest tests cover, for the terminal."""

import string
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from testbed.core.coverage import Claim, CoverageReport, Square, State
from testbed.core.coverage import Table as Side
from testbed.report.text import count

_MOST: Final = 99  # three digits in every column are more than fit on a line
_LEGEND: Final = f"a number: so many tests assert it ({_MOST}: or more);  . open;  - impossible"
_SIGNS: Final = {State.IMPOSSIBLE: ("-", "dim"), State.OPEN: (".", "bold yellow")}
_HEADS: Final = string.ascii_lowercase + string.ascii_uppercase
_NAMED_TESTS: Final = 6
_LINE_CHARS: Final = 100
_TIE: Final = "\N{NO-BREAK SPACE}"  # between a letter and its name, which are not to be parted


def render_coverage(report: CoverageReport, *, names_open: bool = False) -> RenderableType:
    """Return both sides of the matrix, the contract, the promises and what is open.

    With ``names_open`` the open squares are named too.
    """
    parts: list[RenderableType] = [
        Text(
            f"{count(report.tests, 'guest test')}, {report.quick} of them quick, "
            f"{len(report.known)} known to fail on some kernel"
        )
    ]
    for side in report.tables:
        parts += [Text(), *_render_side(side)]
    parts += [Text(), _render_contract(report.contract), Text(), *_render_promises(report.promises)]
    if report.known:
        parts += [Text(), Text("known issues, by kernel", "bold")]
        parts += [_indent(f"{test}: {why}") for test, why in report.known]
    parts += [Text(), *_render_open(report.tables, names_open=names_open)]
    if report.contradictions:
        parts += [Text(), Text("asserted, though coverage.yaml calls it impossible:", "bold red")]
        parts += [
            _indent(f"{test}: {cell.interface} x {cell.backing} x {cell.condition}: {why}")
            for test, cell, why in report.contradictions
        ]
    return Group(*parts)


def _render_side(side: Side) -> Iterator[RenderableType]:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=0, pad_edge=False)
    table.add_column("")
    heads = dict(zip(side.columns, _HEADS, strict=False))
    for head in heads.values():
        table.add_column(head, justify="right", no_wrap=True, min_width=2)
    for row in side.rows:
        squares = (side.squares[row, column] for column in side.columns)
        table.add_row(Text(row), *map(_render_square, squares))
    counts = ", ".join(f"{side.count(state)} {state}" for state in State)
    yield Text(f"{side.title}: {counts}", "bold")
    yield table
    yield _indent("  ".join(f"{head}{_TIE}{name}" for name, head in heads.items()))
    yield _indent(_LEGEND)


def _render_square(square: Square) -> Text:
    if square.state is State.ASSERTED:
        return Text(str(min(len(square.tests), _MOST)), "green")
    return Text(*_SIGNS[square.state])


def _render_contract(claims: Iterable[Claim]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", justify="right")
    table.add_column("item of the contract")
    table.add_column("tests", justify="right")
    for claim in claims:
        style = "green" if claim.tests else "bold yellow"
        table.add_row(claim.name, Text(claim.title), Text(str(len(claim.tests)), style))
    return table


def _render_promises(claims: Iterable[Claim]) -> Iterator[RenderableType]:
    yield Text("promises of the old documents", "bold")
    for claim in claims:
        yield _indent(f"{claim.name}: {claim.title}")
        for test in claim.tests[:_NAMED_TESTS]:
            yield _indent(test, "green", by=4)
        if len(claim.tests) > _NAMED_TESTS:
            yield _indent(f"and {len(claim.tests) - _NAMED_TESTS} more", by=4)
        if not claim.tests:
            yield _indent("no test", "bold yellow", by=4)


def _render_open(sides: Iterable[Side], *, names_open: bool) -> Iterator[RenderableType]:
    for side in sides:
        left = side.count(State.OPEN)
        hint = "" if names_open or not left else "; --open names them"
        yield Text(f"open of {side.title}: {left} of {len(side.squares)}{hint}")
        for row in side.rows if names_open else ():
            squares = (side.squares[row, column] for column in side.columns)
            names = [square.column for square in squares if square.state is State.OPEN]
            if names:
                yield _indent(f"{row}: {', '.join(names)}")


def _indent(text: str, style: str = "", *, by: int = 2) -> Text:
    """Return ``text`` further in by so many columns, and the lines after its first by two more."""
    indent = " " * by
    filled = textwrap.fill(
        text,
        width=_LINE_CHARS,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return Text(filled.replace(_TIE, " "), style)
