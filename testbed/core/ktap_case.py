"""What has been read of a KTAP output: cases, and the levels of nesting that they come on.

All of it is bounded, for a transcript as a whole: a program that never stops talking must not fill
our memory.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from testbed.core.ktap_line import EXPECTATION, Outcome
from testbed.core.result import Metric, Placement

MAX_CASES: Final = 10_000
MAX_MARKERS: Final = 10_000
MAX_MARKER_CHARS: Final = 4 << 20
MAX_DIAGNOSTIC_CHARS: Final = 4 << 20
_MAX_DIAGNOSTICS: Final = 200  # a case; expectations that failed are kept up to twice as many


@dataclass(frozen=True, slots=True, kw_only=True)
class KtapCase:
    """One result line and the lines that belong to it.

    ``reason`` is the text of its directive; ``children`` are nested results. The outcome of a
    parent is never better than its children's: all skipped is skipped, one failed is failed.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    placements: tuple[Placement, ...] = ()
    children: tuple["KtapCase", ...] = ()


@dataclass(slots=True)
class Room:
    """What of one transcript may still be kept."""

    cases: int = MAX_CASES
    markers: int = MAX_MARKERS
    marker_chars: int = MAX_MARKER_CHARS
    diagnostic_chars: int = MAX_DIAGNOSTIC_CHARS


@dataclass(slots=True)
class Pending:
    """What has been seen of a case before its result line."""

    name: str = ""
    diagnostics: list[str] = field(default_factory=list)
    dropped: int = 0
    metrics: list[Metric] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    children: tuple[KtapCase, ...] = ()

    def add_diagnostic(self, line: str, room: Room) -> None:
        """Keep a line, as far as there is room, or else count it."""
        limit = _MAX_DIAGNOSTICS * (2 if EXPECTATION.match(line) else 1)
        if len(self.diagnostics) < limit and room.diagnostic_chars >= len(line):
            room.diagnostic_chars -= len(line)
            self.diagnostics.append(line)
        else:
            self.dropped += 1

    @property
    def shown_diagnostics(self) -> tuple[str, ...]:
        """The lines, and how many were not kept."""
        more = (f"... {self.dropped} more lines",) if self.dropped else ()
        return (*self.diagnostics, *more)


@dataclass(slots=True)
class Level:
    """One level of nesting: the results at one indentation."""

    indentation: int
    planned: int | None = None
    skip_reason: str | None = None
    cases: list[KtapCase] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    numbers: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    pending: Pending = field(default_factory=Pending)
