"""A file that a patch does not fit: merged three-way, or patched with fuzz."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Final, TypeAlias

from testbed.core.apply_report import (
    MARKER_CHARS,
    PATCH_LABEL,
    TREE_LABEL,
    Note,
    find_conflicts,
    find_failed_hunk,
    read_git_notes,
    read_patch_notes,
)
from testbed.core.file_diff import FileDiff
from testbed.host.git import GIT
from testbed.host.held import Holder
from testbed.host.proc import end, find_tool, start

# A repository above the cache must not be found: git apply would skip what is not tracked there.
GIT_ALONE: Final = (*GIT, "-c", "core.quotePath=false", "--git-dir=/nonexistent")
"""The start of a git command that reads and writes files, and knows no repository."""
GIT_APPLY: Final = (*GIT_ALONE, "apply", "-p1", "--whitespace=nowarn")

# patch(1) of GNU patch 2.7.6. --unified keeps it from taking a diff for a script of ed's; --binary
# from stripping carriage returns; --get=0 from asking a version control system; what a patch is
# called that it reverses (--force) and how the user likes it otherwise does not count.
_PATCH: Final = (
    *("--unified", "--binary", "--force", "--get=0", "--read-only=ignore"),
    *("--no-backup-if-mismatch", "--reject-file=-"),
)
_PATCH_ENV: Final = ("POSIXLY_CORRECT", "PATCH_GET", "SIMPLE_BACKUP_SUFFIX", "VERSION_CONTROL")
_MAX_FUZZ: Final = 2  # GNU patch's own default
_MAX_CONFLICTS: Final = 127  # git-merge-file(1): what is above is an error
_MERGED: Final = "merged three-way with the file that the patch was made for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Why a file cannot be patched: the ``hunk``, from 1, or ``text`` where it is none's fault."""

    hunk: int = 1
    text: str = ""


Refitted: TypeAlias = tuple[Note, ...]


class Refitter:
    """Works on a copy in ``folder``, with the blobs of the repository ``objects``, if any."""

    def __init__(self, folder: Path, *, holder: Holder, objects: Path | None) -> None:
        self._folder = folder
        self._holder = holder
        self._objects = objects
        self._file = folder / "file"

    def refit(self, diff: FileDiff, path: Path, *, name: str) -> Refitted | Misfit:
        """Patch the file ``path``, which is called ``name``; a misfit leaves it as it is."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        shutil.copyfile(path, self._file)
        (self._folder / "diff").write_bytes(diff.text.encode("utf-8", "surrogateescape"))
        outcome = self._merge(diff, path, name=name)
        if outcome is None:
            outcome = self._patch(diff, name=name)
        if isinstance(outcome, Misfit):
            return outcome
        shutil.copymode(path, self._file)
        self._file.replace(path)
        return outcome

    def _merge(self, diff: FileDiff, path: Path, *, name: str) -> Refitted | Misfit | None:
        """Merge with the file that the patch was made for; None where that is not to be had."""
        base = self._folder / "base"
        patched = self._folder / "patched"
        patched.mkdir()
        if not self._read_blob(diff.base, base) or not self._fits_exactly(base, patched):
            return None
        labels = [part for label in (TREE_LABEL, "base", PATCH_LABEL) for part in ("-L", label)]
        argv = [*GIT_ALONE, "merge-file", f"--marker-size={MARKER_CHARS}", *labels]
        done = self._holder.run([*argv, "file", "base", "patched/file"], cwd=self._folder)
        if done.returncode > _MAX_CONFLICTS:
            return None
        if done.returncode > 0:
            conflicts = find_conflicts(_read_lines(self._file), _read_lines(path))
            return Misfit(text=f"{name}: {_describe_conflicts(conflicts)}")
        if self._file.read_bytes() == path.read_bytes():
            return Misfit(text=f"{name}: what the patch brings there is in the tree already")
        return (Note(text=f"{name}: {_MERGED}", is_doubtful=True),)

    def _read_blob(self, base: str, path: Path) -> bool:
        """Read the blob that is abbreviated as ``base``; False where the repository has none."""
        if self._objects is None or not base:
            return False
        argv = [*GIT, "--no-replace-objects", "-C", str(self._objects), "cat-file", "blob"]
        with path.open("wb") as sink:
            process = start([*argv, f"{base}^{{blob}}"], stdout=sink, stderr=DEVNULL)
            try:
                return process.wait() == 0
            finally:
                end(process)

    def _fits_exactly(self, base: Path, patched: Path) -> bool:
        """Apply the diff to ``base``: one that it was made for has every hunk in its place."""
        shutil.copyfile(base, patched / "file")
        if self._holder.run([*GIT_APPLY, "--check", "../diff"], cwd=patched).returncode != 0:
            return False
        lines: list[str] = []
        argv = [*GIT_APPLY, "--verbose", "../diff"]
        done = self._holder.run(argv, cwd=patched, on_line=lines.append)
        return done.returncode == 0 and not read_git_notes(lines)

    def _patch(self, diff: FileDiff, *, name: str) -> Refitted | Misfit:
        """Patch with as much fuzz as leaves every hunk a line of context to hold on to."""
        fuzz = min(_MAX_FUZZ, diff.context - 1)
        if fuzz < 0:
            return Misfit()
        find_tool("patch")
        settings = [*(f"--unset={key}" for key in _PATCH_ENV), "LC_ALL=C", f"TMPDIR={self._folder}"]
        lines: list[str] = []
        done = self._holder.run(
            ["env", *settings, "patch", *_PATCH, f"--fuzz={fuzz}", "file", "diff"],
            cwd=self._folder,
            on_line=lines.append,
        )
        if done.returncode != 0 or not self._file.exists():
            return Misfit(hunk=find_failed_hunk(lines) or 1)
        notes = read_patch_notes(lines, name=name)
        if not any(note.is_doubtful for note in notes):
            text = f"{name}: git does not apply it there, GNU patch does: look at it"
            notes = (*notes, Note(text=text, is_doubtful=True))
        return notes


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")


def _describe_conflicts(conflicts: Sequence[tuple[int, int]]) -> str:
    places = [str(first) if first == last else f"{first}-{last}" for first, last in conflicts]
    word = "line" if len(places) == 1 and "-" not in places[0] else "lines"
    return (
        "a three-way merge with the file that the patch was made for has a conflict in "
        f"{word} {', '.join(places)} of the tree's"
    )
