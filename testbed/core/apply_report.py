"""What git apply, GNU patch and git merge-file say of a patch, in the testbed's words.

Formats, in the C locale: git 2.39 (apply.c, xdiff/xmerge.c) and GNU patch 2.7.6 (patch.c).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from testbed.core.text import clean

TREE_LABEL: Final = "the tree"
PATCH_LABEL: Final = "the patch"
MARKER_CHARS: Final = 60
"""How wide a conflict's markers are: no file has a line like them."""

_CHECKING: Final = re.compile(r"Checking patch (?P<name>.+)\.\.\.$")
_HUNK: Final = re.compile(
    r"Hunk #(?P<hunk>\d+) succeeded at \d+(?: with fuzz (?P<fuzz>\d+))?"
    r"(?: \(offset (?P<offset>-?\d+) lines?\))?\."
)
_FAILED: Final = re.compile(r"Hunk #(?P<hunk>\d+) (?:FAILED|NOT MERGED|ignored) at ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Where a patch was not applied as it was written; ``is_doubtful`` asks for a look at it."""

    text: str
    is_doubtful: bool


def read_git_notes(lines: Iterable[str]) -> tuple[Note, ...]:
    """Return what ``git apply --verbose`` says of a patch that it applies: the offsets."""
    notes = []
    name = ""
    for line in lines:
        if match := _CHECKING.match(line):
            name = match["name"]
        elif note := _read_hunk(line, name):
            notes.append(note)
    return tuple(notes)


def read_patch_notes(lines: Iterable[str], *, name: str) -> tuple[Note, ...]:
    """Return what GNU patch says of the file ``name``: offsets, and fuzz, which is doubtful."""
    return tuple(note for line in lines if (note := _read_hunk(line, name)))


def find_failed_hunk(lines: Iterable[str]) -> int | None:
    """Return the number, from 1, of the first hunk that GNU patch could not apply."""
    matches = (_FAILED.match(line) for line in lines)
    return next((int(match["hunk"]) for match in matches if match), None)


def find_conflicts(merged: Sequence[str], current: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the first and the last line, from 1, of each conflict in the ``current`` file.

    ``merged`` is what git merge-file makes of it; the lines have no ends. Where the patch changes
    what the tree no longer has, the line is the one in whose place it was.
    """
    ours, blocks = _take_ours(merged)
    places = _Places(ours, current)
    found = ((places.find(start), places.find(max(start, end - 1))) for start, end in blocks)
    return tuple((first + 1, last + 1) for first, last in found)


def _read_hunk(line: str, name: str) -> Note | None:
    match = _HUNK.match(line)
    if match is None or not (match["fuzz"] or match["offset"]):
        return None
    offset = int(match["offset"] or 0)
    way = f"{abs(offset)} line{'s' * (abs(offset) != 1)} further {'down' if offset > 0 else 'up'}"
    how = [f"with fuzz {match['fuzz']}"] if match["fuzz"] else []
    text = f"{clean(name)}, hunk {match['hunk']}: applied {', '.join(how + [way] * bool(offset))}"
    is_doubtful = bool(match["fuzz"])
    return Note(text=text + ": look at it" * is_doubtful, is_doubtful=is_doubtful)


def _take_ours(merged: Sequence[str]) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the file with the tree's side of every conflict, and where these lie, from 0."""
    marks = {
        f"{'<' * MARKER_CHARS} {TREE_LABEL}": "ours",
        "=" * MARKER_CHARS: "theirs",
        f"{'>' * MARKER_CHARS} {PATCH_LABEL}": "both",
    }
    ours: list[str] = []
    blocks: list[tuple[int, int]] = []
    side, start = "both", 0
    for line in merged:
        side = marks.get(line, side)
        if line not in marks:
            if side != "theirs":
                ours.append(line)
        elif side == "ours":
            start = len(ours)
        elif side == "theirs":
            blocks.append((start, len(ours)))
    return ours, blocks


class _Places:
    """Finds the lines of one text in another that has a few changes more."""

    def __init__(self, ours: Sequence[str], current: Sequence[str]) -> None:
        shorter = min(len(ours), len(current))
        same = (at for at in range(shorter) if ours[at] != current[at])
        self._skipped = next(same, shorter)
        left, right = ours[self._skipped :], current[self._skipped :]
        self._opcodes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()

    def find(self, at: int) -> int:
        """Return where line ``at``, from 0, is in the other text."""
        for _tag, first, end, other, other_end in self._opcodes:
            if first <= at - self._skipped < end:
                return self._skipped + min(other + at - self._skipped - first, other_end)
        return at if not self._opcodes or at < self._skipped else self._skipped + self._end()

    def _end(self) -> int:
        return self._opcodes[-1][4]
