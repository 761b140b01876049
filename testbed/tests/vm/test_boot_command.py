"""`testbed boot` on a terminal of its own, typed into as a user would."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.host.builder import Kernel

DEADLINE_S = 90
BUILD_DEADLINE_S = 600  # the guest image may have to be made first


def read_until(fd: int, wanted: bytes, *, within_s: float = DEADLINE_S) -> bytes:
    """Return what comes up to ``wanted``; fail when it does not come."""
    said = b""
    deadline = time.monotonic() + within_s
    while wanted not in said:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{wanted!r} did not come: {said!r}"
        said += os.read(fd, 1 << 16)
    return said


@contextmanager
def boot_on_a_terminal(
    kernel: Kernel, folder: Path
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Give the terminal of a `testbed boot`, whose shell is there, and the process."""
    ours, theirs = pty.openpty()
    argv = ["setsid", "--ctty", "--wait", sys.executable, "-m", "testbed", "boot"]
    argv += ["-t", "three-nodes-hotplug", "--kernel", str(kernel.image)]
    with (
        subprocess.Popen(argv, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs) as process,
        # Closed on the way out, also of a failure: a shell whose terminal hangs up ends.
        os.fdopen(ours, "rb", buffering=0),
    ):
        os.close(theirs)
        read_until(ours, b"root shell in the guest", within_s=BUILD_DEADLINE_S)
        read_until(ours, b"# ")
        yield ours, process


def test_a_shell_in_the_guest_on_the_terminal(kernel: Kernel, tmp_path: Path) -> None:
    with boot_on_a_terminal(kernel, tmp_path) as (terminal, process):
        os.write(terminal, b"echo nodes $(cat /sys/devices/system/node/has_memory) end\n")
        read_until(terminal, b"nodes 0-2 end")
        os.write(terminal, b"exit 7\n")
        assert process.wait(DEADLINE_S) == 7


def test_a_terminal_that_hangs_up_ends_the_guest(kernel: Kernel, tmp_path: Path) -> None:
    with boot_on_a_terminal(kernel, tmp_path) as (_, process):
        pass
    assert process.returncode == 128 + signal.SIGHUP


def test_sigterm_ends_the_guest_whose_shell_is_open(kernel: Kernel, tmp_path: Path) -> None:
    with boot_on_a_terminal(kernel, tmp_path) as (_, process):
        process.terminate()
        assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM
