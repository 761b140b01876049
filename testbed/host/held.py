"""Commands that write into a build folder, and the lock that outlives the testbed with them.

A testbed that is killed leaves a make that is winding up. The descriptor of the folder's lock is
handed down to every process that may write there, so the lock is free when the last one is gone
(flock(2): it is held until all copies of the descriptor are closed).
"""

import fcntl
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.build_log import find_first_error
from testbed.errors import InfraError
from testbed.host.proc import end, start

_TAIL_LINES: Final = 200


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
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for the compilers that a killed run left in {folder}")
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield Holder(fd)
    finally:
        os.close(fd)


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
