"""The guest's command port: a root shell that reads from a virtio-serial port.

The host's end is one half of a socket pair that QEMU inherits, so there is nothing to connect to,
to log in to or to listen on, and the first command is answered a few milliseconds after a guest
runs. A saved state of a guest holds the shell, waiting.

One command runs at a time. Its end is told by a line with a word that is made up for the command.
"""

import secrets
import shlex
import socket
import time
from dataclasses import dataclass
from typing import Final

from testbed.errors import GuestLostError
from testbed.host.guest_result import GuestOutputError, GuestTimeoutError

READY: Final = b"testbed: the guest is ready\n"
_CHUNK_BYTES: Final = 1 << 16
_LIMIT_BYTES: Final = 16 << 20
_MARK_BYTES: Final = 16
_STATUS_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PortResult:
    """What a command printed, stdout and stderr as they came, and its exit status."""

    output: bytes
    status: int


class Port:
    """The host's end. Its memory is bounded, whatever the guest sends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def wait_ready(self, timeout_s: float) -> None:
        """Wait for the first words of a guest that boots.

        Raises :class:`GuestTimeoutError` past ``timeout_s``, :class:`GuestLostError` at QEMU's end.
        """
        self._read_until(
            READY, deadline=time.monotonic() + timeout_s, limit_bytes=_LIMIT_BYTES, what="the boot"
        )
        self._received = b""

    def run(
        self,
        command: str,
        *,
        timeout_s: float,
        limit_bytes: int = _LIMIT_BYTES,
        shown: str = "",
    ) -> PortResult:
        """Run a shell command as root and return its end.

        Errors show ``shown`` in place of a command that holds a secret.

        Raises :class:`GuestTimeoutError` past ``timeout_s``, :class:`GuestOutputError` past
        ``limit_bytes`` of output, :class:`GuestLostError` when QEMU ends. After any of them the
        port is not to be used again: the command may still be running.
        """
        deadline = time.monotonic() + timeout_s
        what = shown or repr(command)
        word = f"end-{secrets.token_hex(_MARK_BYTES)}"
        # The shell of the port is spared by the OOM killer, what it starts is not.
        line = (
            f"(echo 0 >/proc/self/oom_score_adj; eval {shlex.quote(command)}) </dev/null 2>&1; "
            f"printf '\\n{word} %03d\\n' $?\n"
        )
        self._send(line.encode(), deadline=deadline, what=what)
        mark = f"\n{word} ".encode()
        output = self._read_until(mark, deadline=deadline, limit_bytes=limit_bytes, what=what)
        status = self._read_until(b"\n", deadline=deadline, limit_bytes=_STATUS_BYTES, what=what)
        if not status.isdigit():
            raise GuestLostError(f"the guest's shell ended during {what}")
        return PortResult(output=output, status=int(status))

    def close(self) -> None:
        """Close the host's end."""
        self._connection.close()

    def _send(self, data: bytes, *, deadline: float, what: str) -> None:
        try:
            self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            self._connection.sendall(data)
        except TimeoutError as err:
            raise GuestTimeoutError(f"the guest does not take {what}") from err
        except OSError as err:
            raise GuestLostError(f"the guest went away before {what}: {err}") from err

    def _read_until(self, mark: bytes, *, deadline: float, limit_bytes: int, what: str) -> bytes:
        """Return what comes before ``mark``; the mark itself is dropped, the rest is kept."""
        parts = [self._received]
        size = len(self._received)
        tail = self._received
        while (at := tail.find(mark)) < 0:
            if size > limit_bytes:
                raise GuestOutputError(f"more than {limit_bytes} bytes from {what}")
            chunk = self._receive(deadline=deadline, what=what)
            parts.append(chunk)
            size += len(chunk)
            tail = tail[-len(mark) :] + chunk  # a mark may lie across two chunks
        whole = b"".join(parts)
        end = len(whole) - len(tail) + at
        self._received = whole[end + len(mark) :]
        return whole[:end]

    def _receive(self, *, deadline: float, what: str) -> bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise GuestTimeoutError(f"no end of {what} in time")
        try:
            self._connection.settimeout(left)
            chunk = self._connection.recv(_CHUNK_BYTES)
        except TimeoutError as err:
            raise GuestTimeoutError(f"no end of {what} in time") from err
        except OSError as err:
            raise GuestLostError(f"the guest went away during {what}: {err}") from err
        if not chunk:
            raise GuestLostError(f"the guest went away during {what}")
        return chunk
