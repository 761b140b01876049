"""The guest, as Fabric reaches it over SSH on loopback."""

import json
import shlex
import time
from dataclasses import dataclass
from typing import Any, Final, Self

import paramiko
from fabric import Config, Connection
from invoke.exceptions import CommandTimedOut, UnexpectedExit

from testbed.errors import GuestLostError
from testbed.host.keys import Keys

_CONNECT_TIMEOUT_S: Final = 30
_DEFAULT_TIMEOUT_S: Final = 60.0
_NO_STATUS: Final = -1
_LOST: Final = (paramiko.SSHException, EOFError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestResult:
    """What a command in the guest printed, and its exit status."""

    command: str
    stdout: str
    stderr: str
    status: int


class GuestCommandError(AssertionError):
    """A command that a test relies on failed in the guest."""

    def __init__(self, result: GuestResult) -> None:
        self.result = result
        super().__init__(
            f"status {result.status} from {result.command!r} in the guest\n"
            f"{result.stdout}{result.stderr}".rstrip()
        )


class GuestTimeoutError(AssertionError):
    """A command in the guest did not end within its deadline."""


class Guest:
    """A booted guest; connects at once and keeps one connection."""

    def __init__(self, port: int, keys: Keys) -> None:
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
        self, command: str, *, timeout_s: float = _DEFAULT_TIMEOUT_S, check: bool = True
    ) -> GuestResult:
        """Run a shell command as root.

        Raises :class:`GuestCommandError` on a non-zero status unless ``check`` is False,
        :class:`GuestTimeoutError` past ``timeout_s``, :class:`GuestLostError` when SSH breaks.
        """
        began = time.monotonic()
        try:
            done = self._connection.run(
                command, hide=True, warn=True, timeout=timeout_s, in_stream=False
            )
        except CommandTimedOut as err:
            raise GuestTimeoutError(f"no end of {command!r} after {timeout_s:g} s") from err
        except _LOST as err:
            raise GuestLostError(f"the guest went away during {command!r}: {err}") from err
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
            return GuestProcess(self._connection.create_session(), command)
        except _LOST as err:
            raise GuestLostError(f"the guest went away before {command!r}: {err}") from err

    def open_shell(self) -> int:
        """Hand the terminal to a login shell of the guest until it ends; its status."""
        try:
            return int(self._connection.shell().return_code)
        except UnexpectedExit as err:  # Fabric's word for a status other than 0
            return int(err.result.return_code)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class GuestProcess:
    """A running program of the guest. Use it as a context manager: leaving ends its input."""

    def __init__(self, channel: paramiko.Channel, command: str) -> None:
        self.command = command
        self._channel = channel
        self._pending = b""
        channel.set_combine_stderr(combine=True)
        channel.exec_command(command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._channel.close()

    def read_line(self, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> str:
        """Return the next line that the program prints.

        Raises :class:`GuestTimeoutError` past ``timeout_s`` and :class:`GuestLostError` at the end
        of its output.
        """
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._pending:
            self._channel.settimeout(max(0.0, deadline - time.monotonic()))
            try:
                chunk = self._channel.recv(1 << 16)
            except TimeoutError as err:
                raise GuestTimeoutError(
                    f"{self.command!r} said nothing for {timeout_s:g} s"
                ) from err
            if not chunk:
                raise GuestLostError(
                    f"{self.command!r} ended: {self._pending.decode(errors='replace')}"
                )
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode(errors="replace")

    def ask(self, request: str, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """Send a line and return the JSON object that the program answers with."""
        self._channel.sendall(request.encode() + b"\n")
        return self.read_json(timeout_s=timeout_s)

    def read_json(self, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """Return the next line as the JSON object that it must be."""
        line = self.read_line(timeout_s=timeout_s)
        try:
            value = json.loads(line)
        except json.JSONDecodeError as err:
            raise AssertionError(f"{self.command!r} printed no JSON: {line!r}") from err
        if not isinstance(value, dict):
            raise AssertionError(f"{self.command!r} printed no JSON object: {line!r}")  # noqa: TRY004 - the guest's fault, hence a failure
        return value

    def finish(self, *, timeout_s: float = _DEFAULT_TIMEOUT_S) -> int:
        """End the program's input, wait for its end and return its status."""
        self._channel.shutdown_write()
        if not self._channel.status_event.wait(timeout_s):
            raise GuestTimeoutError(f"{self.command!r} did not end within {timeout_s:g} s")
        return self._channel.recv_exit_status()
