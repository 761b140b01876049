"""One virtual machine: QEMU, its console, its monitor and the guest in it."""

import contextlib
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Final

from testbed.core.qemu_argv import Machine, build_argv
from testbed.core.result import Crash
from testbed.core.topology import Topology
from testbed.errors import GuestLostError, InfraError
from testbed.host import cpio, proc
from testbed.host.console import Console
from testbed.host.guest import Guest
from testbed.host.keys import Keys, make_keys
from testbed.host.qmp import Qmp

READY_LINE: Final = "testbed: guest ready"
_FORWARD_LINE: Final = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s")
_SETTLE_S: Final = 5.0  # for a crash that has begun to be printed to its end
_SYSRQ_WAIT_S: Final = 5.0
# Blocked tasks, backtraces of all CPUs, memory; last the help, which shows that the rest is out
# (Documentation/admin-guide/sysrq.rst, 6.12).
_SYSRQ_KEYS: Final = "wlmh"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """What to boot; logs go to ``log_dir`` under names that start with ``log_name``."""

    kernel: Path
    initrd: Path
    topology: Topology
    accel: str
    log_dir: Path
    log_name: str = "vm"
    cmdline: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFailure:
    """The kernel did not come up: its fault, hence a value and no exception."""

    crash: Crash
    console: Path


class Vm:
    """A booted machine. :meth:`close` ends it; so does the death of the testbed."""

    def __init__(
        self, *, request: BootRequest, process: Popen[bytes], console: Console, qmp: Qmp
    ) -> None:
        self.topology = request.topology
        self.console = console
        self.qmp = qmp
        self.boot_seconds = 0.0
        self._process = process
        self._guest: Guest | None = None

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._process.pid

    @property
    def guest(self) -> Guest:
        """The guest's SSH connection."""
        if self._guest is None:
            raise InfraError("the guest has not been connected to")
        return self._guest

    def connect(self, keys: Keys) -> None:
        """Connect to the guest's SSH server, at the port that QEMU's user network listens on."""
        self._guest = Guest(find_ssh_port(self.qmp), keys)

    def crashes(self) -> tuple[Crash, ...]:
        """Return the crashes on the console; one that is being printed is waited for."""
        self.console.wait_reported(_SETTLE_S)
        return self.console.crashes()

    def settle(self) -> None:
        """Give a guest that went away the time to say why, up to the end of QEMU."""
        self.console.wait_closed(_SETTLE_S)

    def dump_state(self) -> tuple[str, ...]:
        """Ask a hung kernel, by sysrq over the serial line, what it does; the lines it says."""
        since = self.console.mark()
        for key in _SYSRQ_KEYS:
            begun = self.console.mark()
            self.qmp.execute("human-monitor-command", command_line="chardev-send-break console")
            self.console.write(key.encode())
            if not self.console.wait_for(
                lambda line: "sysrq:" in line, since=begun, timeout_s=_SYSRQ_WAIT_S
            ):
                break
        return self.console.lines_since(since)

    def close(self) -> None:
        """End QEMU and everything that talks to it."""
        if self._guest is not None:
            self._guest.close()
        proc.end(self._process, grace_s=2.0)
        self.qmp.close()
        self.console.close()


def find_ssh_port(qmp: Qmp) -> int:
    """Return the loopback port that QEMU's user network forwards to the guest's SSH server."""
    forwards = str(qmp.execute("human-monitor-command", command_line="info usernet"))
    port = _FORWARD_LINE.search(forwards)
    if port is None:
        raise InfraError(f"QEMU forwards no port to the guest:\n{forwards}")
    return int(port[1])


def boot(request: BootRequest) -> Vm | BootFailure:
    """Boot a guest and connect to it.

    Returns :class:`BootFailure` when the kernel panics or does not get to answer within the
    topology's ``boot_timeout_s``. Raises :class:`InfraError` when QEMU itself does not start.
    """
    began = time.monotonic()
    request.log_dir.mkdir(parents=True, exist_ok=True)
    with _private_folder() as folder:
        keys = make_keys(folder)
        initrd = add_keys(request.initrd, keys, folder)
        vm = _start(request, initrd)
        try:
            failure = _await_ready(vm, request) or _connect(vm, keys)
        except BaseException:
            vm.close()
            raise
    if failure is not None:
        vm.close()
        return failure
    vm.boot_seconds = time.monotonic() - began
    return vm


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="testbed-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def add_keys(initrd: Path, keys: Keys, folder: Path) -> Path:
    """Append a second archive with the keys: the kernel unpacks one after the other.

    Kept apart so that the guest image is the same for every run and holds no secret.
    """
    stage = folder / "keys"
    (stage / "root/.ssh").mkdir(parents=True)
    (stage / "etc/dropbear").mkdir(parents=True)
    (stage / "etc/dropbear/host_key").write_bytes(keys.host_key)
    (stage / "root/.ssh/authorized_keys").write_text(keys.authorized)
    for path in (stage / "root", stage / "root/.ssh"):
        path.chmod(0o700)
    cpio.pack(stage, folder / "keys.cpio")
    whole = folder / "initrd"
    with whole.open("wb") as sink:
        for part in (initrd, folder / "keys.cpio"):
            with part.open("rb") as source:
                shutil.copyfileobj(source, sink)
    return whole


def _start(request: BootRequest, initrd: Path) -> Vm:
    console_ours, console_theirs = socket.socketpair()
    qmp_ours, qmp_theirs = socket.socketpair()
    argv = build_argv(
        Machine(
            topology=request.topology,
            kernel=str(request.kernel),
            initrd=str(initrd),
            accel=request.accel,
            console_fd=console_theirs.fileno(),
            qmp_fd=qmp_theirs.fileno(),
            cmdline=request.cmdline,
        )
    )
    qemu_log = request.log_dir / f"{request.log_name}.qemu.log"
    with console_theirs, qmp_theirs, qemu_log.open("ab") as sink:
        process = proc.start(
            argv,
            stdout=sink,
            pass_fds=(console_theirs.fileno(), qmp_theirs.fileno()),
        )
    console = Console(console_ours, request.log_dir / f"{request.log_name}.console.log")
    try:
        qmp = Qmp(qmp_ours, request.log_dir / f"{request.log_name}.qmp.jsonl")
    except InfraError as err:
        status = proc.end(process)
        console.close()
        said = qemu_log.read_text(errors="replace").strip() or f"nothing, status {status}"
        raise InfraError(f"QEMU did not start; it said: {said}") from err
    return Vm(request=request, process=process, console=console, qmp=qmp)


def _await_ready(vm: Vm, request: BootRequest) -> BootFailure | None:
    timeout_s = request.topology.boot_timeout_s
    if vm.console.wait_for(lambda line: READY_LINE in line, since=0, timeout_s=timeout_s):
        return None
    if vm.console.is_closed:
        return _describe_failure(vm, reason="the guest ended during boot")
    return _describe_failure(vm, reason=f"no answer from the guest after {timeout_s:g} s")


def _connect(vm: Vm, keys: Keys) -> BootFailure | None:
    try:
        vm.connect(keys)
    except GuestLostError as err:
        return _describe_failure(vm, reason=str(err))
    return None


def _describe_failure(vm: Vm, *, reason: str) -> BootFailure:
    if vm.console.crashes():
        vm.settle()
    lines = vm.console.lines_since(0)
    crash = next(iter(vm.console.crashes()), None)
    if crash is None:
        last = next((line for line in reversed(lines) if line.strip()), "nothing at all")
        crash = Crash(
            title=f"no boot: {reason}; the console's last line: {last}",
            kind="no boot",
            frames=(),
            excerpt="\n".join(lines[-40:]),
        )
    return BootFailure(crash=crash, console=vm.console.log)
