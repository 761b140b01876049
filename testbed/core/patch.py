"""One patch: what its diff does to which files, before anything is applied."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from testbed.core.patch_header import read_fixes, read_header, read_tags
from testbed.core.text import clean
from testbed.errors import SeriesError

DIFF_STARTS: Final = ("diff --git ", "--- ")
"""How the lines begin that a diff begins with: git's, or else any program's."""

_DEV_NULL: Final = "/dev/null"
_CONTENT: Final = (" ", "+", "-", "\\")
_COPY: Final = "copy from "

# Git's extended headers (git-diff(1), "Generating patch text with -p"). A line of a file's content
# never begins like them: it has a blank, + or - before it.
_MODE: Final = re.compile(
    r"(?:(?:old|new|deleted file|new file) mode|index \S+)\s+(?P<mode>[0-7]{5,})\s*"
)
_MOVE: Final = re.compile(r"(?P<how>rename|copy) (?P<side>from|to) (?P<path>.+)")
_BINARY: Final = re.compile(r"GIT binary patch\s*|Binary files? .*(?:differ|has changed)\s*")
_MODES: Final = ("100644", "100755")
_SPECIAL_MODES: Final = {
    "120000": "a symlink; only files can be patched: make it in a tree of yours, and give --tree",
    "160000": "a submodule; only files can be patched",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """A hunk: its ``number`` in its file from 1, the line of the target where it starts.

    ``source`` are the lines that it expects there, without line ends.
    """

    number: int
    start: int
    source: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """What a patch does to one file: ``old`` is None where it is made, ``new`` where it goes.

    With two names it is renamed, or with ``is_copy`` copied: then ``old`` stays as it is. There
    are no hunks where only the name or the mode changes, or an empty file comes or goes.
    """

    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...]
    is_copy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch. ``patch_id`` hashes what it changes: a reworded message is the same patch.

    ``filename`` is what messages call it. ``text`` is all of it, decoded from UTF-8 with
    ``surrogateescape``, ``header`` what stands before the diff. ``author`` is ``Name <address>``,
    ``fixes`` are the ``Fixes:`` tags as written; each is empty where there is none.
    """

    filename: str
    subject: str
    patch_id: str
    changes: tuple[FileChange, ...]
    text: str
    author: str = ""
    fixes: tuple[str, ...] = ()
    header: str = ""

    @property
    def touched(self) -> tuple[str, ...]:
        """The paths that it makes, changes or removes, sorted."""
        names = (
            name
            for change in self.changes
            for name in (None if change.is_copy else change.old, change.new)
        )
        return tuple(sorted({name for name in names if name is not None}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """The first line, from 1, where a file is not what a hunk expects.

    ``found`` is None past the file's end.
    """

    line: int
    expected: str
    found: str | None


def parse_patch(text: str, *, filename: str) -> Patch:
    """Read one patch.

    Raises :class:`SeriesError` for what is no diff, for binary diffs, symlinks and submodules, for
    a file that went through CRLF, and for a path that lies outside the kernel tree.
    """
    head, body = split_header(text)
    if body.split("\n", 1)[0].endswith("\r"):
        raise SeriesError(
            f"{filename}: has CRLF line ends throughout; `dos2unix` makes it what git writes"
        )
    _check_extended_headers(body, filename=filename)
    try:
        files = PatchSet(body)
    except (UnidiffParseError, ValueError) as err:
        raise SeriesError(f"{filename}: not a diff that can be applied: {clean(str(err))}") from err
    if not files:
        raise SeriesError(f"{filename}: holds no diff")
    header = read_header(head)
    return Patch(
        filename=filename,
        subject=read_tags(header.subject).title or filename,
        patch_id=_hash_files(files),
        changes=tuple(_read_change(file, filename=filename) for file in files),
        text=text,
        author=header.author,
        fixes=read_fixes(header.body),
        header=head,
    )


def split_header(text: str) -> tuple[str, str]:
    """Split the mail from the diff; git writes a ``diff --git`` line, quilt may write none."""
    lines = text.split("\n")
    for start in DIFF_STARTS:
        for number, line in enumerate(lines):
            if line.startswith(start):
                head = "".join(f"{one}\n" for one in lines[:number])
                return head, "\n".join(lines[number:])
    return text, ""


def find_hunk(patch: Patch, *, path: str, line: int) -> Hunk | None:
    """Return the hunk of ``patch`` that starts at ``line`` of the file ``path``."""
    hunks = (
        hunk
        for change in patch.changes
        if path in {change.old, change.new}
        for hunk in change.hunks
    )
    return next((hunk for hunk in hunks if hunk.start == line), None)


def find_mismatch(hunk: Hunk, lines: Sequence[str]) -> Mismatch | None:
    """Return where ``lines``, a file's, differ from ``hunk``, laid where it fits best.

    Best is where most lines are equal, the nearest to the hunk's own place among equals. None
    when it fits.
    """
    width = len(hunk.source)
    first = max(hunk.start - 1, 0)
    places = range(max(len(lines) - width, 0) + 1)
    best = max(places, key=lambda at: (_count_equal(hunk.source, lines, at), -abs(at - first)))
    for offset, expected in enumerate(hunk.source):
        found = lines[best + offset] if best + offset < len(lines) else None
        if found != expected:
            return Mismatch(line=best + offset + 1, expected=expected, found=found)
    return None


def _count_equal(source: Sequence[str], lines: Sequence[str], at: int) -> int:
    return sum(
        one == other for one, other in zip(source, lines[at : at + len(source)], strict=False)
    )


def _check_extended_headers(body: str, *, filename: str) -> None:
    """Refuse what git would make of a diff beyond files of text, however its lines are spaced."""
    names = "?"
    moved: dict[str, str] = {}
    for line in (*body.split("\n"), "diff --git "):
        if line.startswith("diff --git "):
            _check_moved(names, moved, filename=filename)
            names, moved = line.removeprefix("diff --git ").rstrip(), {}
            continue
        shown = clean(names.rpartition(" ")[2].partition("/")[2] or names)
        if _BINARY.fullmatch(line):
            raise SeriesError(f"{filename}: {shown}: a binary diff; only text can be patched")
        if (mode := _MODE.fullmatch(line)) and mode["mode"] not in _MODES:
            why = _SPECIAL_MODES.get(mode["mode"], f"its mode {mode['mode']} is no file's in git")
            raise SeriesError(f"{filename}: {shown}: {why}")
        if move := _MOVE.fullmatch(line):
            moved[move["side"]] = move["path"].rstrip()


def _check_moved(names: str, moved: dict[str, str], *, filename: str) -> None:
    """Refuse a rename whose lines name other files than its ``diff --git`` line: git obeys them."""
    if not moved:
        return
    wanted = rf"[^/ ]+/{re.escape(moved.get('from', ''))} [^/ ]+/{re.escape(moved.get('to', ''))}"
    if not re.fullmatch(wanted, names):
        raise SeriesError(
            f"{filename}: {clean(names)}: renames {clean(' to '.join(moved.values()))} instead; "
            "nothing was applied"
        )


def _read_change(file: PatchedFile, *, filename: str) -> FileChange:
    old = _strip_path(file.source_file, filename=filename)
    new = _strip_path(file.target_file, filename=filename)
    shown = new or old
    if shown is None:
        raise SeriesError(f"{filename}: a diff from nothing to nothing")
    return FileChange(old=old, new=new, hunks=tuple(_read_hunks(file)), is_copy=_is_copy(file))


def _is_copy(file: PatchedFile) -> bool:
    return any(line.startswith(_COPY) for line in file.patch_info or ())


def _read_hunks(file: PatchedFile) -> Iterator[Hunk]:
    for number, hunk in enumerate(file, start=1):
        source = (line.value for line in hunk if line.is_context or line.is_removed)
        yield Hunk(
            number=number,
            start=hunk.source_start,
            source=tuple(value.removesuffix("\n") for value in source)[: hunk.source_length],
        )


def _strip_path(raw: str, *, filename: str) -> str | None:
    """Return the path below the tree, as -p1 does; None for /dev/null."""
    if raw == _DEV_NULL:
        return None
    path = PurePosixPath(raw)
    name = PurePosixPath(*path.parts[1:])
    parts = [part.lower() for part in name.parts]
    shown = clean(raw)
    if raw.startswith('"') or shown != raw:
        raise SeriesError(
            f"{filename}: {shown}: a file name with quoted characters is not supported"
        )
    if path.is_absolute() or ".." in parts or ".git" in parts:
        raise SeriesError(
            f"{filename}: {shown}: would write outside the kernel tree; nothing was applied"
        )
    if not parts:
        raise SeriesError(
            f"{filename}: {shown}: paths must begin with a/ and b/, as git writes them"
        )
    if str(path) != raw:
        raise SeriesError(f"{filename}: {shown}: write the path as git does, {path}")
    return str(name)


def _hash_files(files: Iterable[PatchedFile]) -> str:
    digest = hashlib.sha256()
    for file in files:
        modes = (file.source_mode, file.target_mode)
        digest.update(f"{file.source_file}\0{file.target_file}\0".encode(errors="surrogateescape"))
        digest.update(f"{modes if modes[0] != modes[1] else ''}\0".encode())
        digest.update(b"copy\0" if _is_copy(file) else b"")
        for hunk in file:
            head = (hunk.source_start, hunk.source_length, hunk.target_start, hunk.target_length)
            digest.update(f"{head}\n".encode())
            for line in hunk:
                if line.line_type in _CONTENT:
                    digest.update(str(line).encode(errors="surrogateescape"))
    return digest.hexdigest()
