"""The cache: finished things by their content's key, and the folders that work goes on in.

``<kind>/<key>/`` is an entry. It is made in ``<kind>/.tmp-*`` and renamed when it is whole, so
that half of one is never seen. ``locks/`` holds one lock a key, ``facts/`` small JSON files: what
was found out once and can be found out again.

Who makes an entry, and who has found one, *holds* it: a shared flock(2) on the folder itself, until
its :class:`Store` is gone or its process has died. Who removes one takes that lock alone
first, and then renames it away, so nobody meets half of an entry, and none goes that a run uses. An
unfinished folder that nobody holds was left by the dead. The time of an entry's folder is that
of its last use.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import stat
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from testbed.core.eviction import add_up
from testbed.errors import InfraError
from testbed.host.flock import lock_file, lock_folder
from testbed.host.footprint import measure

KINDS: Final = (
    *("kernels", "guest-images", "states", "harness", "kconfig", "work"),
    *("facts", "ccache"),
)
CCACHE: Final = "ccache"
NO_ENTRIES: Final = ("facts", CCACHE)
"""Kinds that hold no entries: small files, and what another program looks after."""

_HOW_TO_MAKE_ROOM: Final = (
    "`testbed clean` shows what it holds, `testbed clean --keep 10G` removes what was used least "
    "lately until that is left; TESTBED_CACHE=DIR takes another disk"
)
_TMP: Final = ".tmp-"
_GUARD: Final = "guard"  # held by the compilers of a folder of work (testbed.host.held)
_MIB: Final = 1024 * 1024
_CANNOT_WRITE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one kind takes on the disk.

    ``used_ns`` is when an entry of it was last used, in nanoseconds since 1970; None where there
    is none, or nobody notes it.
    """

    kind: str
    entries: int
    size_mib: float
    used_ns: int | None = None


class Store:
    """The cache below ``root``; ``say`` gets one line where a run has to wait.

    Keep it as long as what was found in it or made is used: its end gives the entries free.
    """

    def __init__(self, root: Path, *, say: Callable[[str], None]) -> None:
        self.root = root
        self._say = say
        self._held: dict[Path, int] = {}
        weakref.finalize(self, _close_all, self._held)

    def find(self, kind: str, key: str) -> Path | None:
        """Return the finished entry, used now and held from now on; None where there is none."""
        path = self.root / kind / key
        with self.blamed():
            return path if self._hold(path) else None

    def hold(self, path: Path) -> None:
        """Hold the entry that ``path`` lies in, if in any: for a path that was handed on."""
        if path.is_relative_to(self.root):
            kind, *rest = path.relative_to(self.root).parts or ("",)
            if rest and kind in KINDS and kind not in NO_ENTRIES:
                self.find(kind, rest[0])

    def release(self) -> None:
        """Give all entries free, as the end of the Store does."""
        _close_all(self._held)

    @contextmanager
    def create(self, kind: str, key: str) -> Iterator[Path]:
        """Give a new folder to fill, which becomes the entry when the block ends well.

        Where another run was first, its entry stays: equal keys mean equal content.
        """
        with self.blamed():
            folder = self.root / kind
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            with _held_folder(folder) as (tmp, fd):
                yield tmp
                self._publish(tmp, fd, entry=folder / key)

    def list_keys(self, kind: str) -> tuple[tuple[int, str], ...]:
        """Return when each entry of ``kind`` was last used and its key, the oldest first."""
        dated = []
        with contextlib.suppress(FileNotFoundError):
            for path in (self.root / kind).iterdir():
                with contextlib.suppress(FileNotFoundError):  # another run was first
                    if not path.name.startswith(_TMP):
                        dated.append((path.lstat().st_mtime_ns, path.name))
        return tuple(sorted(dated))

    def keep_newest(self, kind: str, count: int) -> None:
        """Remove the entries of ``kind`` but the ``count`` last used and those that a run uses."""
        keys = self.list_keys(kind)
        with self.blamed():
            for _, key in keys[: max(0, len(keys) - count)]:
                self.evict(kind, key)

    def evict(self, kind: str, key: str, *, used_ns: int | None = None) -> bool:
        """Remove an entry; False where it stays, because a run uses it.

        With ``used_ns`` it stays too if it was used at another time than that. An entry that is
        gone already is as good as removed.
        """
        path = self.root / kind / key
        if _is_no_folder(path):
            path.unlink(missing_ok=True)
            return True
        tmp = self._take_away(path, used_ns=used_ns)
        if tmp is not None:
            shutil.rmtree(tmp, ignore_errors=True)  # what may be left, the next sweep takes
        return tmp is not None or not path.is_dir()

    def is_used(self, kind: str, key: str) -> bool:
        """Whether a run uses the entry."""
        with self._taken(self.root / kind / key) as is_mine:
            return not is_mine and (self.root / kind / key).is_dir()

    def folder(self, kind: str, key: str) -> Path:
        """Return a folder to work in, made if need be. Hold its lock while you use it."""
        with self.blamed():
            path = self.root / kind / key
            path.mkdir(parents=True, exist_ok=True)
            _date(path)
            return path

    @contextmanager
    def lock(self, kind: str, key: str) -> Iterator[None]:
        """Hold the lock of one key; says one line if it has to wait for another run."""
        with self.blamed():
            lock = self._make_lock(kind, key)
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
                keys = self.list_keys(kind)
                dated = keys[-1][0] if keys and kind not in NO_ENTRIES else None
                size_mib = add_up([measure(folder)]) / _MIB
                found.append(Usage(kind=kind, entries=len(keys), size_mib=size_mib, used_ns=dated))
        return tuple(found)

    def remove(self, kind: str) -> tuple[str, ...]:
        """Remove all entries of a kind; return the keys of those that stay: a run uses them."""
        folder = self.root / kind
        with self.blamed():
            sweep(folder)
            keys = sorted(key for _, key in self.list_keys(kind))
            if kind not in NO_ENTRIES:
                return tuple(key for key in keys if not self.evict(kind, key))
            for key in keys:
                with self.lock(kind, key):
                    discard(folder / key)
        return ()

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

    def _hold(self, path: Path) -> bool:
        """Hold the entry at ``path``, as it is there now; False where there is none."""
        while path.is_dir():
            fd = lock_folder(path, fcntl.LOCK_SH)  # who removes it has it for no longer than that
            if fd is not None:
                self._keep(path, fd)
                return True
        return False

    def _keep(self, path: Path, fd: int) -> None:
        _date(fd)
        before = self._held.pop(path, None)
        self._held[path] = fd
        if before is not None:
            os.close(before)

    def _publish(self, tmp: Path, fd: int, *, entry: Path) -> None:
        """Make ``tmp``, which ``fd`` holds, the entry; where there is one by now, hold that."""
        while True:
            try:
                tmp.rename(entry)
            except OSError as err:
                if err.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                if self._hold(entry):
                    return
            else:
                self._keep(entry, os.dup(fd))  # one lock: it ends with the last of both
                return

    def _take_away(self, path: Path, *, used_ns: int | None) -> Path | None:
        """Rename an entry that nobody uses out of sight; None where it stays, or is gone."""
        tmp = path.with_name(f"{_TMP}{secrets.token_hex(8)}")
        with self._taken(path) as is_mine:
            if not is_mine or used_ns not in {None, path.stat().st_mtime_ns}:
                return None
            path.rename(tmp)
        return tmp

    @contextmanager
    def _taken(self, path: Path) -> Iterator[bool]:
        """Give whether the entry is this block's alone: nobody makes, uses or builds in it."""
        lock = self._make_lock(path.parent.name, path.name)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock.acquire(blocking=False))
            except Timeout:
                yield False
                return
            fds = [lock_folder(path, fcntl.LOCK_EX | fcntl.LOCK_NB)]
            if fds[0] is not None and os.path.lexists(path / _GUARD):
                fds.append(lock_file(path / _GUARD, fcntl.LOCK_EX | fcntl.LOCK_NB))
            for fd in fds:
                if fd is not None:
                    stack.callback(os.close, fd)
            yield None not in fds

    def _make_lock(self, kind: str, key: str) -> FileLock:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{kind}-{key}.lock")


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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write ``path`` so that a reader finds the old content or the new, never part of one."""
    tmp = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        tmp.write_bytes(content.encode() if isinstance(content, str) else content)
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
def _held_folder(parent: Path) -> Iterator[tuple[Path, int]]:
    """Make a ``.tmp-*`` folder that is held while the block runs and gone if it fails.

    The lock is shared from the start: to turn one that is not into one that is gives it up for a
    moment (flock(2)).
    """
    tmp, fd = _make_held_folder(parent)
    try:
        yield tmp, fd
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
        os.close(fd)


def _make_held_folder(parent: Path) -> tuple[Path, int]:
    while True:
        tmp = parent / f"{_TMP}{secrets.token_hex(8)}"
        tmp.mkdir()
        fd = lock_folder(tmp, fcntl.LOCK_SH)
        if fd is not None:
            return tmp, fd


def _is_no_folder(path: Path) -> bool:
    """Whether there is something that is no folder: at one look, for it may come and go."""
    try:
        return not stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _close_all(held: dict[Path, int]) -> None:
    while held:
        os.close(held.popitem()[1])


def _date(entry: Path | int) -> None:
    """Note that an entry is used; where it may not be written, it cannot be removed either."""
    try:
        os.utime(entry)
    except OSError as err:
        if err.errno not in _CANNOT_WRITE:
            raise


def sweep(folder: Path) -> None:
    """Remove the unfinished entries in ``folder`` whose makers are gone."""
    for path in folder.glob(f"{_TMP}*"):
        fd = lock_folder(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if fd is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(fd)
