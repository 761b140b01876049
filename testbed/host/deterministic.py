"""Runs that are the same each time, bit for bit: a guest with its commands, from power-on to off.

The commands come with the initramfs; what they print, and the console, go to files that are read
when QEMU has ended. Meanwhile nothing is said to the guest. It has a time-out of the host's clock,
which is for hangs alone: whether a run ends by it is the one thing that the host's load decides.
"""

import contextlib
import os
import re
import shlex
import signal
import socket
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import Final

from testbed.core.deterministic_argv import (
    DeterministicMachine,
    build_deterministic_argv,
    find_obstacle,
)
from testbed.core.topology import Topology
from testbed.errors import InfraError, UserError
from testbed.host import cpio, memfile, proc
from testbed.host.bequest import Bequest
from testbed.host.qmp import Qmp

# In guest_init.sh:
_SCRIPT: Final = "run-at-boot"
BEGIN_WORDS: Final = "testbed: the commands begin"  # on the console and before the output
_BEGIN: Final = BEGIN_WORDS.encode() + b"\n"
_END: Final = re.compile(rb"\ntestbed: the commands ended with status (\d{1,3})\n")

_COMMANDS: Final = "commands-at-boot"
_LIMIT_BYTES: Final = 64 << 20  # of each file that QEMU writes
_LAST_WORDS_S: Final = 10.0  # for the panic that the NMI of a hung guest ends in


class Ending(StrEnum):
    """How a run ended."""

    FINISHED = "finished"  # the commands ended: there is a status
    GUEST_ENDED = "guest ended"  # the guest was reset or powered off before: see its console
    TIMED_OUT = "timed out"
    OVERFLOWED = "overflowed"  # it printed more than is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class AloneRequest:
    """What to run; ``commands`` are a shell script, files go to ``log_dir`` as ``log_name``.*.

    ``seed`` decides the guest's random numbers and, unless it is 0, when its threads are
    preempted; then a guest that only sleeps takes the host time too. ``timeout_s`` is in seconds
    of the host's clock, None for no limit. With ``gdb``, the path of a socket that is made, the
    guest waits there for a debugger before it boots; the folder is to be the caller's alone (0700).
    The run is then the same up to where the debugger first stops it: QEMU's virtual CPUs take
    their turns anew after a stop.
    """

    kernel: Path
    initrd: Path
    topology: Topology
    commands: str
    log_dir: Path
    log_name: str = "vm"
    seed: int = 0
    timeout_s: float | None = 120.0
    cmdline: tuple[str, ...] = ()
    gdb: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AloneOutcome:
    """What a run left behind.

    ``output`` is what the commands printed, stdout and stderr as they came, ``status`` their exit
    status, None where they did not end. ``has_begun`` says that the guest booted as far as to them.
    The first ``unasked_bytes`` of the console are the guest's own; what follows, if anything, is
    the answer to an NMI at its time-out.
    """

    ending: Ending
    has_begun: bool
    status: int | None
    output: bytes
    console: bytes
    unasked_bytes: int
    console_log: Path

    @property
    def has_finished(self) -> bool:
        """Whether the commands came to their end."""
        return self.ending is Ending.FINISHED


class AloneRun:
    """A run on its way. :meth:`close` ends it; so does the death of the testbed."""

    def __init__(self, process: Popen[bytes], qmp: Qmp, request: AloneRequest) -> None:
        self._process = process
        self._qmp = qmp
        self._request = request

    @property
    def pid(self) -> int:
        """QEMU's process id."""
        return self._process.pid

    def wait(self) -> AloneOutcome:
        """Wait for the end, at most the request's ``timeout_s``; a guest that hangs is ended.

        Raises :class:`InfraError` when it was QEMU that failed.
        """
        try:
            status = self._process.wait(self._request.timeout_s)
        except TimeoutExpired:
            unasked_bytes = _log(self._request, "console.log").stat().st_size
            self._question()
            return _read_outcome(self._request, Ending.TIMED_OUT, unasked_bytes=unasked_bytes)
        if status == -signal.SIGXFSZ:
            return _read_outcome(self._request, Ending.OVERFLOWED)
        if status != 0:
            said = _log(self._request, "qemu.log").read_text(errors="replace").strip()
            raise InfraError(f"QEMU ended with status {status}; it said: {said or 'nothing'}")
        return _read_outcome(self._request, Ending.GUEST_ENDED)

    def close(self) -> None:
        """End QEMU; a log that holds nothing is removed."""
        proc.end(self._process, grace_s=0.0)
        self._qmp.close()
        if self._request.gdb is not None:
            self._request.gdb.unlink(missing_ok=True)
        for log in (_log(self._request, "qemu.log"), self._qmp.log):
            with contextlib.suppress(FileNotFoundError):
                if not log.stat().st_size:
                    log.unlink()

    def _question(self) -> None:
        """Make a hung guest say where it is: it panics at an NMI (``unknown_nmi_panic``)."""
        with contextlib.suppress(InfraError):  # QEMU ends at this very moment
            self._qmp.execute("inject-nmi")
        with contextlib.suppress(TimeoutExpired):
            self._process.wait(_LAST_WORDS_S)
        proc.end(self._process, grace_s=0.0)


def run_alone(request: AloneRequest) -> AloneOutcome:
    """Run ``request`` to its end. Raises what :func:`start_alone` and :meth:`AloneRun.wait` do."""
    run = start_alone(request)
    try:
        return run.wait()
    finally:
        run.close()


def start_alone(request: AloneRequest) -> AloneRun:
    """Start a run. Call it from the main thread.

    Raises :class:`UserError` for a topology on which runs differ, :class:`InfraError` with QEMU's
    words when it does not start.
    """
    if obstacle := find_obstacle(request.topology):
        raise UserError(f"mode deterministic: {obstacle}")
    request.log_dir.mkdir(parents=True, exist_ok=True)
    _log(request, "qmp.jsonl").unlink(missing_ok=True)  # the others are written anew
    with ExitStack() as ours, Bequest() as theirs:
        qmp, qmp_fd = theirs.give_socket(ours)
        argv = build_deterministic_argv(
            DeterministicMachine(
                topology=request.topology,
                kernel=f"/dev/fd/{theirs.give(memfile.load(request.kernel))}",
                initrd=f"/dev/fd/{theirs.give(_load_initrd(request))}",
                seed=request.seed,
                console_fd=theirs.give(_create(_log(request, "console.log"))),
                port_fd=theirs.give(_create(_log(request, "output"))),
                qmp_fd=qmp_fd,
                gdb_fd=theirs.give(_listen(request.gdb)) if request.gdb else None,
                cmdline=request.cmdline,
            )
        )
        with _log(request, "qemu.log").open("wb") as sink:
            process = proc.start(_limit(argv), stdout=sink, pass_fds=theirs.fds, groups=())
        ours.pop_all()
    return AloneRun(process, _connect(process, qmp, request), request)


def write_script(commands: str, *, seed: int) -> dict[str, str]:
    """Return the files, by name, that make a guest run ``commands`` when it has booted."""
    if not seed:
        return {_SCRIPT: commands}
    jitter = shlex.join(["exec", "/tools/jitter", str(seed), "sh", f"/{_COMMANDS}"])
    return {_SCRIPT: f"{jitter}\n", _COMMANDS: commands}


def _load_initrd(request: AloneRequest) -> int:
    """Return a descriptor of the initramfs with the commands in it."""
    with tempfile.TemporaryDirectory(prefix="testbed-") as name:
        staged, whole = Path(name, "staged"), Path(name, "initrd")
        staged.mkdir()
        for file, text in write_script(request.commands, seed=request.seed).items():
            (staged / file).write_text(text, encoding="utf-8")
            (staged / file).chmod(0o644)
        staged.chmod(0o755)  # it becomes the guest's root folder
        cpio.pack(staged, Path(name, "added"))
        cpio.join((request.initrd, Path(name, "added")), whole)
        return memfile.load(whole)


def _limit(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Bound what QEMU writes: past that it gets SIGXFSZ (setrlimit(2)), and dumps no core."""
    qemu = str(proc.find_tool(argv[0]))
    return ("prlimit", f"--fsize={_LIMIT_BYTES}", "--core=0", "--", qemu, *argv[1:])


def _connect(process: Popen[bytes], qmp: socket.socket, request: AloneRequest) -> Qmp:
    try:
        return Qmp(qmp, _log(request, "qmp.jsonl"))
    except InfraError as err:
        status = proc.end(process)
        qmp.close()
        said = _log(request, "qemu.log").read_text(errors="replace").strip()
        raise InfraError(
            f"QEMU did not start; it said: {said or f'nothing, status {status}'}"
        ) from err


def _read_outcome(
    request: AloneRequest, ending: Ending, *, unasked_bytes: int | None = None
) -> AloneOutcome:
    """Read what was printed; ``ending`` is how the run ended unless the commands did."""
    console_log = _log(request, "console.log")
    console = console_log.read_bytes()
    printed = _log(request, "output").read_bytes()
    _, begin, said = printed.partition(_BEGIN)
    ends = list(_END.finditer(said))
    return AloneOutcome(
        ending=Ending.FINISHED if ends and ending is Ending.GUEST_ENDED else ending,
        has_begun=bool(begin),
        status=int(ends[-1][1]) if ends else None,
        output=said[: ends[-1].start()] if ends else said,
        console=console,
        unasked_bytes=len(console) if unasked_bytes is None else unasked_bytes,
        console_log=console_log,
    )


def _log(request: AloneRequest, kind: str) -> Path:
    return request.log_dir / f"{request.log_name}.{kind}"


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)


def _listen(path: Path) -> int:
    """Listen for QEMU, which may make no socket in a folder that is the user's alone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(str(path))
        except OSError as err:
            raise UserError(f"no socket for gdb at {path}: {err}") from err
        listener.listen(1)
        return listener.detach()
