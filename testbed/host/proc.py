"""Processes: the only module that starts any.

Every child leads a process group of its own, so that Ctrl-C reaches the testbed alone and the
testbed ends its children in order; and every child asks the kernel for a signal at the death of
the testbed (prctl(2), PR_SET_PDEATHSIG), so that even ``kill -9`` leaves none behind.
"""

import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from testbed.errors import CommandError, InfraError

_TAIL_LINES: Final = 40
_KILL_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A command that ended; ``output`` is stdout with stderr merged into it."""

    argv: tuple[str, ...]
    returncode: int
    output: str
    seconds: float


def find_tool(name: str) -> Path:
    """Return the path of the program ``name``, looking in the sbin folders too.

    Raises :class:`InfraError` with the way to install what is missing.
    """
    path = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    )
    if path is None:
        raise InfraError(
            f"{name} is not installed: `testbed doctor` names the command that installs it"
        )
    return Path(path)


def start(  # noqa: PLR0913 - the keywords are subprocess.Popen's
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.STDOUT,
    pass_fds: Sequence[int] = (),
    death_signal: str = "KILL",
) -> subprocess.Popen[bytes]:
    """Start ``argv`` (argv[0] is looked up) in a group of its own.

    Call it from the main thread: PR_SET_PDEATHSIG fires when the *thread* that forked ends.
    ``env`` is added to the environment. Raises :class:`InfraError` if a program is missing.
    """
    guard = [str(find_tool("setpriv")), "--pdeathsig", death_signal, "--"]
    return subprocess.Popen(
        [*guard, str(find_tool(argv[0])), *argv[1:]],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], *, grace_s: float = _KILL_GRACE_S) -> int:
    """End the group of ``process``: SIGTERM, after ``grace_s`` seconds SIGKILL; its status."""
    for sig, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, None)):
        if process.poll() is None:
            _signal_group(process, sig)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
    _signal_group(process, signal.SIGKILL)
    return process.wait()


def run(  # noqa: PLR0913 - the keywords are subprocess.run's, plus the two that logs need
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input_text: str | None = None,
    timeout_s: float | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
) -> Completed:
    """Run ``argv`` to its end and return what it printed.

    With ``log`` the output goes to that file (appended) and only its tail is kept in memory;
    ``on_line`` is called with each line as it comes. Raises :class:`CommandError` on a non-zero
    status unless ``check`` is False, :class:`InfraError` when ``timeout_s`` passes.
    """
    began = time.monotonic()
    stdin = subprocess.DEVNULL if input_text is None else subprocess.PIPE
    process = start(
        argv, cwd=cwd, env=env, stdin=stdin, stdout=subprocess.PIPE, death_signal="TERM"
    )
    with _ended(process):
        output = _collect(
            process, input_text=input_text, timeout_s=timeout_s, log=log, on_line=on_line
        )
        returncode = process.wait()
    if check and returncode != 0:
        raise CommandError(argv, returncode, "\n".join(output.splitlines()[-_TAIL_LINES:]))
    return Completed(
        argv=tuple(argv),
        returncode=returncode,
        output=output,
        seconds=time.monotonic() - began,
    )


def run_on_terminal(argv: Sequence[str]) -> int:
    """Run ``argv`` with the terminal as its own, Ctrl-C included; its status."""
    return subprocess.call([str(find_tool(argv[0])), *argv[1:]])


def _collect(
    process: subprocess.Popen[bytes],
    *,
    input_text: str | None,
    timeout_s: float | None,
    log: Path | None,
    on_line: Callable[[str], None] | None,
) -> str:
    if log is None and on_line is None:
        data = None if input_text is None else input_text.encode()
        try:
            out, _ = process.communicate(data, timeout=timeout_s)
        except subprocess.TimeoutExpired as err:
            raise InfraError(
                f"no end after {timeout_s:g} s: {' '.join(map(str, process.args))}"
            ) from err  # type: ignore[union-attr]
        return out.decode(errors="replace")
    return _stream(process, log=log, on_line=on_line)


def _stream(
    process: subprocess.Popen[bytes], *, log: Path | None, on_line: Callable[[str], None] | None
) -> str:
    if process.stdout is None:
        raise ValueError("the process was started without a pipe")
    tail: deque[str] = deque(maxlen=4 * _TAIL_LINES)
    with log.open("ab") if log else open(os.devnull, "wb") as sink:  # noqa: PTH123 - no Path of it
        for raw in process.stdout:
            sink.write(raw)
            line = raw.decode(errors="replace").rstrip("\n")
            tail.append(line)
            if on_line is not None:
                on_line(line)
    return "\n".join(tail)


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _signal_group(process: subprocess.Popen[bytes], sig: signal.Signals) -> None:
    try:
        os.killpg(process.pid, sig)
    except ProcessLookupError:
        return
