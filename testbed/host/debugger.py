"""gdb on a running guest, drgn on the memory of one that crashed.

gdb gets into QEMU by a socket that the testbed makes, in a folder that only its user can enter
(0700), and hands to QEMU open: QEMU, which may run as nobody, needs no right to the folder, and no
other user of the host gets at the guest.
"""

import importlib.util
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from testbed.errors import InfraError
from testbed.host import proc
from testbed.host.qmp import Qmp

_ORC: Final = Path(__file__).with_name("gdb_orc.py")
_CHARDEV: Final = "gdb"
# Where the kernel goes when it has had enough, and when it complains (kernel/panic.c, 6.12).
STOPS: Final = ("panic", "__warn")


def build_gdb_argv(
    *, vmlinux: Path, stub: Path, break_at: Sequence[str] = (), args: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the command that runs the guest on to the first breakpoint, then takes ``args``.

    Breakpoints are hardware's, which also hold in a kernel that is not loaded yet.
    """
    commands = (
        "set confirm off",
        "set pagination off",
        f"source {_ORC}",
        f"target remote {stub}",
        *(f"hbreak {function}" for function in (*STOPS, *break_at)),
        "continue",
    )
    words = [word for command in commands for word in ("-ex", command)]
    # Options of the user's that change how gdb starts must stand before the commands.
    modes = [arg for arg in args if arg in {"--batch", "-batch", "-q", "-nx", "-nh", "-tui"}]
    rest = [arg for arg in args if arg not in modes]
    return ("gdb", "-q", *modes, str(vmlinux), *words, *rest)


def build_drgn_argv(
    drgn: Sequence[str],
    *,
    vmcore: Path,
    vmlinux: Path,
    vmcoreinfo: Path,
    args: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the command that opens ``vmcore``; nothing is looked for on the network."""
    files = ("-c", str(vmcore), "--vmcoreinfo", str(vmcoreinfo), "-s", str(vmlinux))
    return (*drgn, *files, "--no-default-symbols", *args)


def find_gdb() -> None:
    """Raise :class:`InfraError` with the way to install gdb where it is missing."""
    try:
        proc.find_tool("gdb")
    except InfraError as err:
        raise InfraError("gdb is not installed: `apt-get install gdb` does it") from err


def find_drgn() -> tuple[str, ...]:
    """Return the start of drgn's command: beside the testbed, or on the PATH.

    Raises :class:`InfraError` with the way to install it.
    """
    if importlib.util.find_spec("drgn") is not None:
        return (sys.executable, "-m", "drgn")
    try:
        return (str(proc.find_tool("drgn")),)
    except InfraError as err:
        raise InfraError(
            f"drgn is not installed: `{sys.executable} -m pip install drgn` does it"
        ) from err


@contextmanager
def serve_gdb(qmp: Qmp) -> Iterator[Path]:
    """Open QEMU's gdb stub (``gdbserver`` of its monitor, QEMU 7.2); give the socket's path.

    The guest stops when gdb comes.
    """
    with tempfile.TemporaryDirectory(prefix="testbed-gdb-") as folder:
        path = Path(folder) / "stub"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen(1)
            qmp.send_fd(listening.fileno(), _CHARDEV)
        address = {"type": "fd", "data": {"str": _CHARDEV}}
        backend = {"addr": address, "server": True, "wait": False}
        qmp.execute("chardev-add", id=_CHARDEV, backend={"type": "socket", "data": backend})
        said = qmp.execute("human-monitor-command", command_line=f"gdbserver chardev:{_CHARDEV}")
        if "Waiting for gdb connection" not in str(said):
            raise InfraError(f"QEMU opened no gdb stub: {said}")
        yield path


def run_debugger(argv: Sequence[str], *, cwd: Path | None = None) -> int:
    """Give the terminal to a debugger, Ctrl-C included; its status."""

    def leave_to_debugger(_number: int, _frame: FrameType | None) -> None:
        """Take the signal: a handler, unlike SIG_IGN, is not inherited."""

    before = signal.signal(signal.SIGINT, leave_to_debugger)
    try:
        return proc.run_on_terminal(argv, cwd=cwd)
    finally:
        signal.signal(signal.SIGINT, before)
