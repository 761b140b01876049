"""Commands of a guest that prints too much or goes away: a paramiko server in the guest's place."""

import contextlib
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, MSG_CHANNEL_SUCCESS, OPEN_SUCCEEDED

from testbed.errors import GuestLostError
from testbed.host.guest import Guest
from testbed.host.guest_result import GuestCommandError, GuestOutputError, GuestTimeoutError
from testbed.host.keys import Keys, make_keys
from testbed.tests.unit.nasty import INVALID_UTF8

MIB = 1 << 20
Program = Callable[[paramiko.Channel], None]


class AnsweringTransport(paramiko.Transport):
    """Counts the requests that have been granted: no program may end before its client knows."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self.granted = threading.Semaphore(0)

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]  # the stubs leave it out
        if data.asbytes()[0] == MSG_CHANNEL_SUCCESS:
            self.granted.release()


class FakeGuest(paramiko.ServerInterface):
    """Lets everybody in and runs ``programs`` by their names."""

    def __init__(self, programs: dict[str, Program], key: paramiko.PKey) -> None:
        self.programs = programs
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.transport: AnsweringTransport | None = None
        self.threads: list[threading.Thread] = []
        self.key = key
        self._start(self._accept)

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - paramiko calls it
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002 - as above
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - as above
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._start(lambda: self._serve(channel, command.decode()))
        return True

    def close(self) -> None:
        self.listener.close()
        if self.transport is not None:
            self.transport.close()
        for thread in self.threads:
            thread.join(10)

    def drop(self) -> None:
        assert self.transport is not None
        self.transport.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            self.transport = AnsweringTransport(connection)
            self.transport.add_server_key(self.key)
            self.transport.start_server(server=self)

    def _serve(self, channel: paramiko.Channel, command: str) -> None:
        assert self.transport is not None
        assert self.transport.granted.acquire(timeout=10)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.programs[command](channel)
            channel.close()

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()


def say(data: bytes, *, times: int = 1, status: int = 0) -> Program:
    def program(channel: paramiko.Channel) -> None:
        for _ in range(times):
            channel.sendall(data)
        channel.send_exit_status(status)

    return program


def complain(channel: paramiko.Channel) -> None:
    while True:
        channel.sendall_stderr(b"e" * 30_000)


def wait_for_end(channel: paramiko.Channel) -> None:
    channel.recv(1)


@pytest.fixture
def programs() -> dict[str, Program]:
    return {}


@pytest.fixture
def fake(programs: dict[str, Program]) -> Iterator[FakeGuest]:
    server_key = paramiko.RSAKey.generate(2048)
    fake = FakeGuest(programs, server_key)
    yield fake
    fake.close()


@pytest.fixture
def slowness() -> int:
    return 1


@pytest.fixture
def guest(fake: FakeGuest, slowness: int) -> Iterator[Guest]:
    made = make_keys()
    keys = Keys(
        host_key=b"",
        host_public=fake.key,
        client=made.client,
        authorized=made.authorized,
    )
    guest = Guest(fake.port, keys, slowness=slowness)
    yield guest
    guest.close()


FLOODS = {
    "stdout": say(b"\x1b[2Jflood " * 3000, times=1_000_000),
    "stderr": complain,
    "no text": say(INVALID_UTF8 * 1000, times=1_000_000),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_command_that_prints_too_much_is_ended(
    guest: Guest, programs: dict[str, Program], flood: Program
) -> None:
    programs |= {"flood": flood, "next": say(b"fine\n")}
    with pytest.raises(GuestOutputError, match="more than 1048576 bytes from 'flood'") as caught:
        guest.run("flood", limit_bytes=MIB, timeout_s=60)
    assert len(str(caught.value)) < 5000
    assert "\x1b" not in str(caught.value)
    assert guest.run("next").stdout == "fine\n"


def test_memory_is_bounded_by_the_limit(guest: Guest, programs: dict[str, Program]) -> None:
    programs["flood"] = say(b"x" * 30_000, times=1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(GuestOutputError):
            guest.run("flood", limit_bytes=2 * MIB, timeout_s=60)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * MIB  # the server is in here too, and windows of 2 MiB


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB])
def test_output_within_the_limit_is_whole(
    guest: Guest, programs: dict[str, Program], size: int
) -> None:
    programs["say"] = say(b"x" * size, status=3)
    result = guest.run("say", limit_bytes=MIB, check=False)
    assert (result.stdout, result.status) == ("x" * size, 3)
    with pytest.raises(GuestCommandError):
        guest.run("say", limit_bytes=MIB)


def test_characters_that_come_in_pieces_are_whole(
    guest: Guest, programs: dict[str, Program]
) -> None:
    text = "x" + "é漢\U0001f4a9" * 60_000
    programs |= {"say": say(text.encode()), "wrong": say(INVALID_UTF8)}
    assert guest.run("say").stdout == text
    assert guest.run("wrong").stdout == INVALID_UTF8.decode(errors="replace")


def test_a_silent_command_times_out(guest: Guest, programs: dict[str, Program]) -> None:
    programs |= {"wait": wait_for_end, "next": say(b"fine\n")}
    with pytest.raises(GuestTimeoutError, match=r"no end of 'wait' after 0\.2 s"):
        guest.run("wait", timeout_s=0.2)
    assert guest.run("next").stdout == "fine\n"


@pytest.mark.parametrize("slowness", [4])
def test_a_slow_guest_has_as_many_times_as_long(guest: Guest, programs: dict[str, Program]) -> None:
    released = threading.Event()

    def idle(_channel: paramiko.Channel) -> None:
        released.wait(30)

    # The programs are told.
    told = "export TESTBED_SLOWNESS=4; "
    programs |= {f"{told}wait": wait_for_end, f"{told}idle": idle}
    with pytest.raises(GuestTimeoutError, match=r"after 0\.2 s"):
        guest.run("wait", timeout_s=0.05)
    with guest.start("idle") as tool:
        with pytest.raises(GuestTimeoutError, match=r"said nothing for 0\.2 s"):
            tool.read_line(timeout_s=0.05)
        with pytest.raises(GuestTimeoutError, match=r"took nothing for 0\.2 s"):
            tool.send(bytes(8 * MIB), timeout_s=0.05)
    with guest.start("idle") as tool, pytest.raises(GuestTimeoutError, match=r"within 0\.2 s"):
        tool.finish(timeout_s=0.05)
    released.set()


def test_a_guest_that_goes_away_is_lost(
    guest: Guest, fake: FakeGuest, programs: dict[str, Program]
) -> None:
    programs["leave"] = lambda _channel: fake.drop()
    with pytest.raises(GuestLostError):
        guest.run("leave", timeout_s=30)


@pytest.mark.parametrize("size", [1, 30_000])
def test_a_line_of_a_program_without_end_is_an_error(
    guest: Guest, programs: dict[str, Program], size: int
) -> None:
    programs["tool"] = say(b"\x9b" * size, times=2 * MIB // size if size > 1 else 3000)
    with guest.start("tool") as tool:
        if size == 1:  # many pieces, then the end
            with pytest.raises(GuestLostError, match="'tool' ended"):
                tool.read_line()
            return
        for _ in range(2):  # also when it is asked again
            with pytest.raises(GuestOutputError, match="a line of more than 1048576") as caught:
                tool.read_line()
            assert len(str(caught.value)) < 5000
            assert "\x9b" not in str(caught.value)


def test_a_program_is_given_all_that_it_is_to_read(
    guest: Guest, programs: dict[str, Program]
) -> None:
    data = bytes(range(256)) * (3 * MIB // 256)

    def compare(channel: paramiko.Channel) -> None:
        channel.send_exit_status(int(channel.makefile("rb").read() != data))

    programs["tool"] = compare
    with guest.start("tool") as tool:
        tool.send(data, timeout_s=30)
        assert tool.finish(timeout_s=30) == 0


def test_a_program_that_reads_nothing_is_not_waited_for(
    guest: Guest, programs: dict[str, Program]
) -> None:
    released = threading.Event()

    def idle(_channel: paramiko.Channel) -> None:
        released.wait(30)

    programs["tool"] = idle
    with guest.start("tool") as tool, pytest.raises(GuestTimeoutError, match="took nothing"):
        tool.send(bytes(8 * MIB), timeout_s=0.2)
    released.set()


def test_lines_are_cut_where_they_end(guest: Guest, programs: dict[str, Program]) -> None:
    lines = ["", "é" * 40_000, "x", json.dumps({"answer": 42})]
    data = "\n".join([*lines, ""]).encode()

    def dribble(channel: paramiko.Channel) -> None:
        for start in range(0, len(data), 977):
            channel.sendall(data[start : start + 977])

    programs["tool"] = dribble
    with guest.start("tool") as tool:
        assert [tool.read_line() for _ in range(3)] == lines[:3]
        assert tool.read_json() == {"answer": 42}


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b"1" * 10_000, b"[1]", INVALID_UTF8, b'{"a": ' * 50_000, b"\x1b[2J{}"],
    ids=["deep", "long number", "no object", "no text", "deep object", "escape"],
)
def test_what_is_no_json_object_is_a_failure(
    guest: Guest, programs: dict[str, Program], line: bytes
) -> None:
    programs["tool"] = say(line + b"\n")
    with guest.start("tool") as tool, pytest.raises(AssertionError, match="no JSON") as caught:
        tool.read_json()
    assert len(str(caught.value)) < 9000
    assert "\x1b" not in str(caught.value)
