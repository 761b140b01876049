"""One virtual machine: QEMU and the guest in it, booted or restored."""

import base64
import contextlib
import re
import secrets
import shlex
import time
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Final

from testbed.core.case_command import tell_slowness
from testbed.core.result import Crash
from testbed.core.topology import Topology
from testbed.errors import InfraError
from testbed.host import proc
from testbed.host.console import Console
from testbed.host.guest import Guest
from testbed.host.guest_result import GuestCommandError, GuestResult
from testbed.host.keys import make_keys
from testbed.host.port import Port
from testbed.host.qemu import Qemu
from testbed.host.qmp import Qmp, QmpEvent

_FORWARD_LINE: Final = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s")
_SETTLE_S: Final = 5.0  # for a crash that has begun to be printed to its end
_COMMAND_TIMEOUT_S: Final = 60.0
_SEED_BYTES: Final = 32
_START_SSH: Final = (
    "umask 077; mkdir -p /root/.ssh && echo {host_key} | base64 -d >/etc/dropbear/host_key && "
    "echo {authorized} >/root/.ssh/authorized_keys && "
    "/usr/sbin/dropbear -s -r /etc/dropbear/host_key -p 22 >/dev/null 2>&1"
)


class Vm:
    """A running machine. :meth:`close` ends it; so does the death of the testbed.

    What is asked of the guest has ``slowness`` times as long as the caller says.
    """

    def __init__(self, qemu: Qemu, topology: Topology, *, slowness: int = 1) -> None:
        self.topology = topology
        self.slowness = slowness
        self.boot_seconds = 0.0
        self._qemu = qemu
        self._guest: Guest | None = None

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._qemu.process.pid

    @property
    def console(self) -> Console:
        """The guest's serial console."""
        return self._qemu.console

    @property
    def qmp(self) -> Qmp:
        """QEMU's monitor."""
        return self._qemu.qmp

    @property
    def port(self) -> Port:
        """The guest's command port."""
        return self._qemu.port

    @property
    def guest(self) -> Guest:
        """The guest over SSH; its server is started, with new keys, when this is first used."""
        if self._guest is None:
            self._guest = self._start_ssh()
        return self._guest

    def run(
        self, command: str, *, timeout_s: float = _COMMAND_TIMEOUT_S, shown: str = ""
    ) -> GuestResult:
        """Run a command that the testbed itself needs, over the command port.

        Raises :class:`GuestCommandError` on a non-zero status, and what :meth:`Port.run` raises.
        """
        done = self.port.run(
            tell_slowness(command, self.slowness),
            timeout_s=timeout_s * self.slowness,
            shown=shown or repr(command),
        )
        result = GuestResult(
            command=shown or command,
            stdout=done.output.decode(errors="replace"),
            stderr="",
            status=done.status,
        )
        if result.status != 0:
            raise GuestCommandError(result)
        return result

    def refresh(self) -> None:
        """Make a restored guest one of its own: the host's clock, new random numbers.

        The saved state has the clock and the random number generator of when it was saved. SSH
        keys it has none: each guest gets its own when SSH is first used.
        """
        seed = secrets.token_hex(_SEED_BYTES)
        self.run(f"/tools/refresh {time.time_ns() / 1e9:.9f} {seed}", shown="refresh")

    def crashes(self) -> tuple[Crash, ...]:
        """Return the crashes on the console; one that is being printed is waited for."""
        self.console.wait_reported(_SETTLE_S)
        return self.console.crashes()

    def settle(self) -> None:
        """Give a guest that went away the time to say why, up to the end of QEMU."""
        if self.console.wait_closed(_SETTLE_S):
            self.qmp.wait_event(is_own_end, since=0, timeout_s=_SETTLE_S)
            with contextlib.suppress(TimeoutExpired):
                self._qemu.process.wait(_SETTLE_S)

    @property
    def own_end(self) -> str:
        """How the guest ended from within, says QEMU: ``guest-shutdown``, ``guest-reset``.

        Empty where it did not (RunState and ShutdownCause, qemu-qmp-ref(7)).
        """
        ends = filter(is_own_end, self.qmp.events_since(0))
        return next((str(event.data.get("reason", "")) for event in ends), "")

    @property
    def exit_status(self) -> int | None:
        """QEMU's exit status, negative for the signal that ended it; None while it runs."""
        return self._qemu.process.poll()

    @property
    def qemu_log(self) -> Path:
        """What QEMU itself had to say."""
        return self._qemu.log

    def kill(self) -> None:
        """End QEMU alone: who waits for the guest, in whatever thread, learns it at once."""
        proc.end(self._qemu.process, grace_s=0.0)

    def close(self) -> None:
        """End QEMU and everything that talks to it."""
        try:
            if self._guest is not None:
                self._guest.close()
        finally:
            self._qemu.close()

    def _start_ssh(self) -> Guest:
        keys = make_keys()
        self.run(
            _START_SSH.format(
                host_key=base64.b64encode(keys.host_key).decode(),
                authorized=shlex.quote(keys.authorized),
            ),
            shown="the start of the SSH server",
        )
        return Guest(find_ssh_port(self.qmp), keys, slowness=self.slowness)


def is_own_end(event: QmpEvent) -> bool:
    """Whether ``event`` says that the guest was reset or powered off from within."""
    return event.name == "SHUTDOWN" and bool(event.data.get("guest"))


def find_ssh_port(qmp: Qmp) -> int:
    """Return the loopback port that QEMU's user network forwards to the guest's SSH server."""
    forwards = str(qmp.execute("human-monitor-command", command_line="info usernet"))
    port = _FORWARD_LINE.search(forwards)
    if port is None:
        raise InfraError(f"QEMU forwards no port to the guest:\n{forwards}")
    return int(port[1])
