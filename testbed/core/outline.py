"""A text in points and sub-points, and its lines."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from testbed.core.text import clean

_INDENT: Final = "  "
_MIN_WIDTH: Final = 40  # of what is left for a deep point


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One statement, and what it rests on."""

    text: str
    points: tuple["Point", ...] = ()


def format_point(point: Point, *, width: int) -> tuple[str, ...]:
    """Return the lines of a point and all below it, indented by two spaces a level.

    A line has at most ``width`` characters, where no word is longer; a text that takes several
    goes on four spaces further in. Control characters are taken out.
    """
    return tuple(_format(point, depth=0, width=width))


def _format(point: Point, *, depth: int, width: int) -> Iterator[str]:
    indent = _INDENT * depth
    yield from textwrap.wrap(
        clean(point.text),
        width=max(width, len(indent) + _MIN_WIDTH),
        initial_indent=indent,
        subsequent_indent=indent + 2 * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for inner in point.points:
        yield from _format(inner, depth=depth + 1, width=width)
