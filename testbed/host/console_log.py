"""The file that a console is kept in: its beginning and its end, in bounded space."""

import contextlib
from pathlib import Path
from typing import BinaryIO, Final

_MIB: Final = 1 << 20
LIMIT_BYTES: Final = 64 * _MIB
_END_BYTES: Final = 4 * _MIB  # held in memory; a crash with the stacks of all tasks is smaller


class ConsoleLog:
    """Takes what a console says and keeps its beginning and, once it is closed, its end.

    A guest can print without end, and whoever reads its console must go on for as long: so a disk
    that is full, or a file that cannot be written, raises nothing here. :attr:`gap` tells of it.
    Where bytes are missing in the file, a line of it says how many.
    """

    def __init__(self, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.path = path
        self._limit_bytes = limit_bytes
        self._end_bytes = min(_END_BYTES, limit_bytes // 2)
        self._room_bytes = limit_bytes - self._end_bytes
        self._end = bytearray()
        self._dropped_bytes = 0
        self._failure = ""
        self._file: BinaryIO | None = None
        self._write(b"")  # an empty console has a log too

    @property
    def gap(self) -> str:
        """What is missing in the file, and why; empty as long as nothing is."""
        if not self._dropped_bytes:
            return ""
        why = self._failure or f"no more than {self._limit_bytes >> 20} MiB of a console are kept"
        return f"{self.path}: {self._dropped_bytes} bytes of the console are missing: {why}"

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        fitting = data[: self._room_bytes]
        written = self._write(fitting)
        # A disk that was full once is asked again at the end only: a file with many gaps would
        # be hard to read.
        self._room_bytes = self._room_bytes - written if written == len(fitting) else 0
        self._end += data[written:]
        if len(self._end) > 2 * self._end_bytes:
            self._trim_end()

    def close(self) -> None:
        """Write the end behind the beginning, a full disk permitting, and close the file."""
        self._trim_end()
        note = b"\n[testbed: %d bytes dropped here]\n" % self._dropped_bytes
        end = (note if self._dropped_bytes else b"") + self._end
        self._dropped_bytes += len(end) - self._write(end)
        self._end.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):  # some file systems tell of a full disk only here
                self._file.close()

    def _trim_end(self) -> None:
        excess = max(0, len(self._end) - self._end_bytes)
        self._dropped_bytes += excess
        del self._end[:excess]

    def _write(self, data: bytes) -> int:
        """Write ``data``; how many bytes the file took, all of them unless the disk failed."""
        left = memoryview(data)
        try:
            if self._file is None:
                self._file = self.path.open("ab", buffering=0)
            while left:
                left = left[self._file.write(left) :]
        except OSError as err:
            self._failure = err.strerror or str(err)
        return len(data) - len(left)
