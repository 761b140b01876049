"""Patch series: what their files say, before anything is applied.

A series is a folder in quilt's form: a file ``series`` that lists the patches, the patches as
``git format-patch`` writes them, and ``series.yaml`` that says what it is for.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email import policy
from email.parser import HeaderParser
from pathlib import PurePosixPath
from typing import Final

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchedFile, PatchSet

from testbed.core.strict_yaml import StrictModel, parse_yaml
from testbed.errors import SeriesError

_DEV_NULL: Final = "/dev/null"
_BODY_STARTS: Final = ("diff --git ", "--- ")
_CONTENT: Final = (" ", "+", "-", "\\")
_SUBMODULE_MODE: Final = "160000"


class SeriesMeta(StrictModel):
    """``series.yaml``: what a series is for and what it brings.

    ``base`` are the kernel releases that it is made for, ``kconfig`` fragments that it needs,
    ``provides`` features that guest tests may ask for, ``tests`` its own tests, as paths under
    guest-tests/.
    """

    title: str
    why: str
    base: tuple[str, ...]
    kconfig: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


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
    """What a patch does to one file: ``old`` is None where it is made, ``new`` where it goes."""

    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch. ``patch_id`` hashes what it changes: a reworded message is the same patch.

    ``text`` is the file's, decoded from UTF-8 with ``surrogateescape``.
    """

    filename: str
    subject: str
    patch_id: str
    changes: tuple[FileChange, ...]
    text: str

    @property
    def touched(self) -> tuple[str, ...]:
        """The paths that it makes, changes or removes, sorted."""
        names = (name for change in self.changes for name in (change.old, change.new))
        return tuple(sorted({name for name in names if name is not None}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Patches in the order in which they apply."""

    name: str
    patches: tuple[Patch, ...]
    meta: SeriesMeta


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """The first line, from 1, where a file is not what a hunk expects.

    ``found`` is None past the file's end.
    """

    line: int
    expected: str
    found: str | None


def parse_series_meta(text: str, *, filename: str) -> SeriesMeta:
    """Read a series.yaml; raises :class:`PlanError` with one line that says what is wrong."""
    return parse_yaml(text, SeriesMeta, filename=filename)


def parse_series_file(text: str, *, filename: str) -> tuple[str, ...]:
    """Return the patches that a quilt ``series`` file lists, as paths relative to it."""
    names: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        name, *options = raw.split("#", 1)[0].split() or [""]
        if not name:
            continue
        where = f"{filename}:{number}"
        if options not in ([], ["-p1"]):
            raise SeriesError(f"{where}: {' '.join(options)!r}: patches are applied with -p1 only")
        if name in names:
            raise SeriesError(f"{where}: {name} is listed twice")
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise SeriesError(f"{where}: {name} is outside the series' folder")
        names.append(name)
    if not names:
        raise SeriesError(f"{filename}: lists no patch")
    return tuple(names)


def parse_patch(text: str, *, filename: str) -> Patch:
    """Read one patch.

    Raises :class:`SeriesError` for what is no diff, for binary diffs, for a file that went
    through CRLF, and for a path that lies outside the kernel tree.
    """
    header, body = _split_header(text)
    if body.split("\n", 1)[0].endswith("\r"):
        raise SeriesError(
            f"{filename}: has CRLF line ends throughout; `dos2unix` makes it what git writes"
        )
    try:
        files = PatchSet(body)
    except (UnidiffParseError, ValueError) as err:
        raise SeriesError(f"{filename}: not a diff that can be applied: {err}") from err
    if not files:
        raise SeriesError(f"{filename}: holds no diff")
    return Patch(
        filename=filename,
        subject=_read_subject(header) or filename,
        patch_id=_hash_files(files),
        changes=tuple(_read_change(file, filename=filename) for file in files),
        text=text,
    )


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


def _split_header(text: str) -> tuple[str, str]:
    """Split the mail from the diff; git writes a ``diff --git`` line, quilt may write none."""
    lines = text.splitlines(keepends=True)
    for start in _BODY_STARTS:
        for number, line in enumerate(lines):
            if line.startswith(start):
                return "".join(lines[:number]), "".join(lines[number:])
    return text, ""


def _read_subject(header: str) -> str:
    lines = header.splitlines()
    if lines and lines[0].startswith("From "):
        del lines[0]
    mail = HeaderParser(policy=policy.default).parsestr("\n".join(lines))
    subject = " ".join(str(mail.get("Subject", "")).split())
    return subject.split("] ", 1)[-1] if subject.startswith("[") else subject


def _read_change(file: PatchedFile, *, filename: str) -> FileChange:
    old = _strip_path(file.source_file, filename=filename)
    new = _strip_path(file.target_file, filename=filename)
    shown = new or old
    if shown is None:
        raise SeriesError(f"{filename}: a diff from nothing to nothing")
    if file.is_binary_file:
        raise SeriesError(f"{filename}: {shown}: a binary diff; only text can be patched")
    if _SUBMODULE_MODE in {file.source_mode, file.target_mode}:
        raise SeriesError(f"{filename}: {shown}: a submodule; only files can be patched")
    return FileChange(old=old, new=new, hunks=tuple(_read_hunks(file)))


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
    if raw.startswith('"'):
        raise SeriesError(f"{filename}: {raw}: a file name with quoted characters is not supported")
    if path.is_absolute() or ".." in parts or ".git" in parts:
        raise SeriesError(
            f"{filename}: {raw}: would write outside the kernel tree; nothing was applied"
        )
    if not parts:
        raise SeriesError(f"{filename}: {raw}: paths must begin with a/ and b/, as git writes them")
    return str(name)


def _hash_files(files: Iterable[PatchedFile]) -> str:
    digest = hashlib.sha256()
    for file in files:
        modes = (file.source_mode, file.target_mode)
        digest.update(f"{file.source_file}\0{file.target_file}\0".encode(errors="surrogateescape"))
        digest.update(f"{modes if modes[0] != modes[1] else ''}\0".encode())
        for hunk in file:
            head = (hunk.source_start, hunk.source_length, hunk.target_start, hunk.target_length)
            digest.update(f"{head}\n".encode())
            for line in hunk:
                if line.line_type in _CONTENT:
                    digest.update(str(line).encode(errors="surrogateescape"))
    return digest.hexdigest()
