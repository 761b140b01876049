"""What folders take on the disk, as du(1) counts: in blocks, a file with several names once."""

import os
import stat
from collections import Counter
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from testbed.core.eviction import FileId, Footprint

_BLOCK_BYTES: Final = 512  # the unit of st_blocks, whatever the filesystem's is (inode(7))


def measure(path: Path, *, without: AbstractSet[Path] = frozenset()) -> Footprint:
    """Return what ``path`` takes, with all that is below it but what is ``without``.

    What goes away meanwhile is not there; what may not be read is not counted, and said so. A file
    whose every name is below ``path`` is its own.
    """
    tally = _Tally()
    folders = [path] if tally.add(path) else []
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                inside = (entry for entry in map(Path, found) if entry not in without)
                folders += [entry for entry in inside if tally.add(entry)]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            tally.is_whole = False
    return tally.close()


class _Tally:
    def __init__(self) -> None:
        self.is_whole = True
        self._own_bytes = 0
        self._linked: dict[FileId, tuple[int, int]] = {}
        self._names: Counter[FileId] = Counter()

    def add(self, path: Path) -> bool:
        """Count one file; whether it is a folder, to be looked into."""
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:
            self.is_whole = False
            return False
        size_bytes = info.st_blocks * _BLOCK_BYTES
        if stat.S_ISDIR(info.st_mode) or info.st_nlink == 1:
            self._own_bytes += size_bytes
        else:
            file = (info.st_dev, info.st_ino)
            self._linked[file] = (size_bytes, info.st_nlink)
            self._names[file] += 1
        return stat.S_ISDIR(info.st_mode)

    def close(self) -> Footprint:
        own_bytes = self._own_bytes
        shared = []
        for file, (size_bytes, links) in self._linked.items():
            if self._names[file] < links:
                shared.append((file, size_bytes))
            else:
                own_bytes += size_bytes
        return Footprint(own_bytes=own_bytes, linked=tuple(shared), is_whole=self.is_whole)
