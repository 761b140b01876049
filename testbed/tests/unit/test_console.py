"""The console reader, with a socket in QEMU's place."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.host.console import Console


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Console, socket.socket]]:
    ours, theirs = socket.socketpair()
    console = Console(ours, tmp_path / "console.log")
    yield console, theirs
    theirs.close()
    console.close()


def test_every_byte_is_kept_and_lines_are_decoded(ends: tuple[Console, socket.socket]) -> None:
    console, guest = ends
    guest.sendall(b"one\r\ntw")
    guest.sendall(b"o\xff\n\x1b[31mlast")
    guest.close()
    assert console.wait_closed(10)
    assert console.lines_since(0) == ("one", "two\ufffd", "\x1b[31mlast")
    assert console.log.read_bytes() == b"one\r\ntwo\xff\n\x1b[31mlast"


def test_a_wanted_line_ends_the_wait(ends: tuple[Console, socket.socket]) -> None:
    console, guest = ends
    guest.sendall(b"first\n")
    assert console.wait_for(lambda line: line == "first", since=0, timeout_s=10)
    mark = console.mark()
    assert not console.wait_for(lambda line: line == "first", since=mark, timeout_s=0.05)
    guest.sendall(b"second\n")
    assert console.wait_for(lambda line: line == "second", since=mark, timeout_s=10)


def test_the_end_of_qemu_ends_the_wait(ends: tuple[Console, socket.socket]) -> None:
    console, guest = ends
    guest.close()
    assert not console.wait_for(lambda _line: True, since=0, timeout_s=60)
    assert console.is_closed


def test_a_line_without_end_does_not_fill_our_memory(ends: tuple[Console, socket.socket]) -> None:
    console, guest = ends
    for _ in range(64):
        guest.sendall(b"x" * (1 << 16))
    guest.sendall(b"\nafter\n")
    guest.close()
    assert console.wait_closed(10)
    long, after = console.lines_since(0)
    assert len(long) == 1 << 14
    assert after == "after"
    assert console.log.stat().st_size == 64 * (1 << 16) + 7


def test_only_the_newest_lines_stay_in_memory(ends: tuple[Console, socket.socket]) -> None:
    console, guest = ends
    for number in range(20_000):
        guest.sendall(b"%d\n" % number)
    guest.close()
    assert console.wait_closed(10)
    assert console.mark() == 20_000
    kept = console.lines_since(0)
    assert len(kept) <= 8_000
    assert kept[-1] == "19999"
    assert console.lines_since(19_998) == ("19998", "19999")


def test_a_panic_is_found(ends: tuple[Console, socket.socket]) -> None:
    console, guest = ends
    guest.sendall(b"[    1.000000] Kernel panic - not syncing: sysrq triggered crash\n")
    guest.close()
    assert console.wait_closed(10)
    assert [crash.kind for crash in console.crashes()] == ["panic"]
