"""Patches, put into a tree: exactly, with an offset, three-way, with fuzz, or not at all.

Nothing is applied in the tree itself. The files that a patch names are copied into a scratch
folder and the tools work there; when exactly those files have changed, the results are renamed
into their places. So no file of the tree is ever written into (its old inode may hang on a hard
link of :mod:`testbed.host.worktree`'s journal), and what a tool reads out of a patch that its
parser did not see there finds an empty folder.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from testbed.core.apply_report import Note, read_git_notes
from testbed.core.file_diff import FileDiff, split_file_diffs
from testbed.core.series import Patch, Series, find_hunk, find_mismatch
from testbed.core.text import clean, shorten_middle
from testbed.errors import SeriesError
from testbed.host.held import Holder
from testbed.host.proc import find_tool
from testbed.host.refit import GIT_APPLY, Misfit, Refitter

_FAILED_AT: Final = re.compile(r"error: patch failed: (?P<path>.+):(?P<line>\d+)$")
_NOT_APPLIED: Final = re.compile(r"error: (?P<path>.+): patch does not apply$")
_ERROR: Final = re.compile(r"(?:error|fatal): (?P<text>.+)")
_COPY_FROM: Final = re.compile(r"^copy from (?P<name>.+)$", re.MULTILINE)
_WILDCARDS: Final = re.compile(r"([*?\[\]\\])")

_MAX_NAME_BYTES: Final = 255  # NAME_MAX of limits.h, Linux
_MAX_PATH_BYTES: Final = 2048  # half of PATH_MAX: the tree's own folder stands before it
_MAX_SHOWN_CHARS: Final = 200
# Beyond these a person would not look at it: a refusal has to come at once.
_MAX_REFIT_CHARS: Final = 4 * 1024 * 1024
_MAX_COMPARISONS: Final = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A patch that is in the tree.

    ``notes`` are single lines, each a place where it is not as it was written; ``doubts`` are
    those of them that ask for a look: fuzz, a three-way merge.
    """

    patch: Patch
    notes: tuple[str, ...]
    doubts: tuple[str, ...] = ()


def check_names(series: Sequence[Series], *, src: Path) -> None:
    """Raise :class:`SeriesError` unless all that a series names can be put into the tree ``src``.

    A name must lie in the tree, not behind a symlink, a file or a folder's place; and none may be
    a file in one patch and a folder in another: then taking back could not go by names.
    """
    patches = [patch for one in series for patch in one.patches]
    files = {name for patch in patches for name in patch.touched}
    for patch in patches:
        for name in patch.touched:
            problem = _find_problem(name, src=src, files=files)
            if problem:
                where = f"{_show(patch.filename)}: {_show(name)}"
                raise SeriesError(f"{where}: {problem}; nothing was applied")


class Patcher:
    """Puts patches into the tree ``src``; the caller has checked their names and can take back.

    ``scratch`` is a folder on the same file system that may be made and removed; ``objects`` a
    git repository that may have the files that the patches were made for. It is only read.
    """

    def __init__(
        self, src: Path, *, scratch: Path, holder: Holder, objects: Path | None = None
    ) -> None:
        self._src = src
        self._scratch = scratch
        self._holder = holder
        self._file = scratch / "patch"
        self._refitter = Refitter(scratch / "refit", holder=holder, objects=objects)

    def apply(self, patch: Patch, *, hint: str = "") -> Applied:
        """Apply one patch to the tree, or leave that as it is.

        Raises :class:`SeriesError` with the patch, the file, the hunk and what the tree has
        there; ``hint`` is a line to add to that.
        """
        find_tool("git")
        _require_context(patch)
        with self._staged(patch) as stage:
            notes = self._apply_exactly(patch, stage)
            if notes is None:
                notes = self._apply_otherwise(patch, stage, hint=hint)
            stage.require_changes(patch)
            stage.install(self._src)
        texts = tuple(note.text for note in notes)
        doubts = tuple(note.text for note in notes if note.is_doubtful)
        return Applied(patch=patch, notes=texts, doubts=doubts)

    @contextmanager
    def _staged(self, patch: Patch) -> Iterator["_Stage"]:
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        try:
            self._file.write_bytes(patch.text.encode("utf-8", "surrogateescape"))
            copied = {match["name"] for match in _COPY_FROM.finditer(patch.text)}
            sources = {name for name in copied if not _find_problem(name, src=self._src)}
            yield _Stage(self._scratch / "tree", patch.touched, sources=sources, src=self._src)
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _apply_exactly(
        self, patch: Patch, stage: "_Stage", *, leave_out: Iterable[str] = ()
    ) -> tuple[Note, ...] | None:
        """Apply as git does, which may be with an offset; None where git does not."""
        excluded = ["--exclude=" + _WILDCARDS.sub(r"\\\1", name) for name in leave_out]
        # Not verbose at first: git would print the lines that it looks for, and these may say
        # anything, even what is taken for a fault of the machine.
        if self._list_errors(stage, *excluded):
            return None
        lines: list[str] = []
        argv = [*GIT_APPLY, "--verbose", *excluded, str(self._file)]
        done = self._holder.run(argv, cwd=stage.folder, on_line=lines.append)
        if done.returncode != 0:
            raise SeriesError(f"{_show(patch.filename)}: {_join_errors(lines)}")
        return read_git_notes(lines)

    def _list_errors(self, stage: "_Stage", *options: str) -> tuple[str, ...]:
        """Return what git has against the patch, nothing where it would apply it."""
        lines: list[str] = []
        argv = [*GIT_APPLY, "--check", *options, str(self._file)]
        done = self._holder.run(argv, cwd=stage.folder, on_line=lines.append)
        return () if done.returncode == 0 else tuple(lines) or ("error: git apply failed",)

    def _apply_otherwise(self, patch: Patch, stage: "_Stage", *, hint: str) -> tuple[Note, ...]:
        """Apply what git does not, three-way or with fuzz, and the rest as git does."""
        if not self._list_errors(stage, "--reverse"):
            raise SeriesError(f"{_show(patch.filename)}: is already in this tree")
        errors = self._list_errors(stage)
        failures = _find_failures(errors, stage.names)
        if not failures:
            raise _refuse(patch, [_join_errors(errors)], hint=hint)
        diffs = split_file_diffs(patch.text) if len(patch.text) <= _MAX_REFIT_CHARS else ()
        by_name = {name: diff for diff in diffs for name in diff.names}
        notes: list[Note] = []
        reasons: list[str] = []
        for path, line in failures.items():
            found = self._refit(patch, path, stage=stage, line=line, diff=by_name.get(path))
            if isinstance(found, str):
                reasons.append(found)
            else:
                notes += found
        if reasons:
            raise _refuse(patch, reasons, hint=hint)
        rest = self._apply_exactly(patch, stage, leave_out=failures)
        if rest is None:
            raise _refuse(patch, [_join_errors(errors)], hint=hint)
        return (*rest, *notes)

    def _refit(
        self, patch: Patch, path: str, *, stage: "_Stage", line: int, diff: FileDiff | None
    ) -> tuple[Note, ...] | str:
        """Apply the patch to one file of the stage; a text says why that cannot be."""
        if diff is None:
            return self._explain_hunk(patch, path, line)
        if diff.obstacle:
            return (
                f"{self._explain_hunk(patch, path, line)}\n  The file is {diff.obstacle} by the "
                "patch: that is done exactly or not at all, without a merge and without fuzz."
            )
        found = self._refitter.refit(diff, stage.folder / path, name=_show(path))
        if isinstance(found, Misfit):
            return found.text or self._explain_hunk(patch, path, diff.starts[found.hunk - 1])
        return found

    def _explain_hunk(self, patch: Patch, path: str, line: int) -> str:
        hunk = find_hunk(patch, path=path, line=line)
        if hunk is None:
            return f"{_show(path)}, line {line}"
        text = f"{_show(path)}, hunk {hunk.number} (line {line})"
        lines = (self._src / path).read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        if len(hunk.source) * len(lines) > _MAX_COMPARISONS:
            return text
        mismatch = find_mismatch(hunk, lines)
        if mismatch is None:
            return f"{text}: its lines are there, but not where the patch's other hunks leave room"
        expected = _quote(mismatch.expected)
        found = "the file ends"
        if mismatch.found is not None:
            found = f"the tree has  {_quote(mismatch.found)}"
        return f"{text}:\n  it expects    {expected}\n  {found} in line {mismatch.line}"


class _Stage:
    """Copies of the files that a patch names, in ``folder``, for tools to change.

    ``sources`` are files that it only copies from.
    """

    def __init__(
        self, folder: Path, names: Iterable[str], *, sources: Iterable[str], src: Path
    ) -> None:
        self.folder = folder
        self._sources = frozenset(sources)
        self.names = self._sources.union(names)
        folder.mkdir()
        for name in self.names:
            if os.path.lexists(src / name):
                place = folder / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(src / name, place, follow_symlinks=False)
        self._before = _identify_files(folder)

    def require_changes(self, patch: Patch) -> None:
        """Raise :class:`SeriesError` unless all that ``patch`` names has changed, and no more."""
        changed = self._list_changed()
        touched = set(patch.touched)
        odd = [
            f"{word} {', '.join(map(_show, sorted(names)))}"
            for word, names in (
                ("git takes no notice of", touched - changed - self._sources),
                ("git also changes", changed - touched),
            )
            if names
        ]
        if odd:
            text = "; ".join(odd)
            raise SeriesError(f"{_show(patch.filename)}: not written as git writes diffs: {text}")

    def install(self, src: Path) -> None:
        """Put what has changed into the tree ``src``, each file by a rename."""
        gone = []
        for name in sorted(self._list_changed()):
            fresh, path = self.folder / name, src / name
            if os.path.lexists(fresh):
                path.parent.mkdir(parents=True, exist_ok=True)
                fresh.replace(path)
            else:
                gone.append(path)
        for path in gone:
            path.unlink()
            _remove_empty(path.parent, top=src)

    def _list_changed(self) -> set[str]:
        now = _identify_files(self.folder)
        return {name for name in {*self._before, *now} if self._before.get(name) != now.get(name)}


def _identify_files(folder: Path) -> Mapping[str, tuple[int, int, int]]:
    """Return what tells each file, or symlink itself, from another one put in its place."""
    found = {}
    for parent, folders, files in os.walk(folder):
        paths = [Path(parent, name) for name in (*files, *folders)]
        for path in paths:
            if path.is_symlink() or not path.is_dir():
                info = path.lstat()
                identity = (info.st_ino, info.st_mtime_ns, info.st_ctime_ns)
                found[str(path.relative_to(folder))] = identity
    return found


def _remove_empty(folder: Path, *, top: Path) -> None:
    """Remove folders that have no file left, as git does."""
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _find_problem(name: str, *, src: Path, files: Collection[str] = ()) -> str:
    """Return why ``name`` cannot be a file in the tree ``src``; empty where it can.

    ``files`` are names that will be files there.
    """
    problem = _find_bad_name(name)
    if problem:
        return problem
    for parent in PurePosixPath(name).parents[:-1]:
        if str(parent) in files:
            return f"is behind {parent}, which is a file of the series"
        if (src / parent).is_symlink():
            return f"is behind the symlink {parent}"
        if os.path.lexists(src / parent) and not (src / parent).is_dir():
            return f"is behind {parent}, which is a file in the tree"
    is_folder = (src / name).is_dir() and not (src / name).is_symlink()
    return "is a folder in the tree" if is_folder else ""


def _find_bad_name(name: str) -> str:
    """Return what is wrong with ``name`` in any tree; the reader of patches refuses most of it."""
    path = PurePosixPath(name)
    parts = [part.lower() for part in path.parts]
    if str(path) != name or path.is_absolute() or {"..", ".git"} & {*parts} or not parts:
        return "would be outside the kernel tree"
    if clean(name) != name or "\n" in name or "\t" in name:
        return "has characters in its name that cannot be shown"
    sizes = [len(os.fsencode(part)) for part in path.parts]
    if max(sizes) > _MAX_NAME_BYTES or sum(sizes) + len(sizes) > _MAX_PATH_BYTES:
        return "has too long a name"
    return ""


def _require_context(patch: Patch) -> None:
    """Refuse a hunk that adds to a file and says nothing of it: git would add that at the end."""
    for change in patch.changes:
        for hunk in change.hunks:
            if hunk.start > 0 and not hunk.source:
                where = f"{_show(change.new or '')}, hunk {hunk.number} (line {hunk.start})"
                raise SeriesError(
                    f"{_show(patch.filename)}: does not apply: {where} has no line of context, "
                    "which would say where it belongs: make the diff without -U0"
                )


def _find_failures(errors: Iterable[str], names: Collection[str]) -> dict[str, int]:
    """Return the files that do not fit, and the line of the first hunk that does not.

    Empty where git has something else against the patch: then nothing else is worth a try.
    """
    failures: dict[str, int] = {}
    for error in errors:
        if (match := _FAILED_AT.match(error)) and match["path"] in names:
            failures[match["path"]] = int(match["line"])
        elif not (match := _NOT_APPLIED.match(error)) or match["path"] not in names:
            return {}
    return failures


def _refuse(patch: Patch, reasons: Sequence[str], *, hint: str) -> SeriesError:
    text = f"{_show(patch.filename)}: does not apply: {reasons[0]}"
    if len(reasons) > 1:
        others = ", ".join(reason.split("\n", 1)[0].split(":", 1)[0] for reason in reasons[1:])
        text += f"\n  (and {others})"
    if "\r\n" in patch.text:
        text += "\n  The patch has CRLF line ends; `dos2unix` makes it what the kernel has."
    return SeriesError(text + (f"\n  {hint}" if hint else ""))


def _join_errors(lines: Sequence[str]) -> str:
    texts = [match["text"] for line in lines if (match := _ERROR.match(line))]
    return _show("; ".join(texts) or " ".join(lines[-3:]))


def _show(text: str) -> str:
    """Return a name or a line of a stranger's as it may be shown."""
    return shorten_middle(clean(text.replace("\n", " ")), width=_MAX_SHOWN_CHARS)


def _quote(line: str) -> str:
    return shorten_middle(repr(line), width=_MAX_SHOWN_CHARS)
