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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from testbed.errors import CommandError, InfraError

_TAIL_LINES: Final = 40
_KILL_GRACE_S: Final = 5.0
_NOBODY: Final = 65534  # the user and the group (Debian Policy, 9.2.2)

# A testbed that dies between fork and prctl sends no signal: then the parent is another by now.
_UNLESS_ORPHANED: Final = 'test "$PPID" = "$0" && exec "$@"'


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
    groups: Sequence[int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``argv`` (argv[0] is looked up) in a group of its own.

    Call it from the main thread: PR_SET_PDEATHSIG fires when the *thread* that forked ends.
    ``env`` is added to the environment. With ``groups``, what root starts runs as nobody with no
    group but these. Raises :class:`InfraError` if a program is missing.
    """
    guard = [str(find_tool("setpriv")), "--pdeathsig", death_signal]
    if groups is not None and os.geteuid() == 0:
        guard += _give_up_root(groups)
    guard += ["--"]
    guard += [str(find_tool("sh")), "-c", _UNLESS_ORPHANED, str(os.getpid())]
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


def _give_up_root(groups: Sequence[int]) -> list[str]:
    """Return setpriv(1)'s options for a process that may do nothing but what anybody may."""
    kept = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    nobody = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}"]
    return [*nobody, *kept, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]


def end(process: subprocess.Popen[bytes], *, grace_s: float = _KILL_GRACE_S) -> int:
    """End the group of ``process``: SIGTERM, after ``grace_s`` seconds SIGKILL; its status.

    Without any grace it is killed at once.
    """
    stages = ((signal.SIGTERM, grace_s), (signal.SIGKILL, None))
    for sig, wait_s in stages if grace_s else stages[1:]:
        if process.poll() is None:
            _signal_group(process, sig)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
    _signal_group(process, signal.SIGKILL)
    return process.wait()


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input_text: str | None = None,
    timeout_s: float | None = None,
    check: bool = True,
) -> Completed:
    """Run ``argv`` to its end and return what it printed.

    Raises :class:`CommandError` on a non-zero status unless ``check`` is False,
    :class:`InfraError` when ``timeout_s`` passes.
    """
    began = time.monotonic()
    stdin = subprocess.DEVNULL if input_text is None else subprocess.PIPE
    process = start(
        argv, cwd=cwd, env=env, stdin=stdin, stdout=subprocess.PIPE, death_signal="TERM"
    )
    with _ended(process):
        try:
            raw, _ = process.communicate(
                None if input_text is None else input_text.encode(), timeout=timeout_s
            )
        except subprocess.TimeoutExpired as err:
            raise InfraError(f"no end after {timeout_s:g} s: {' '.join(argv)}") from err
    output = raw.decode(errors="replace")
    if check and process.returncode != 0:
        raise CommandError(argv, process.returncode, "\n".join(output.splitlines()[-_TAIL_LINES:]))
    return Completed(
        argv=tuple(argv),
        returncode=process.returncode,
        output=output,
        seconds=time.monotonic() - began,
    )


def run_on_terminal(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Run ``argv`` with the terminal as its own, Ctrl-C included; its status."""
    command = [str(find_tool(argv[0])), *argv[1:]]
    return subprocess.call(command, cwd=cwd, env={**os.environ, **(env or {})})


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
