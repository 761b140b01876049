"""The one place where a source is built, and the patches on it.

Kbuild writes the source's path into every command line, so all builds of a source happen in one
folder, one after the other. A series is applied there and taken back after. Before the first
write a journal says what will be touched and keeps the files themselves, by hard links:
:mod:`testbed.host.patching` puts new files in their places and never writes into an old one, so
taking back is a rename and gives the same inode with the same time. A run that is killed leaves
its journal, and the next run begins with taking back what it says.
"""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from testbed.core.series import Series
from testbed.core.text import clean
from testbed.errors import InfraError
from testbed.host.held import Holder
from testbed.host.mirror import sync_mirror
from testbed.host.patching import Applied, Patcher, check_names
from testbed.host.source import Source, Tarball
from testbed.host.store import discard, sweep, write_atomically


class Worktree:
    """A source's folder; the caller holds its lock, ``holder`` runs what writes there.

    ``objects`` is a git repository that may have the files that patches were made for; the
    source's own where that has one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        holder: Holder,
        say: Callable[[str], None],
        objects: Path | None = None,
    ) -> None:
        self._folder = folder
        self._holder = holder
        self._say = say
        self.objects = objects
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
        """Make ``src`` the source: unpack it once, or follow the user's tree or commit.

        Raises :class:`testbed.host.mirror.TreeChangedError` when that changes meanwhile.
        """
        if isinstance(source, Tarball):
            if not self.src.is_dir():
                self._unpack(source)
            return
        self.objects = self.objects or source.path
        manifest = self._folder / "manifest.json"
        if not manifest.exists():
            self._say(f"copying {source.title} (once; changes are followed)")
        sync_mirror(
            source.scan, top=source.path, mirror=self.src, manifest=manifest, read=source.read
        )

    @contextmanager
    def applied(self, series: Sequence[Series], *, release: str) -> Iterator[tuple[Applied, ...]]:
        """Have the patches in ``src`` while the block runs; it gets how each was applied.

        Raises :class:`SeriesError` with the patch, the file, the hunk and what the tree has
        there; ``src`` is then as it was.
        """
        if not series:
            yield ()
            return
        try:
            self._write_journal(series)
            yield tuple(self._apply(series, release=release))
        finally:
            shutil.rmtree(self._folder / "journal.tmp", ignore_errors=True)
            if self._journal.exists():
                self._restore()

    def _apply(self, series: Sequence[Series], *, release: str) -> Iterator[Applied]:
        scratch = self._journal / "scratch"
        patcher = Patcher(self.src, scratch=scratch, holder=self._holder, objects=self.objects)
        for one in series:
            hint = ""
            if one.meta.base and release not in one.meta.base:
                made_for = ", ".join(one.meta.base)
                hint = f"The series is made for {made_for}; this tree is {release}."
                self._say(f"{clean(one.name)}: made for {made_for}, this tree is {release}")
            for patch in one.patches:
                applied = patcher.apply(patch, hint=hint)
                for doubt in applied.doubts:
                    self._say(f"{clean(patch.filename)}: {doubt}")
                yield applied

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
        check_names(series, src=self.src)
        tmp = self._folder / "journal.tmp"
        shutil.rmtree(tmp, ignore_errors=True)
        tmp.mkdir()
        touched = {name for one in series for patch in one.patches for name in patch.touched}
        kept = {name: self._keep(name, tmp / str(at)) for at, name in enumerate(sorted(touched))}
        parents = {str(parent) for name in touched for parent in Path(name).parents[:-1]}
        modes = {name: self._read_folder_mode(name) for name in sorted(parents)}
        write_atomically(tmp / "journal.json", json.dumps({"kept": kept, "folders": modes}))
        tmp.rename(self._journal)

    def _keep(self, name: str, place: Path) -> str | None:
        if not os.path.lexists(self.src / name):
            return None
        os.link(self.src / name, place, follow_symlinks=False)
        return place.name

    def _read_folder_mode(self, name: str) -> int | None:
        path = self.src / name
        return stat.S_IMODE(path.stat().st_mode) if path.is_dir() else None

    def _restore(self) -> None:
        """Put every kept file back in its place; may be cut short and done again."""
        journal = json.loads((self._journal / "journal.json").read_bytes())
        for name, kept in journal["kept"].items():
            if kept is None:
                (self.src / name).unlink(missing_ok=True)
        for name, mode in journal["folders"].items():  # a folder stands before what is in it
            if mode is not None:
                _make_folder(self.src / name, mode=mode)
            elif (self.src / name).is_dir():
                shutil.rmtree(self.src / name)
        for name, kept in journal["kept"].items():
            if kept is not None:
                self._put_back(self._journal / kept, self.src / name)
        discard(self._journal)

    def _put_back(self, original: Path, path: Path) -> None:
        if os.path.lexists(path) and path.lstat().st_ino == original.lstat().st_ino:
            return
        fresh = self._journal / "fresh"
        fresh.unlink(missing_ok=True)
        os.link(original, fresh, follow_symlinks=False)
        fresh.replace(path)


def _make_folder(path: Path, *, mode: int) -> None:
    path.mkdir(exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
