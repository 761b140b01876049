"""The one place where a source is built, and the patches on it.

Kbuild writes the source's path into every command line, so all builds of a source happen in one
folder, one after the other. A series is applied there with ``git apply`` and taken back after.
Before the first write a journal says what will be touched and keeps the files themselves, by
hard links: git apply makes new files and never writes into an old one, so taking back is a rename
and gives the same inode with the same time. A run that is killed leaves its journal, and the
next run begins with taking back what it says.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testbed.core.series import Patch, Series, find_hunk, find_mismatch
from testbed.errors import InfraError, SeriesError
from testbed.host.git import GIT
from testbed.host.held import Holder
from testbed.host.mirror import sync_mirror
from testbed.host.proc import find_tool
from testbed.host.source import Source, Tarball
from testbed.host.store import discard, sweep, write_atomically

# A repository above the cache must not be found: git apply would skip what is not tracked there.
_APPLY: Final = (*GIT, "--git-dir=/nonexistent", "apply", "-p1")
_FAILED_AT: Final = re.compile(r"error: patch failed: (?P<path>.+):(?P<line>\d+)")
_ERROR: Final = re.compile(r"(?:error|fatal): (?P<text>.+)")


class Worktree:
    """A source's folder; the caller holds its lock, ``holder`` runs what writes there."""

    def __init__(self, folder: Path, *, holder: Holder, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._holder = holder
        self._say = say
        self.src = folder / "src"
        self._journal = folder / "journal"

    def recover(self) -> None:
        """Take back what a killed run left; every use begins with it."""
        sweep(self._folder)
        if self._journal.exists():
            self._say("taking back the patches of a run that was killed")
            self._restore()
        shutil.rmtree(self._folder / "journal.tmp", ignore_errors=True)

    def populate(self, source: Source) -> None:
        """Make ``src`` the source: unpack it once, or follow the user's tree.

        Raises :class:`testbed.host.mirror.TreeChangedError` when that changes meanwhile.
        """
        if isinstance(source, Tarball):
            if not self.src.is_dir():
                self._unpack(source)
            return
        manifest = self._folder / "manifest.json"
        if not manifest.exists():
            self._say(f"copying {source.path} (once; changes are followed)")
        sync_mirror(source.scan, top=source.path, mirror=self.src, manifest=manifest)

    @contextmanager
    def applied(self, series: Sequence[Series], *, release: str) -> Iterator[None]:
        """Have the patches in ``src`` while the block runs.

        Raises :class:`SeriesError` with the patch, the file, the hunk and what the tree has
        there; ``src`` is then as it was.
        """
        if not series:
            yield
            return
        self._write_journal(series)
        try:
            for one in series:
                for patch in one.patches:
                    self._apply(patch, one, release=release)
            yield
        finally:
            self._restore()

    def _unpack(self, source: Tarball) -> None:
        self._say(f"unpacking {source.path} (once)")
        fresh = self._folder / "src.tmp"
        if fresh.exists():
            discard(fresh)
        fresh.mkdir()
        argv = ["tar", "-xJf", str(source.path), "--strip-components=1", "--no-same-owner"]
        outcome = self._holder.run([*argv, "-C", str(fresh)])
        if outcome.returncode != 0:
            discard(fresh)
            raise InfraError(f"{source.path} cannot be unpacked: {' '.join(outcome.tail[-3:])}")
        fresh.rename(self.src)

    def _write_journal(self, series: Sequence[Series]) -> None:
        """Keep every file that the patches name, and note what is not there yet."""
        tmp = self._folder / "journal.tmp"
        tmp.mkdir()
        kept: dict[str, str | None] = {}
        made_dirs: set[str] = set()
        for one in series:
            for patch in one.patches:
                for name in patch.touched:
                    self._check_place(name, patch)
                    if name not in kept:
                        kept[name] = self._keep(name, tmp / str(len(kept)))
                        made_dirs.update(self._list_missing_dirs(name))
        write_atomically(
            tmp / "journal.json", json.dumps({"kept": kept, "made_dirs": sorted(made_dirs)})
        )
        tmp.rename(self._journal)

    def _check_place(self, name: str, patch: Patch) -> None:
        for parent in (self.src / name).relative_to(self.src).parents:
            if (self.src / parent).is_symlink():
                raise SeriesError(
                    f"{patch.filename}: {name}: is behind the symlink {parent}; nothing was applied"
                )
        if (self.src / name).is_dir() and not (self.src / name).is_symlink():
            raise SeriesError(
                f"{patch.filename}: {name}: is a folder in the tree; nothing was applied"
            )

    def _keep(self, name: str, place: Path) -> str | None:
        path = self.src / name
        if _identify(path) is None:
            return None
        place.hardlink_to(path)
        return place.name

    def _list_missing_dirs(self, name: str) -> list[str]:
        parents = Path(name).parents[:-1]
        return [str(parent) for parent in parents if not (self.src / parent).is_dir()]

    def _restore(self) -> None:
        """Put every kept file back in its place; may be cut short and done again."""
        journal = json.loads((self._journal / "journal.json").read_bytes())
        for name, kept in journal["kept"].items():
            path = self.src / name
            if kept is None:
                path.unlink(missing_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            original = self._journal / kept
            if _identify(path) != _identify(original):
                fresh = path.with_name(f".{path.name}.testbed")
                fresh.unlink(missing_ok=True)
                fresh.hardlink_to(original)
                fresh.replace(path)
        for name in sorted(journal["made_dirs"], reverse=True):
            with contextlib.suppress(FileNotFoundError):
                (self.src / name).rmdir()
        discard(self._journal)

    def _apply(self, patch: Patch, series: Series, *, release: str) -> None:
        find_tool("git")
        file = self._journal / "patch"
        file.write_bytes(patch.text.encode("utf-8", "surrogateescape"))
        self._check_names(patch, file)
        before = {name: _identify(self.src / name) for name in patch.touched}
        outcome = self._holder.run([*_APPLY, "--whitespace=nowarn", str(file)], cwd=self.src)
        if outcome.returncode != 0:
            raise SeriesError(self._explain(patch, series, outcome.tail, release=release))
        unchanged = [n for n in patch.touched if _identify(self.src / n) == before[n]]
        if unchanged:
            raise SeriesError(
                f"{patch.filename}: not written as git writes diffs: git took no notice of "
                f"{', '.join(unchanged)}"
            )

    def _check_names(self, patch: Patch, file: Path) -> None:
        """Raise unless git reads the same files out of the patch as the journal has."""
        outcome = self._holder.run([*_APPLY, "--numstat", "-z", str(file)], cwd=self.src)
        if outcome.returncode != 0:
            raise SeriesError(f"{patch.filename}: git cannot read it: {_join_errors(outcome.tail)}")
        records = "\n".join(outcome.tail).split("\0")
        seen = {record.split("\t", 2)[-1] for record in records if record}
        known = {change.new or change.old for change in patch.changes}
        if seen != known:
            odd = ", ".join(sorted(str(name) for name in seen ^ known))
            raise SeriesError(f"{patch.filename}: not written as git writes diffs: {odd}")

    def _explain(self, patch: Patch, series: Series, tail: Sequence[str], *, release: str) -> str:
        failures = [match for line in tail if (match := _FAILED_AT.match(line))]
        text = f"{patch.filename}: does not apply: "
        if failures:
            text += self._explain_hunk(patch, failures[0]["path"], int(failures[0]["line"]))
        else:
            text += _join_errors(tail)
        if len(failures) > 1:
            text += f"\n  (and {', '.join(match['path'] for match in failures[1:])})"
        if "\r\n" in patch.text:
            text += "\n  The patch has CRLF line ends; `dos2unix` makes it what the kernel has."
        if series.meta.base and release not in series.meta.base:
            text += (
                f"\n  The series is made for {', '.join(series.meta.base)}; this tree is {release}."
            )
        return text

    def _explain_hunk(self, patch: Patch, path: str, line: int) -> str:
        hunk = find_hunk(patch, path=path, line=line)
        if hunk is None:
            return f"{path}, line {line}"
        text = f"{path}, hunk {hunk.number} (line {line})"
        lines = (self.src / path).read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        mismatch = find_mismatch(hunk, lines)
        if mismatch is None:
            return f"{text}: its lines are there, but not where the patch's other hunks leave room"
        found = "the file ends" if mismatch.found is None else f"the tree has  {mismatch.found!r}"
        return f"{text}:\n  it expects    {mismatch.expected!r}\n  {found} in line {mismatch.line}"


def _identify(path: Path) -> tuple[int, int, int] | None:
    """Return what tells a file, or a symlink itself, from another one put in its place."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_ctime_ns


def _join_errors(tail: Sequence[str]) -> str:
    texts = [match["text"] for line in tail if (match := _ERROR.match(line))]
    return "; ".join(texts) or " ".join(tail[-3:])
