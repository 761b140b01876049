"""A QEMU process and the three connections to it: console, monitor, command port.

It runs as nobody where root starts it, and inherits all that it reads and writes.
"""

import contextlib
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Final

from testbed.core.capacity import need_of
from testbed.core.qemu_argv import Machine, build_argv
from testbed.core.topology import Topology
from testbed.errors import InfraError
from testbed.host import memfile, proc
from testbed.host.admission import Admission, Ticket
from testbed.host.bequest import Bequest
from testbed.host.console import Console
from testbed.host.port import Port
from testbed.host.qmp import Qmp

_KVM: Final = Path("/dev/kvm")


class QemuNotStartedError(InfraError):
    """QEMU ended before it could be talked to; its words are in the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """What to boot; logs go to ``log_dir`` under names that start with ``log_name``.

    With ``admission``, QEMU is started when the host has room for it. ``slowness`` is how many
    times as long as on a plain kernel what is asked of the guest may take.
    """

    kernel: Path
    initrd: Path
    topology: Topology
    accel: str
    log_dir: Path
    log_name: str = "vm"
    cmdline: tuple[str, ...] = ()
    admission: Admission | None = None
    slowness: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """A running QEMU; ``ticket`` is its room on the host."""

    process: Popen[bytes]
    console: Console
    qmp: Qmp
    port: Port
    log: Path
    ticket: Ticket | None

    def close(self) -> None:
        """End QEMU and everything that talks to it; a log that holds nothing is removed."""
        with ExitStack() as closing:
            if self.ticket is not None:
                closing.callback(self.ticket.release)
            closing.callback(self._remove_empty_logs)
            for end in (self.console.close, self.port.close, self.qmp.close):
                closing.callback(end)
            # There is nothing in it that is worth a farewell.
            proc.end(self.process, grace_s=0.0)

    def _remove_empty_logs(self) -> None:
        for log in (self.log, self.console.log, self.qmp.log):
            with contextlib.suppress(FileNotFoundError):
                if not log.stat().st_size:
                    log.unlink()


def start(request: BootRequest, *, state_fd: int | None = None) -> Qemu:
    """Start QEMU: boot, or with the state in the file ``state_fd`` run on from there.

    Raises :class:`InfraError` with QEMU's words when it does not start.
    """
    request.log_dir.mkdir(parents=True, exist_ok=True)
    log = request.log_dir / f"{request.log_name}.qemu.log"
    with ExitStack() as ours, Bequest() as theirs:
        ticket = _take_room(request, ours)
        if ticket is not None:
            theirs.lend(ticket.fileno())  # taken until QEMU's memory is gone too
        console, console_fd = theirs.give_socket(ours)
        qmp, qmp_fd = theirs.give_socket(ours)
        port, port_fd = theirs.give_socket(ours)
        argv = build_argv(
            Machine(
                topology=request.topology,
                kernel=f"/dev/fd/{theirs.give(memfile.load(request.kernel))}",
                initrd=_give_initrd(request, theirs) if state_fd is None else "",
                accel=request.accel,
                console_fd=console_fd,
                qmp_fd=qmp_fd,
                port_fd=port_fd,
                state_fd=None if state_fd is None else theirs.lend(state_fd),
                swap_fds=tuple(
                    theirs.give(memfile.make_swap(size)) for size in request.topology.swap_mib
                ),
                cmdline=request.cmdline,
            )
        )
        with log.open("ab") as sink:
            process = proc.start(
                argv, stdout=sink, pass_fds=theirs.fds, groups=_find_groups(request.accel)
            )
        ours.pop_all()
    try:
        return _connect(process, console, qmp, port, request=request, log=log, ticket=ticket)
    except BaseException:
        proc.end(process, grace_s=0.0)
        for end in (console, qmp, port):
            end.close()
        if ticket is not None:
            ticket.release()
        raise


def _give_initrd(request: BootRequest, theirs: Bequest) -> str:
    return f"/dev/fd/{theirs.give(memfile.load(request.initrd))}"


def _connect(
    process: Popen[bytes],
    console: socket.socket,
    qmp: socket.socket,
    port: socket.socket,
    *,
    request: BootRequest,
    log: Path,
    ticket: Ticket | None,
) -> Qemu:
    watched = Console(console, request.log_dir / f"{request.log_name}.console.log")
    try:
        monitor = Qmp(qmp, request.log_dir / f"{request.log_name}.qmp.jsonl")
    except InfraError as err:
        status = proc.end(process)
        watched.close()
        port.close()
        said = log.read_text(errors="replace").strip() or f"nothing, status {status}"
        raise QemuNotStartedError(f"QEMU did not start; it said: {said}") from err
    return Qemu(
        process=process, console=watched, qmp=monitor, port=Port(port), log=log, ticket=ticket
    )


def _take_room(request: BootRequest, ours: ExitStack) -> Ticket | None:
    if request.admission is None:
        return None
    return ours.enter_context(request.admission.acquire(need_of(request.topology)))


def _find_groups(accel: str) -> tuple[int, ...]:
    """Return the groups that QEMU needs: /dev/kvm's, which is not for everybody."""
    return (_KVM.stat().st_gid,) if accel == "kvm" else ()
