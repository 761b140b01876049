"""Commands that write into a build folder, and the lock that outlives the testbed with them.

A testbed that is killed leaves a make that is winding up. The descriptor of the folder's lock is
handed down to every process that may write there, so the lock is free when the last one is gone
(flock(2): it is held until all copies of the descriptor are closed).
"""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.build_log import find_first_error
from testbed.core.text import clean
from testbed.errors import InfraError
from testbed.host.proc import end, start

_TAIL_LINES: Final = 200
_GRACE_S: Final = 5.0
_MAX_KILLS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended; ``tail`` are its last lines."""

    returncode: int
    tail: tuple[str, ...]


class Holder:
    """Runs commands under the lock ``guard``. ``was_killed`` says that one had no time to tidy."""

    def __init__(self, guard: int) -> None:
        self._guard = guard
        self.was_killed = False

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        log: Path | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Outcome:
        """Run ``argv`` to its end; with ``log`` its output is appended there.

        Raises :class:`InfraError` where the machine failed and not what was run.
        """
        process = start(
            argv, cwd=cwd, stdout=subprocess.PIPE, pass_fds=[self._guard], death_signal="TERM"
        )
        try:
            tail = _read_output(process, log=log, on_line=on_line)
            returncode = process.wait()
        except BaseException:
            self.was_killed |= end(process) == -signal.SIGKILL
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
        self.was_killed |= returncode == -signal.SIGKILL
        if returncode != 0:
            _blame_host(tail)
        return Outcome(returncode=returncode, tail=tail)


@contextmanager
def hold_folder(folder: Path, *, say: Callable[[str], None]) -> Iterator[Holder]:
    """Hold ``folder`` against whatever a killed run may have left running."""
    fd = os.open(folder / "guard", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _try_lock(fd):
            _end_leftovers(folder / "guard", fd, say)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield Holder(fd)
    finally:
        os.close(fd)


def _end_leftovers(guard: Path, fd: int, say: Callable[[str], None]) -> None:
    """End what holds ``guard``: a testbed that lives would hold the folder's own lock, too.

    make ends by itself, in good order; what a Makefile started may never do. What is started while
    others are being ended is found the next time.
    """
    say(f"ending what a killed run left at work in {guard.parent}")
    for number in (signal.SIGTERM, *[signal.SIGKILL] * _MAX_KILLS):
        with ExitStack() as stack:
            pidfds = set()
            for pid in _find_holders(guard):
                with contextlib.suppress(ProcessLookupError):
                    pidfds.add(os.pidfd_open(pid))
                    say(f"  {pid} ({_name_process(pid)})")
            for pidfd in pidfds:
                stack.callback(os.close, pidfd)
                # What runs for another user is for that user to end: the lock is waited for.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(pidfd, number)
            _await_ends(pidfds, timeout_s=_GRACE_S)
        if _try_lock(fd):
            return


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _await_ends(pidfds: Collection[int], *, timeout_s: float) -> None:
    """Wait for processes to end, ``timeout_s`` seconds at most (pidfd_open(2))."""
    left, deadline = set(pidfds), time.monotonic() + timeout_s
    while left:
        ready, _, _ = select.select(left, [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return
        left.difference_update(ready)


def _find_holders(path: Path) -> Iterator[int]:
    """Yield the other processes that have ``path`` open, as far as this user may look."""
    wanted = path.stat()
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        if pid != os.getpid() and _has_open(process, wanted):
            yield pid


def _has_open(process: Path, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        for link in (process / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(link.stat(), wanted):
                    return True
    return False


def _name_process(pid: int) -> str:
    try:
        return clean(Path(f"/proc/{pid}/comm").read_text(errors="replace").strip())
    except OSError:
        return "ended"


def _read_output(
    process: subprocess.Popen[bytes], *, log: Path | None, on_line: Callable[[str], None] | None
) -> tuple[str, ...]:
    if process.stdout is None:
        raise ValueError("the process was started without a pipe")
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with (log or Path(os.devnull)).open("ab", buffering=0) as sink:
        for raw in process.stdout:
            sink.write(raw)
            line = raw.decode(errors="replace").rstrip("\n")
            tail.append(line)
            if on_line is not None:
                on_line(line)
    return tuple(tail)


def _blame_host(tail: Sequence[str]) -> None:
    error = find_first_error(tail)
    if error is not None and error.is_host_fault:
        raise InfraError(f"this machine, not the kernel, is at fault: {error}")
