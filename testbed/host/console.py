"""The guest's serial console: read as it comes, kept on disk, watched for crashes."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from testbed.core.crash import CrashScanner
from testbed.core.result import Crash
from testbed.host.console_log import LIMIT_BYTES, ConsoleLog

_CHUNK_BYTES: Final = 1 << 16
# A longer line loses its middle: a guest must not fill our memory. Its end is kept, since what
# the kernel says stands there where user space left a line unfinished.
_LINE_CHARS: Final = 1 << 14
_LINE_END_CHARS: Final = 1 << 12
_LINE_GAP: Final = " [...] "
_KEPT_LINES: Final = 4000
_KEPT_CHARS: Final = 4 << 20


class Console:
    """Reads ``connection`` in a thread until QEMU closes it, and keeps it in ``log``.

    A guest waits for whoever reads its serial port: so reading goes on whatever comes, also when
    ``log`` can take no more, for ``limit_bytes`` or for a full disk (:attr:`log_gap`). The newest
    lines alone stay in memory, at most 8000 and of them 8 Mi characters.

    Lines are counted from the start of the console; :meth:`mark` gives the present count, so that
    a caller can ask for what came since.
    """

    def __init__(
        self, connection: socket.socket, log: Path, *, limit_bytes: int = LIMIT_BYTES
    ) -> None:
        self.log = log
        self._sink = ConsoleLog(log, limit_bytes=limit_bytes)
        self._connection = connection
        self._scanner = CrashScanner()
        self._lines: list[str] = []
        self._kept_chars = 0
        self._dropped = 0
        self._pending = bytearray()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether QEMU has closed the console, that is: has ended."""
        return self._closed

    @property
    def log_gap(self) -> str:
        """What of the console is not in :attr:`log`, and why; empty as long as all is."""
        return self._sink.gap

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
        """Stop reading; what has come is on disk, as far as the disk takes it."""
        with contextlib.suppress(OSError):  # QEMU closed it first
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _read(self) -> None:
        """Read to the end; whatever ends it ends the waits too."""
        try:
            while chunk := self._receive():
                self._sink.add(chunk)
                self._take(chunk)
        finally:
            self._sink.close()
            with self._changed:
                if self._pending:
                    self._add_line(self._pending.decode(errors="replace"))
                self._scanner.finish()
                self._closed = True
                self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_CHUNK_BYTES)
        except OSError:
            return b""

    def _take(self, chunk: bytes) -> None:
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            lines = (self._pending + whole).decode(errors="replace").split("\n")
            self._pending.clear()
            with self._changed:
                for line in lines:
                    self._add_line(line)
                self._changed.notify_all()
        self._pending += rest  # QEMU's serial port sends byte by byte: most chunks end here
        if len(self._pending) > 8 * _LINE_CHARS:  # bytes, at most four a character
            del self._pending[4 * _LINE_CHARS : -4 * _LINE_END_CHARS]

    def _add_line(self, line: str) -> None:
        if len(line) > _LINE_CHARS:
            head = line[: _LINE_CHARS - _LINE_END_CHARS - len(_LINE_GAP)]
            line = head + _LINE_GAP + line[-_LINE_END_CHARS:]
        line = line.rstrip("\r")
        self._lines.append(line)
        self._kept_chars += len(line)
        self._scanner.feed(line)
        if len(self._lines) > 2 * _KEPT_LINES or self._kept_chars > 2 * _KEPT_CHARS:
            self._drop_older_half()

    def _drop_older_half(self) -> None:
        half = len(self._lines) // 2
        self._dropped += half
        del self._lines[:half]
        self._kept_chars = sum(map(len, self._lines))
