"""The guest's serial console: read as it comes, kept whole on disk, watched for crashes."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from testbed.core.crash import CrashScanner
from testbed.core.result import Crash

_CHUNK_BYTES: Final = 1 << 16
_LINE_BYTES: Final = 1 << 14  # a longer line is cut there: a guest must not fill our memory
_KEPT_LINES: Final = 4000


class Console:
    """Reads ``connection`` in a thread until QEMU closes it, writing every byte to ``log``.

    Lines are counted from the start of the console; :meth:`mark` gives the present count, so that
    a caller can ask for what came since.
    """

    def __init__(self, connection: socket.socket, log: Path) -> None:
        self.log = log
        self._connection = connection
        self._scanner = CrashScanner()
        self._lines: list[str] = []
        self._dropped = 0
        self._crash_marks: list[int] = []
        self._pending = b""
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether QEMU has closed the console, that is: has ended."""
        return self._closed

    def mark(self) -> int:
        """Return how many lines have come so far."""
        with self._changed:
            return self._dropped + len(self._lines)

    def lines_since(self, mark: int) -> tuple[str, ...]:
        """Return the lines after ``mark``, as far as they are still in memory."""
        with self._changed:
            return tuple(self._lines[max(0, mark - self._dropped) :])

    def crashes(self) -> tuple[Crash, ...]:
        """Return all crashes so far, oldest first, the last one perhaps still being printed."""
        with self._changed:
            return self._scanner.crashes

    def wait_reported(self, timeout_s: float) -> bool:
        """Wait until no crash is half printed; False at the time-out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or not self._scanner.is_reporting, timeout_s
            )

    def wait_for(self, is_wanted: Callable[[str], bool], *, since: int, timeout_s: float) -> bool:
        """Wait until a line after ``since`` is wanted; False at the time-out or when QEMU ends."""
        deadline = time.monotonic() + timeout_s
        seen = since
        with self._changed:
            while True:
                fresh = self._lines[max(0, seen - self._dropped) :]
                if any(is_wanted(line) for line in fresh):
                    return True
                seen = self._dropped + len(self._lines)
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    return False
                self._changed.wait(left)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until QEMU has ended; False at the time-out."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, timeout_s)

    def write(self, data: bytes) -> None:
        """Send keystrokes to the guest."""
        self._connection.sendall(data)

    def close(self) -> None:
        """Stop reading; what has come is on disk."""
        with contextlib.suppress(OSError):  # QEMU closed it first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _read(self) -> None:
        """Read to the end; whatever ends it, a full disk included, ends the waits too."""
        try:
            with self.log.open("ab", buffering=0) as sink:
                while chunk := self._receive():
                    sink.write(chunk)
                    self._take(chunk)
        finally:
            with self._changed:
                if self._pending:
                    self._add_line(self._pending)
                self._scanner.finish()
                self._closed = True
                self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_CHUNK_BYTES)
        except OSError:
            return b""

    def _take(self, chunk: bytes) -> None:
        *whole, rest = (self._pending + chunk).split(b"\n")
        self._pending = rest[:_LINE_BYTES]
        with self._changed:
            for raw in whole:
                self._add_line(raw)
            self._changed.notify_all()

    def _add_line(self, raw: bytes) -> None:
        line = raw[:_LINE_BYTES].decode(errors="replace").rstrip("\r")
        self._lines.append(line)
        self._scanner.feed(line)
        if len(self._lines) > 2 * _KEPT_LINES:
            del self._lines[:_KEPT_LINES]
            self._dropped += _KEPT_LINES
