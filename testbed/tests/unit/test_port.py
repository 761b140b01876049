"""The command port with a real shell at its other end."""

import signal
import socket
import subprocess
import tracemalloc
from collections.abc import Iterator

import pytest

from testbed.errors import GuestLostError
from testbed.host.guest_result import GuestOutputError, GuestTimeoutError
from testbed.host.port import READY, Port

WAIT_S = 20.0


class Shell:
    """What the guest's init runs on its end of the port."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                ["/bin/sh"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=theirs.fileno(),
                start_new_session=True,
            )
        self.port = Port(ours)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.port.close()


@pytest.fixture
def shell() -> Iterator[Shell]:
    running = Shell()
    yield running
    running.end()


def test_output_and_status_come_back_as_they_were(shell: Shell) -> None:
    done = shell.port.run("echo out; echo err >&2; exit 3", timeout_s=WAIT_S)
    assert done.output == b"out\nerr\n"
    assert done.status == 3


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("true", b""),
        ("printf abc", b"abc"),
        ("printf '\\n\\n'", b"\n\n"),
        (r"printf '\000\377\033[2J\r'", b"\0\xff\x1b[2J\r"),
        ('echo "it\'s" \'a "quote"\'', b'it\'s a "quote"\n'),
        ("echo one\necho two", b"one\ntwo\n"),
        ("cat", b""),
        ("echo $((6 * 7))", b"42\n"),
    ],
)
def test_bytes_are_kept(shell: Shell, command: str, output: bytes) -> None:
    assert shell.port.run(command, timeout_s=WAIT_S).output == output


def test_a_command_leaves_the_shell_as_it_was(shell: Shell) -> None:
    shell.port.run("cd /; exec 3>&-; set -e; false; exit 9", timeout_s=WAIT_S)
    shell.port.run("if", timeout_s=WAIT_S)  # a syntax error
    assert shell.port.run("echo still here", timeout_s=WAIT_S).output == b"still here\n"


def test_a_mark_across_chunks_and_a_false_one_are_told_apart(shell: Shell) -> None:
    command = "i=0; while [ $i -lt 3000 ]; do printf 'end-%032x 000\\n' $i; i=$((i+1)); done"
    done = shell.port.run(command, timeout_s=WAIT_S)
    assert len(done.output.splitlines()) == 3000


def test_a_command_past_its_deadline_is_told(shell: Shell) -> None:
    with pytest.raises(GuestTimeoutError, match="no end of 'sleep 60' in time"):
        shell.port.run("sleep 60", timeout_s=0.2)


def test_output_without_end_takes_bounded_memory(shell: Shell) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(GuestOutputError, match="more than 4194304 bytes from 'yes'"):
            shell.port.run("yes", timeout_s=WAIT_S, limit_bytes=4 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_a_guest_that_ends_is_told(shell: Shell) -> None:
    with pytest.raises(GuestLostError, match="went away during"):
        shell.port.run(f"kill -{signal.SIGKILL} $$", timeout_s=WAIT_S)
    with pytest.raises(GuestLostError):
        shell.port.run("true", timeout_s=WAIT_S)


def test_a_status_that_is_none_is_the_guests_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        port = Port(ours)
        theirs.sendall(b"\nend-0 000\n")
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(GuestLostError):
            port.run("true", timeout_s=WAIT_S)
        port.close()


def test_a_secret_is_not_shown(shell: Shell) -> None:
    with pytest.raises(GuestTimeoutError) as caught:
        shell.port.run("sleep 60 # hush", timeout_s=0.2, shown="a nap")
    assert "hush" not in str(caught.value)
    assert "a nap" in str(caught.value)


def test_a_guest_is_ready_when_it_says_so() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        port = Port(ours)
        theirs.sendall(b"noise" + READY[:5])
        theirs.sendall(READY[5:])
        port.wait_ready(WAIT_S)
        theirs.close()
        with pytest.raises(GuestLostError):
            port.wait_ready(WAIT_S)
        port.close()
