"""What the kernel's scripts/checkpatch.pl says of a patch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from testbed.core.text import clean, shorten_middle

ERROR: Final = "ERROR"
WARNING: Final = "WARNING"
CHECK: Final = "CHECK"

# --terse --show-types --showfile: "mm/migrate.c:12: WARNING:LONG_LINE: line length of ..."; what is
# about the mail has the place of the line before, or none (scripts/checkpatch.pl, report(), 6.12).
_LINE: Final = re.compile(
    rf"(?:(?P<file>[^\s:][^:]*):(?P<line>\d+): )?"
    rf"(?P<level>{ERROR}|{WARNING}|{CHECK}):(?P<type>\w+): (?P<message>.*)"
)
_MAX_LINE_CHARS: Final = 4000
_MAX_MESSAGE_CHARS: Final = 300
_MAX_DIGITS: Final = 9
# What is said of the mail, but is printed with the place of the last line that was read.
_OF_THE_MAIL: Final = frozenset(
    {
        "BAD_SIGN_OFF",
        "COMMIT_LOG_LONG_LINE",
        "COMMIT_MESSAGE",
        "FROM_SIGN_OFF_MISMATCH",
        "MISSING_SIGN_OFF",
        "NO_AUTHOR_SIGN_OFF",
        "NOT_UNIFIED_DIFF",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpatchMessage:
    """A line of checkpatch's; ``level`` is ERROR, WARNING or CHECK, ``type`` such as LONG_LINE.

    ``file`` is empty and ``line`` None for what is said of the mail.
    """

    level: str
    type: str
    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        """Return ``TYPE: place: message``."""
        where = f"{self.file}:{self.line}: " if self.file else ""
        return f"{self.type}: {where}{self.message}"


def parse_checkpatch(lines: Iterable[str]) -> tuple[CheckpatchMessage, ...]:
    """Return what checkpatch said; other lines are left out."""
    matches = (_LINE.fullmatch(clean(line[:_MAX_LINE_CHARS]).strip()) for line in lines)
    return tuple(_make(match) for match in matches if match)


def _make(match: re.Match[str]) -> CheckpatchMessage:
    is_placed = match["file"] is not None and match["type"] not in _OF_THE_MAIL
    return CheckpatchMessage(
        level=match["level"],
        type=match["type"],
        file=match["file"] if is_placed else "",
        line=int(match["line"][:_MAX_DIGITS]) if is_placed else None,
        message=shorten_middle(match["message"].strip(), width=_MAX_MESSAGE_CHARS),
    )
