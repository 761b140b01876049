"""Processes: what they print, how they end, and that none outlives us."""

import os
import selectors
import signal
import sys
from pathlib import Path

import pytest

from testbed.errors import CommandError, InfraError
from testbed.host import proc


def test_output_has_both_streams_and_the_status() -> None:
    done = proc.run(["sh", "-c", "echo one; echo two >&2; exit 3"], check=False)
    assert (done.output, done.returncode) == ("one\ntwo\n", 3)


def test_a_failure_carries_command_status_and_tail() -> None:
    with pytest.raises(CommandError) as caught:
        proc.run(["sh", "-c", "seq 100; exit 4"])
    assert caught.value.returncode == 4
    assert caught.value.tail.splitlines()[-1] == "100"
    assert len(caught.value.tail.splitlines()) == 40
    assert "status 4: sh -c" in str(caught.value)


def test_a_missing_program_names_the_way_to_install_it() -> None:
    with pytest.raises(InfraError, match="no-such-program is not installed: `testbed doctor`"):
        proc.run(["no-such-program"])


def test_a_time_out_ends_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(InfraError, match=r"no end after 0\.5 s"):
        proc.run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout_s=0.5)
    assert_ends(int(pid_file.read_text()))


def test_a_deaf_process_is_killed_after_its_grace() -> None:
    process = proc.start(
        ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"], stdout=-1
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    assert proc.end(process, grace_s=0.2) == -signal.SIGKILL
    process.stdout.close()


def test_a_child_dies_with_the_testbed() -> None:
    script = (
        "import os, signal\n"
        "from testbed.host import proc\n"
        "print(proc.start(['sleep', '60']).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = proc.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert_ends(int(done.output))


def assert_ends(pid: int) -> None:
    """Fail if ``pid`` lives on for 10 s."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        ended = selector.select(timeout=10)
    os.close(fd)
    assert ended, f"process {pid} lives on"
