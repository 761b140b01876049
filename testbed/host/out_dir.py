"""The folder that make writes into, of one source.

Make always sees the one path ``out``, since kbuild writes it into its tools' dependencies. The
base kernel's objects are parked beside it as ``base-<configuration>``, and a series is built in a
copy of them: its own objects never come near the base's. That is needed, not only neat: a
source that is restored after a series gets its old time back, and an object that was made from
the patched text would look up to date to make.

The copy of the last series is kept as ``spare`` and made equal to the base again for the next
one, by size and time, as make itself tells what changed: seconds become tenths.

``out`` carries a note of what it is. While make runs, the note says so: a folder whose make was
killed may hold half a file and is not used again.
"""

import fnmatch
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from testbed.host.store import discard, sweep, write_atomically

_NOTE: Final = ".testbed.json"
_PARKED: Final = "base-"
_MAX_PARKED: Final = 4

# Made anew for every kernel, and more than half of the bytes.
_NOT_COPIED: Final = (
    *("vmlinux", "vmlinux.o", "vmlinux.a", "vmlinux.bin", "vmlinux.bin.*", "vmlinux.unstripped"),
    *(".tmp_vmlinux*", "bzImage", "piggy.o", "System.map"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What a build folder is for: a configuration, a toolchain, with patches or without."""

    config: str
    toolchain: str
    is_base: bool
    is_being_made: bool = False


class OutDir:
    """The build folders below ``folder``; the caller holds its lock.

    Of the bases that are parked, the ``max_parked`` that were used last are kept.
    """

    def __init__(self, folder: Path, *, max_parked: int = _MAX_PARKED) -> None:
        self._folder = folder
        self._max_parked = max_parked
        self._spare = folder / "spare"
        self.path = folder / "out"

    def enter(self, purpose: Purpose) -> None:
        """Make ``out`` a folder for ``purpose``, with as many objects in it as can be trusted."""
        sweep(self._folder)
        have = _read_note(self.path)
        if purpose.is_base and have == purpose:
            return
        self._leave(have)
        donor = self._find_donor(purpose)
        if purpose.is_base and donor == self._parked(purpose.config):
            donor.rename(self.path)
            return
        if donor is None:
            self.path.mkdir()
        else:
            self._copy(donor)
        _write_note(self.path, purpose)

    def begin(self, purpose: Purpose) -> None:
        """Note that make is about to write."""
        _write_note(self.path, replace(purpose, is_being_made=True))

    def end(self, purpose: Purpose) -> None:
        """Note that make ended in good order, whatever came of it."""
        _write_note(self.path, purpose)

    def has_base(self, purpose: Purpose) -> bool:
        """Whether there is a build to start from."""
        note = _read_note(self.path)
        is_there = note is not None and note.is_base and note.toolchain == purpose.toolchain
        return is_there or self._find_donor(purpose) is not None

    def find_base(self, purpose: Purpose) -> Path | None:
        """Return the folder with the base's objects of just this configuration, if there is one."""
        wanted = replace(purpose, is_base=True, is_being_made=False)
        places = (self.path, self._parked(purpose.config))
        return next((path for path in places if _read_note(path) == wanted), None)

    def _leave(self, have: Purpose | None) -> None:
        """Put ``out`` where it belongs; what cannot be trusted goes."""
        if have is None or have.is_being_made:
            if self.path.exists():
                discard(self.path)
        elif have.is_base:
            self._park(have)
        else:
            _replace(self.path, self._spare)

    def _park(self, have: Purpose) -> None:
        place = self._parked(have.config)
        _replace(self.path, place)
        _write_note(place, have)  # the newest is the best to start from
        for old in self._list_parked()[self._max_parked :]:
            discard(old)

    def _find_donor(self, purpose: Purpose) -> Path | None:
        """Return the parked base to start from: the same configuration's, or the newest."""
        same = self._parked(purpose.config)
        for path in (same, *self._list_parked()):
            note = _read_note(path)
            if note is not None and not note.is_being_made and note.toolchain == purpose.toolchain:
                return path
        return None

    def _copy(self, donor: Path) -> None:
        tmp = self._folder / "out.tmp"
        if tmp.exists():
            discard(tmp)
        if self._spare.exists():
            self._spare.rename(tmp)
        make_equal(donor, tmp)
        tmp.rename(self.path)

    def _parked(self, config: str) -> Path:
        return self._folder / f"{_PARKED}{config[:16]}"

    def _list_parked(self) -> list[Path]:
        """Return the parked folders, the newest first."""
        return sorted(self._folder.glob(f"{_PARKED}*"), key=_note_time, reverse=True)


def make_equal(donor: Path, target: Path) -> None:
    """Make ``target`` a copy of ``donor``, times included, less what every link makes anew.

    A file of the same size, mode and time, to the nanosecond, is taken for the same.
    """
    target.mkdir(exist_ok=True)
    have = {entry.name: entry for entry in _scan(target)}
    for entry in _scan(donor):
        if any(fnmatch.fnmatchcase(entry.name, glob) for glob in _NOT_COPIED):
            continue
        there = have.pop(entry.name, None)
        place = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            if there is not None and not there.is_dir(follow_symlinks=False):
                place.unlink()
            make_equal(donor / entry.name, place)
        elif there is None or _identify(there) != _identify(entry):
            if there is not None:
                _remove(place)
            shutil.copy2(entry.path, place, follow_symlinks=False)
    for name in have:
        _remove(target / name)


def _scan(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _identify(entry: os.DirEntry[str]) -> tuple[int, int, int]:
    info = entry.stat(follow_symlinks=False)
    return info.st_mode, info.st_size, info.st_mtime_ns


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _replace(path: Path, place: Path) -> None:
    if place.exists():
        discard(place)
    path.rename(place)


def _note_time(folder: Path) -> int:
    try:
        return (folder / _NOTE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _read_note(folder: Path) -> Purpose | None:
    try:
        return Purpose(**json.loads((folder / _NOTE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _write_note(folder: Path, purpose: Purpose) -> None:
    write_atomically(folder / _NOTE, json.dumps(asdict(purpose)))
