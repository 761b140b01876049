"""The ``events.jsonl`` of a cell: the account of its tests, written by them and followed live.

Every writer appends whole lines, each by one write with O_APPEND. Only the death of a writer can
leave a line without its end, and only as the last one.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testbed.core.events import Event, dump_event, parse_event
from testbed.errors import InfraError

EVENTS_FILE: Final = "events.jsonl"
WAKE_FILE: Final = "events.wake"
_CHUNK_BYTES: Final = 1 << 16


class EventFile:
    """Reads the events of a cell as they are appended; ``events`` are all that it has read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._events: list[Event] = []
        self._offset = 0

    @property
    def events(self) -> Sequence[Event]:
        """What was read so far."""
        return self._events

    def read_new(self) -> tuple[Event, ...]:
        """Return what was appended since the last call; a line without its end is not there yet.

        Raises :class:`InfraError` for a line that is no event.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                fresh = file.read()
        except FileNotFoundError:
            return ()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        try:
            events = tuple(parse_event(line) for line in whole.split(b"\n")[:-1])
        except ValueError as err:
            raise InfraError(
                f"{self.path}: has a line that is no event: start the run anew"
            ) from err
        self._events += events
        return events

    def append(self, event: Event) -> None:
        """Add an event of the testbed's own; :meth:`read_new` will return it.

        Raises :class:`InfraError` for a disk that is full or cannot be written.
        """
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(dump_event(event).encode())
        except OSError as err:
            raise InfraError(f"{self.path}: cannot be written: {err.strerror}") from err

    def last_write_s(self) -> float:
        """Return when the file was last written to, in seconds since the epoch; 0 without one."""
        try:
            return self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def cut_torn_line(self) -> None:
        """Cut off a last line that a killed writer did not end, so that more can be appended.

        The date of the file stays: it is the last sign of life of what was killed.
        """
        try:
            with self.path.open("r+b") as file:
                end = file.read().rfind(b"\n") + 1
                stat = os.fstat(file.fileno())
                if end < stat.st_size:
                    file.truncate(end)
                    os.utime(file.fileno(), ns=(stat.st_atime_ns, stat.st_mtime_ns))
        except FileNotFoundError:
            return


@contextmanager
def open_wake(path: Path) -> Iterator[int]:
    """Make a FIFO and give its end to wait on; it is gone when the block ends.

    It is opened for writing too: thus it is never at its end, however its writers come and go
    (fifo(7)). Writers must not block: they open it with O_NONBLOCK, and where it is full, or nobody
    reads it, that is as good as a byte written.
    """
    try:
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
    except OSError as err:
        raise InfraError(
            f"{path}: no FIFO can be made there: {err.strerror}: "
            "choose a folder on another disk with --runs-dir"
        ) from err
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def drain(fd: int) -> None:
    """Take what is in a FIFO: how often it was written to says nothing that the file does not."""
    with contextlib.suppress(BlockingIOError):
        while len(os.read(fd, _CHUNK_BYTES)) == _CHUNK_BYTES:
            continue
