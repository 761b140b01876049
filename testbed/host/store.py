"""The cache: finished things by their content's key, and the folders that work goes on in.

``<kind>/<key>/`` is an entry. It is made in ``<kind>/.tmp-*`` and renamed when it is whole, so
that half of one is never seen; its maker holds a lock on the folder, so that what a dead run left
is known for certain and removed. ``locks/`` holds one lock a key, ``facts/`` small JSON files:
what was found out once and can be found out again.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from testbed.errors import InfraError

KINDS: Final = ("kernels", "guest-images", "states", "harness", "work", "facts", "ccache")

_HOW_TO_MAKE_ROOM: Final = (
    "`testbed clean` removes what it keeps, TESTBED_CACHE=DIR takes another disk"
)
_TMP: Final = ".tmp-"
_MIB: Final = 1024 * 1024
_CANNOT_WRITE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one kind takes on the disk."""

    kind: str
    entries: int
    size_mib: float


class Store:
    """The cache below ``root``; ``say`` gets one line where a run has to wait."""

    def __init__(self, root: Path, *, say: Callable[[str], None]) -> None:
        self.root = root
        self._say = say

    def find(self, kind: str, key: str) -> Path | None:
        """Return the finished entry, or None; writes nothing."""
        path = self.root / kind / key
        return path if path.is_dir() else None

    @contextmanager
    def create(self, kind: str, key: str) -> Iterator[Path]:
        """Give a new folder to fill, which becomes the entry when the block ends well.

        Where another run was first, its entry stays: equal keys mean equal content.
        """
        with self.blamed():
            folder = self.root / kind
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            with _held_folder(folder) as tmp:
                yield tmp
                _publish(tmp, folder / key)

    def keep_newest(self, kind: str, count: int) -> None:
        """Remove all but the ``count`` entries of ``kind`` that were dated last."""
        dated = []
        for path in (self.root / kind).iterdir():
            with contextlib.suppress(FileNotFoundError):  # another run was first
                dated.append((path.stat().st_mtime_ns, path))
        entries = [path for _, path in sorted(dated) if not path.name.startswith(_TMP)]
        for entry in entries[: max(0, len(entries) - count)]:
            with contextlib.suppress(FileNotFoundError):
                discard(entry)

    def folder(self, kind: str, key: str) -> Path:
        """Return a folder to work in, made if need be. Hold its lock while you use it."""
        with self.blamed():
            path = self.root / kind / key
            path.mkdir(parents=True, exist_ok=True)
            return path

    @contextmanager
    def lock(self, kind: str, key: str) -> Iterator[None]:
        """Hold the lock of one key; says one line if it has to wait for another run."""
        with self.blamed():
            folder = self.root / "locks"
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{kind}-{key}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                self._say(f"waiting for another run of the testbed that uses {kind}/{key}")
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def require_space(self, needed_mib: int, *, what: str) -> None:
        """Raise :class:`InfraError` where the disk has less than ``needed_mib`` left."""
        with self.blamed():
            self.root.mkdir(parents=True, exist_ok=True)
            free_mib = shutil.disk_usage(self.root).free // _MIB
        if free_mib < needed_mib:
            raise InfraError(
                f"{what} needs about {needed_mib} MiB, the disk of the cache {self.root} has "
                f"{free_mib} MiB left: {_HOW_TO_MAKE_ROOM}"
            )

    def read_fact(self, name: str) -> dict[str, Any]:
        """Return the fact ``name``, empty where it is not known or cannot be read."""
        try:
            data = json.loads((self.root / "facts" / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def write_fact(self, name: str, data: Mapping[str, Any]) -> None:
        """Keep a fact for the next run."""
        with self.blamed():
            folder = self.root / "facts"
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / f"{name}.json", json.dumps(data))

    def usage(self) -> tuple[Usage, ...]:
        """Return what each kind takes, those that are there."""
        found = []
        for kind in KINDS:
            folder = self.root / kind
            if folder.is_dir():
                sweep(folder)
                size = sum(_disk_bytes(path) for path in folder.rglob("*"))
                entries = sum(1 for _ in folder.iterdir())
                found.append(Usage(kind=kind, entries=entries, size_mib=size / _MIB))
        return tuple(found)

    def remove(self, kind: str) -> None:
        """Remove all entries of a kind, each under its lock: a running build is waited for."""
        folder = self.root / kind
        if not folder.is_dir():
            return
        with self.blamed():
            sweep(folder)
            for entry in sorted(folder.iterdir()):
                if entry.name.startswith(_TMP):
                    continue
                with self.lock(kind, entry.name):
                    discard(entry)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Turn the errors of a disk that is full or cannot be written into one clear message."""
        try:
            yield
        except OSError as err:
            explained = explain_disk_error(err, self.root)
            if explained is None:
                raise
            raise explained from err


def explain_disk_error(err: OSError, root: Path) -> InfraError | None:
    """Return what to tell the user of an error of the cache's disk; None where it is another."""
    if err.errno in _FULL:
        return InfraError(
            f"the disk of the cache {root} is full ({err.strerror}): {_HOW_TO_MAKE_ROOM}"
        )
    if err.errno in _CANNOT_WRITE:
        where = f", at {err.filename}" if err.filename else ""
        return InfraError(
            f"the cache {root} cannot be written ({err.strerror}{where}): "
            "set TESTBED_CACHE to a folder that can"
        )
    return None


def write_atomically(path: Path, text: str) -> None:
    """Write ``path`` so that a reader finds the old text or the new, never part of one."""
    tmp = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        tmp.write_text(text, encoding="utf-8")
        tmp.replace(path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise


def discard(path: Path) -> None:
    """Remove a folder or file; a folder is renamed first, so that nobody meets half of it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    tmp = path.with_name(f"{_TMP}{secrets.token_hex(8)}")
    path.rename(tmp)
    shutil.rmtree(tmp, ignore_errors=True)  # what may be left, the next sweep takes


@contextmanager
def _held_folder(parent: Path) -> Iterator[Path]:
    """Make a ``.tmp-*`` folder that is locked while the block runs and gone if it fails."""
    tmp, fd = _make_held_folder(parent)
    try:
        yield tmp
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
        os.close(fd)


def _make_held_folder(parent: Path) -> tuple[Path, int]:
    while True:
        tmp = parent / f"{_TMP}{secrets.token_hex(8)}"
        tmp.mkdir()
        fd = _lock_folder(tmp)
        if fd is not None:
            return tmp, fd


def _lock_folder(path: Path) -> int | None:
    """Return a descriptor that holds the folder's lock; None where another has or had it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return None


def _publish(tmp: Path, entry: Path) -> None:
    try:
        tmp.rename(entry)
    except OSError as err:
        if err.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise


def sweep(folder: Path) -> None:
    """Remove the unfinished entries in ``folder`` whose makers are gone."""
    for path in folder.glob(f"{_TMP}*"):
        fd = _lock_folder(path)
        if fd is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(fd)


def _disk_bytes(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.lstat().st_blocks * 512
    return 0
