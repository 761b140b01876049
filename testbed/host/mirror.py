"""A tree of the user's: what is in it, and a copy of it that follows.

The tree itself is never written. What counts is what git would track or not ignore. Every file's
content is hashed once and again when its stat changes (size, times, inode: as git's own index
tells a changed file, with ctime on top, which no program can set back), so that the id of a tree
is the id of its content: a branch that is switched there and back is the same source.

The copy follows a folder, or the commits of a repository (:mod:`testbed.host.commit_tree`).
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from testbed.errors import CommandError, UserError
from testbed.host.git import GIT
from testbed.host.proc import run
from testbed.host.store import Store, discard, write_atomically

# A file changed again within one tick of the clock keeps its stat: younger ones are not trusted.
_RACY_NS: Final = 2_000_000_000
_DIGEST_BYTES: Final = 20
_UNKNOWN: Final = ""

# An unpacked tree has .gitignore files, too, but Debian's ignores all at the top (it is made for
# a repository of the packaging): so the top is taken, less what a build in the tree, quilt or an
# editor leaves there. The later pattern wins.
_UNPACKED_EXCLUDES: Final = (
    *("!/*", "!.gitignore", "!.kunitconfig", "!.clang-format"),
    *("/.config", "/.config.old", "/.version", "/.missing-syscalls.d", "/.tmp_*", "/.*.cmd"),
    *("/.*.d", "/*.o", "/*.a", "/*.symvers", "/modules.*", "/vmlinux*", "/System.map", "/.pc"),
    *("/patches", "/series", "/tags", "/TAGS", "/cscope*", "/*~", "/compile_commands.json"),
    *("/certs/*.pem", "/certs/*.x509"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or symlink: the hash of its content, and whether it is a symlink or executable."""

    sha: str
    is_link: bool
    is_executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was in a tree; ``digest`` is over all of it, ``kconfig_id`` over what configures it."""

    entries: Mapping[str, Entry]
    digest: str
    kconfig_id: str


Reader: TypeAlias = Callable[[Path, Mapping[str, Entry]], Generator[tuple[str, bytes], None, None]]
"""Yields (name, content) of the entries that are wanted of what lies at a path, in their order."""


class TreeChangedError(Exception):
    """A file is no longer what it was when the tree was scanned: scan it again."""


def scan_tree(top: Path, *, store: Store, fact: str) -> Scan:
    """Read the tree ``top``; what is known of its files is kept in the cache as ``fact``.

    Raises :class:`UserError` for a device, socket or pipe in it and for what cannot be read.
    """
    began_ns = time.time_ns()
    known = store.read_fact(fact)
    index: dict[str, list[Any]] = {}
    entries: dict[str, Entry] = {}
    for name in sorted(_list_files(top)):
        found = _look_at(f"{top}/{name}", known.get(name))
        if found is not None:
            seen, entry = found
            is_racy = max(seen[1], seen[2]) > began_ns - _RACY_NS
            index[name] = [*seen, _UNKNOWN if is_racy else entry.sha]
            entries[name] = entry
    if index != known:
        store.write_fact(fact, index)
    entries = _drop_behind_links(entries)
    return Scan(
        entries=MappingProxyType(entries),
        digest=_digest(entries.items()),
        kconfig_id=digest_kconfig(entries),
    )


def digest_kconfig(entries: Mapping[str, Entry]) -> str:
    """Return a digest over those entries that can change what a configuration comes to."""
    return _digest((name, entry) for name, entry in entries.items() if configures(name))


def read_files(top: Path, wanted: Mapping[str, Entry]) -> Generator[tuple[str, bytes], None, None]:
    """Yield (name, content) of files and symlinks in the folder ``top``.

    Raises :class:`TreeChangedError` for one that is not what was scanned.
    """
    for name, entry in wanted.items():
        try:
            data = _read(top / name, is_link=entry.is_link)
        except OSError as err:
            raise TreeChangedError(name) from err
        if _hash(data) != entry.sha:
            raise TreeChangedError(name)
        yield name, data


def sync_mirror(
    scan: Scan, *, top: Path, mirror: Path, manifest: Path, read: Reader = read_files
) -> int:
    """Make ``mirror`` what ``scan`` found in ``top``; return how many files were written.

    ``read`` gets the contents from ``top``. A file whose content is new gets the time of now, so
    that make takes notice; one that only looks new is left. ``manifest`` says what the mirror has,
    and what cannot be trusted while it is being written: a run that was killed is carried on by
    the next. Raises :class:`TreeChangedError` when the tree changed after the scan.
    """
    have = _read_manifest(manifest) if mirror.is_dir() else None
    if have is None:
        discard(mirror)
        manifest.unlink(missing_ok=True)  # or a kill right here would leave it with an empty mirror
        mirror.mkdir(parents=True)
        have = {}
    want = {name: _pack(entry) for name, entry in scan.entries.items()}
    stale = {name: scan.entries[name] for name in want if have.get(name) != want[name]}
    gone = [name for name in have if name not in want]
    if not stale and not gone:
        return 0
    doubtful = dict.fromkeys([*stale, *gone], _UNKNOWN)
    write_atomically(manifest, json.dumps({**have, **doubtful}))
    writer = _Writer(mirror, fresh=manifest.with_name(f"{manifest.name}.fresh"))
    for name in gone:
        writer.remove(name)
    written = 0
    with closing(read(top, stale)) as contents:
        for name, data in contents:
            written += writer.write(name, data, stale[name])
    write_atomically(manifest, json.dumps(want))
    return written


class _Writer:
    """Writes files into ``mirror`` by way of ``fresh``, outside it: a kill leaves nothing there."""

    def __init__(self, mirror: Path, *, fresh: Path) -> None:
        self._mirror = mirror
        self._fresh = fresh
        self._folders = {mirror}

    def write(self, name: str, data: bytes, entry: Entry) -> int:
        """Write one file; return how many were written, 0 or 1."""
        target = self._mirror / name
        self._make_way(target.parent)
        if _has(target, data, entry):
            return 0
        self._fresh.unlink(missing_ok=True)
        if entry.is_link:
            self._fresh.symlink_to(os.fsdecode(data))
        else:
            self._fresh.write_bytes(data)
            self._fresh.chmod(0o755 if entry.is_executable else 0o644)
        try:
            self._fresh.replace(target)
        except IsADirectoryError:
            shutil.rmtree(target)
            self._fresh.replace(target)
        return 1

    def remove(self, name: str) -> None:
        """Remove a file, and the folders that it leaves empty.

        What is there may be the work of a run that was killed: nothing, a thing of another kind,
        or a symlink in place of a folder, behind which nothing is ours.
        """
        path = self._mirror / name
        parents = [self._mirror / parent for parent in Path(name).parents][:-1]
        if any(parent.is_symlink() for parent in parents):
            return
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            path.unlink()
        for folder in parents:
            if folder.is_dir():
                if any(folder.iterdir()):
                    return
                folder.rmdir()

    def _make_way(self, folder: Path) -> None:
        """Make ``folder``, and remove what is in its place."""
        if folder in self._folders:
            return
        self._make_way(folder.parent)
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        folder.mkdir(exist_ok=True)
        self._folders.add(folder)


def _list_files(top: Path) -> Iterator[str]:
    """Yield the paths that git tracks or would not ignore, relative to ``top``."""
    tracked = run([*GIT, "-C", str(top), "ls-files", "--error-unmatch", "Makefile"], check=False)
    try:
        if tracked.returncode == 0:
            listing = ["-co", "--exclude-standard"]
            output = run([*GIT, "-C", str(top), "ls-files", "-z", *listing]).output
        else:
            output = _list_unpacked(top)
    except CommandError as err:
        raise UserError(f"{top}: git cannot list it: {err.tail}") from err
    for name in set(output.split("\0")):
        if "\ufffd" in name:
            raise UserError(f"{top}: the file name {name!r} is not UTF-8")
        if name and not name.endswith("/"):  # a repository of its own, not part of this tree
            yield name


def _list_unpacked(top: Path) -> str:
    excludes = [f"--exclude={pattern}" for pattern in _UNPACKED_EXCLUDES]
    with tempfile.TemporaryDirectory(prefix="testbed-") as folder:
        run([*GIT, "init", "-q", "--bare", folder])
        where = [f"--git-dir={folder}", f"--work-tree={top}"]
        listing = ["ls-files", "-z", "-o", *excludes, "--exclude-per-directory=.gitignore"]
        return run([*GIT, *where, *listing], cwd=top).output


def _look_at(path: str, known: object) -> tuple[list[int], Entry] | None:
    """Return the stat and the entry of a file; None where git tracks a file that is deleted.

    A kernel has 86,000 files: their paths stay strings.
    """
    try:
        info = os.lstat(path)
        is_link = stat.S_ISLNK(info.st_mode)
        if not is_link and not stat.S_ISREG(info.st_mode):
            kind = (
                "a folder of another repository" if stat.S_ISDIR(info.st_mode) else "a special file"
            )
            raise UserError(f"{path}: is {kind}; a kernel tree has files and symlinks only")
        seen = [info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_mode]
        sha = _recall(seen, known) or _hash(_read(Path(path), is_link=is_link))
    except FileNotFoundError:
        return None
    except PermissionError as err:
        raise UserError(f"{path}: cannot be read: {err.strerror}") from err
    return seen, Entry(sha, is_link, not is_link and bool(info.st_mode & stat.S_IXUSR))


def _drop_behind_links(entries: dict[str, Entry]) -> dict[str, Entry]:
    """Leave out what git tracks and a symlink in place of its folder has made another's file."""
    links = {name for name, entry in entries.items() if entry.is_link}
    return {
        name: entry
        for name, entry in entries.items()
        if not any(parent in links for parent in _parents(name))
    }


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def _recall(seen: list[int], known: object) -> str:
    if isinstance(known, list) and known[:-1] == seen and isinstance(known[-1], str):
        return known[-1]
    return _UNKNOWN


def _has(target: Path, data: bytes, entry: Entry) -> bool:
    try:
        if target.is_symlink() or entry.is_link:
            return target.is_symlink() and entry.is_link and os.fsencode(target.readlink()) == data
        mode = target.stat().st_mode
        return bool(mode & stat.S_IXUSR) == entry.is_executable and target.read_bytes() == data
    except OSError:
        return False


def _read(path: Path, *, is_link: bool) -> bytes:
    return os.fsencode(path.readlink()) if is_link else path.read_bytes()


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def _pack(entry: Entry) -> str:
    return f"{entry.sha}{'l' if entry.is_link else ''}{'x' if entry.is_executable else ''}"


def _digest(entries: Iterable[tuple[str, Entry]]) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for name, entry in entries:
        digest.update(os.fsencode(name) + b"\0" + _pack(entry).encode() + b"\0")
    return digest.hexdigest()


def configures(name: str) -> bool:
    """Whether a file can change what a configuration comes to."""
    base = name.rpartition("/")[2]
    return (
        base.startswith("Kconfig")
        or base.endswith(".config")
        or name == "Makefile"
        or name.startswith("scripts/")
    )


def _read_manifest(path: Path) -> dict[str, str] | None:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
