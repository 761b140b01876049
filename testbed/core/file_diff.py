"""A patch, file by file: what tools need that take one file at a time."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from testbed.core.patch import split_header

_DEV_NULL: Final = "/dev/null"
_SYMLINK_MODE: Final = "120000"
_CONTEXT: Final = " "
_BODY_LINES: Final = (_CONTEXT, "+", "-", "\\")
# git-diff(1), "Generating patch text with -p": what else than its lines a patch changes of a file.
_OBSTACLES: Final = (
    ("rename from ", "renamed"),
    ("copy from ", "copied"),
    ("old mode ", "given another mode"),
    ("new file mode ", "made"),
    ("deleted file mode ", "removed"),
)
_INDEX: Final = re.compile(r"index (?P<base>[0-9a-f]{4,64})\.\.[0-9a-f]{4,64}(?: \d+)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """What a patch does to one file.

    ``names`` are the file's before and after. ``text`` is a diff of the same hunks for a file
    that is called ``file``; ``starts`` are the lines, from 1, where they start in the old one;
    ``context`` is how many lines of context each of them has at least on one side. ``base`` is the
    id of the blob that the patch was made for, as it is abbreviated there, empty where it is not
    told. ``obstacle`` is what else is done to the file, in a word, empty for a mere change.
    """

    names: frozenset[str]
    text: str
    starts: tuple[int, ...]
    context: int
    base: str
    obstacle: str


def split_file_diffs(text: str) -> tuple[FileDiff, ...]:
    """Return the diffs of a patch, one a file, in their order; none where it cannot be read.

    A file that the patch names twice is one: its later hunks stand on its earlier ones.
    """
    try:
        files = PatchSet(split_header(text)[1])
    except (UnidiffParseError, ValueError):
        return ()
    grouped: dict[frozenset[str], list[PatchedFile]] = {}
    for file in files:
        grouped.setdefault(_read_names(file), []).append(file)
    return tuple(_make_diff(names, found) for names, found in grouped.items())


def _read_names(file: PatchedFile) -> frozenset[str]:
    """Return the names without their first part, as ``-p1`` does."""
    names = (file.source_file, file.target_file)
    return frozenset(name.partition("/")[2] for name in names if name != _DEV_NULL)


def _make_diff(names: frozenset[str], files: Sequence[PatchedFile]) -> FileDiff:
    hunks = [hunk for file in files for hunk in file]
    obstacles = [found for file in files if (found := _find_obstacle(file))]
    return FileDiff(
        names=names,
        text="--- a/file\n+++ b/file\n" + "".join(map(_write_hunk, hunks)),
        starts=tuple(hunk.source_start for hunk in hunks),
        context=min((_count_context(hunk) for hunk in hunks), default=0),
        base=_find_base(files[0].patch_info or ()),
        obstacle=obstacles[0] if obstacles else "renamed" if len(names) > 1 else "",
    )


def _find_obstacle(file: PatchedFile) -> str:
    for line in file.patch_info or ():
        for prefix, word in _OBSTACLES:
            if line.startswith(prefix):
                return word
    if _SYMLINK_MODE in {file.source_mode, file.target_mode}:
        return "a symlink"
    if _DEV_NULL in {file.source_file, file.target_file}:
        return "made" if file.source_file == _DEV_NULL else "removed"
    return ""


def _find_base(info: Iterable[str]) -> str:
    matches = (_INDEX.match(line) for line in info)
    return next((match["base"] for match in matches if match), "")


def _write_hunk(hunk: Hunk) -> str:
    source = f"{hunk.source_start},{hunk.source_length}"
    target = f"{hunk.target_start},{hunk.target_length}"
    lines = (str(line) for line in hunk if line.line_type in _BODY_LINES)
    body = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return f"@@ -{source} +{target} @@\n{body}"


def _count_context(hunk: Hunk) -> int:
    types = [line.line_type for line in hunk if line.line_type in _BODY_LINES[:3]]
    return max(_count_leading(types), _count_leading(types[::-1]))


def _count_leading(types: Sequence[str]) -> int:
    return next((at for at, kind in enumerate(types) if kind != _CONTEXT), len(types))
