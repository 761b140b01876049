"""The guest, as Fabric reaches it over SSH on loopback."""

import json
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Self

import paramiko
from fabric import Config, Connection
from invoke.exceptions import CommandTimedOut, UnexpectedExit

from testbed.core.case_command import tell_slowness
from testbed.core.text import clean, shorten_middle
from testbed.errors import GuestLostError
from testbed.host.guest_result import (
    GuestCommandError,
    GuestOutputError,
    GuestResult,
    GuestTimeoutError,
)
from testbed.host.guest_runner import BoundedRunner
from testbed.host.keys import Keys

_CONNECT_TIMEOUT_S: Final = 30
_DEFAULT_TIMEOUT_S: Final = 60.0
_NO_STATUS: Final = -1
_BY_SIGNAL: Final = 128  # and its number: the status that shells report
_LIMIT_BYTES: Final = 16 << 20
_LINE_BYTES: Final = 1 << 20  # the longest line of a program that is talked to
_SHOWN_CHARS: Final = 2000
_LOST: Final = (paramiko.SSHException, EOFError, OSError)


class Guest:
    """A booted guest; connects at once and keeps one connection.

    A slow kernel has ``slowness`` times as long for whatever has a ``timeout_s`` here, and for the
    deadlines of the tests' programs, which are told.
    """

    def __init__(self, port: int, keys: Keys, *, slowness: int = 1) -> None:
        self._slowness = slowness
        self._connection = Connection(
            "127.0.0.1",
            user="root",
            port=port,
            config=Config(overrides={"load_ssh_configs": False}),
            connect_timeout=_CONNECT_TIMEOUT_S,
            connect_kwargs={
                "pkey": keys.client,
                "look_for_keys": False,
                "allow_agent": False,
                "banner_timeout": _CONNECT_TIMEOUT_S,
                "auth_timeout": _CONNECT_TIMEOUT_S,
                "channel_timeout": _CONNECT_TIMEOUT_S,
            },
        )
        client = self._connection.client
        client.get_host_keys().add(
            f"[127.0.0.1]:{port}", keys.host_public.get_name(), keys.host_public
        )
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            self._connection.open()
        except _LOST as err:
            raise GuestLostError(f"the guest's SSH server does not answer: {err}") from err

    def run(
        self,
        command: str,
        *,
        timeout_s: float = _DEFAULT_TIMEOUT_S,
        check: bool = True,
        limit_bytes: int = _LIMIT_BYTES,
    ) -> GuestResult:
        """Run a shell command as root.

        Raises :class:`GuestCommandError` on a non-zero status unless ``check`` is False,
        :class:`GuestTimeoutError` past ``timeout_s``, :class:`GuestLostError` when SSH breaks, and
        :class:`GuestOutputError` past ``limit_bytes`` of stdout or of stderr.
        """
        timeout_s *= self._slowness
        began = time.monotonic()
        runner = BoundedRunner(self._connection, limit_bytes=limit_bytes)
        try:
            done = runner.run(
                tell_slowness(command, self._slowness),
                hide=True,
                warn=True,
                timeout=timeout_s,
                in_stream=False,
            )
        except CommandTimedOut as err:
            raise GuestTimeoutError(f"no end of {command!r} after {timeout_s:g} s") from err
        except _LOST as err:
            raise GuestLostError(f"the guest went away during {command!r}: {err}") from err
        if runner.is_cut:
            raise GuestOutputError(
                f"more than {limit_bytes} bytes from {_show(command)} in the guest, "
                f"let it print less; it began:\n{_show_head(done.stdout, done.stderr)}"
            )
        result = GuestResult(
            command=command, stdout=done.stdout, stderr=done.stderr, status=done.return_code
        )
        # paramiko has no status of a command that died of a signal, of one whose guest died, and of
        # one that invoke ended at its time-out, which invoke itself does not always notice.
        if result.status == _NO_STATUS and not self._connection.is_connected:
            raise GuestLostError(f"the guest went away during {command!r}")
        if result.status == _NO_STATUS and time.monotonic() - began >= timeout_s:
            raise GuestTimeoutError(f"no end of {command!r} after {timeout_s:g} s")
        if check and result.status != 0:
            raise GuestCommandError(result)
        return result

    def read_file(self, path: str) -> str:
        """Return the text of a file of the guest."""
        return self.run(f"cat {shlex.quote(path)}").stdout

    def write_file(self, path: str, text: str) -> None:
        """Write ``text`` to a file of the guest in one write(2), as sysfs wants it.

        Raises :class:`GuestCommandError` with the shell's words when the kernel refuses.
        """
        self.run(f"printf %s {shlex.quote(text)} > {shlex.quote(path)}")

    def start(self, command: str) -> "GuestProcess":
        """Start a program that is talked to over its standard input and output."""
        try:
            channel = self._connection.create_session()
            return GuestProcess(channel, command, slowness=self._slowness)
        except _LOST as err:
            raise GuestLostError(f"the guest went away before {command!r}: {err}") from err

    def open_shell(self) -> int:
        """Hand the terminal to a login shell of the guest until it ends; its status.

        ^C is the guest's: a KeyboardInterrupt is sent on to it (invoke 2.2, ``Runner._finish()``).
        SIGTERM and a terminal that hangs up close the connection, which ends the shell, and then
        raise :class:`SystemExit` with the status that shells report for them.
        """
        ended_by: list[int] = []

        def hang_up(number: int, _frame: FrameType | None) -> None:
            ended_by.append(number)
            self.close()

        with _handle((signal.SIGTERM, signal.SIGHUP), hang_up):
            try:
                return int(self._connection.shell().return_code)
            except UnexpectedExit as err:  # Fabric's word for a status other than 0
                return int(err.result.return_code)
            finally:
                if ended_by:
                    raise SystemExit(_BY_SIGNAL + ended_by[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def _handle(
    signals: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


class GuestProcess:
    """A running program of the guest. Use it as a context manager: leaving ends its input."""

    def __init__(self, channel: paramiko.Channel, command: str, *, slowness: int = 1) -> None:
        self.command = command
        self._slowness = slowness
        self._channel = channel
        self._pending = bytearray()
        channel.set_combine_stderr(combine=True)
        channel.exec_command(tell_slowness(command, slowness))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._channel.close()

    def read_line(self, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> str:
        """Return the next line that the program prints.

        Raises :class:`GuestTimeoutError` past ``timeout_s``, :class:`GuestLostError` at the end of
        its output, and :class:`GuestOutputError` for a line of more than 1 MiB, after which the
        program is not to be talked to.
        """
        timeout_s *= self._slowness
        deadline = time.monotonic() + timeout_s
        searched = 0  # a guest may send a byte at a time
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > _LINE_BYTES:
                raise GuestOutputError(
                    f"{self.command!r} printed a line of more than {_LINE_BYTES} bytes, "
                    f"which begins:\n{_show_head(self._decode(_SHOWN_CHARS))}"
                )
            self._pending += self._receive(deadline, timeout_s=timeout_s)
        line = self._decode(end)
        del self._pending[: end + 1]
        return line

    def ask(self, request: str, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """Send a line and return the JSON object that the program answers with."""
        self._channel.sendall(request.encode() + b"\n")
        return self.read_json(timeout_s=timeout_s)

    def read_json(self, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """Return the next line as the JSON object that it must be."""
        line = self.read_line(timeout_s=timeout_s)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as err:  # no JSON, a number too long, too deep
            raise AssertionError(f"{self.command!r} printed no JSON: {_show(line)}") from err
        if not isinstance(value, dict):
            raise AssertionError(f"{self.command!r} printed no JSON object: {_show(line)}")  # noqa: TRY004 - the guest's fault, hence a failure
        return value

    def send(self, data: bytes, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> None:
        """Give the program ``data`` to read.

        Raises :class:`GuestTimeoutError` when it takes none for ``timeout_s``, and
        :class:`GuestLostError` when it or its guest has ended.
        """
        timeout_s *= self._slowness
        self._channel.settimeout(timeout_s)
        try:
            self._channel.sendall(data)
        except TimeoutError as err:
            raise GuestTimeoutError(f"{self.command!r} took nothing for {timeout_s:g} s") from err
        except _LOST as err:
            raise GuestLostError(f"{self.command!r} ended before it had read all: {err}") from err

    def finish(self, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> int:
        """End the program's input, wait for its end and return its status."""
        timeout_s *= self._slowness
        self._channel.shutdown_write()
        if not self._channel.status_event.wait(timeout_s):
            raise GuestTimeoutError(f"{self.command!r} did not end within {timeout_s:g} s")
        return self._channel.recv_exit_status()

    def _receive(self, deadline: float, *, timeout_s: float) -> bytes:
        self._channel.settimeout(max(0.0, deadline - time.monotonic()))
        try:
            chunk: bytes = self._channel.recv(1 << 16)
        except TimeoutError as err:
            raise GuestTimeoutError(f"{self.command!r} said nothing for {timeout_s:g} s") from err
        if not chunk:
            said = _show_head(self._decode(len(self._pending)))
            raise GuestLostError(f"{self.command!r} ended: {said}")
        return chunk

    def _decode(self, end: int) -> str:
        return self._pending[:end].decode(errors="replace")


def _show(text: str) -> str:
    return repr(shorten_middle(text, width=_SHOWN_CHARS))


def _show_head(*texts: str) -> str:
    return "".join(clean(text[:_SHOWN_CHARS]) for text in texts)
