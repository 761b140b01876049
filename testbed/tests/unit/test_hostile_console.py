"""A guest that prints without end, or to a full disk: the reader goes on, in bounded space."""

import re
import socket
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from testbed.host.console import Console
from testbed.host.console_log import ConsoleLog
from testbed.tests.unit.nasty import INVALID_UTF8

MIB = 1 << 20
PANIC = b"[    9.000000] Kernel panic - not syncing: sysrq triggered crash\r\n"


def read_all(log: Path, chunks: Iterable[bytes], *, limit_bytes: int = 64 * MIB) -> Console:
    """Return the console of a guest that said ``chunks`` and ended."""
    ours, guest = socket.socketpair()
    console = Console(ours, log, limit_bytes=limit_bytes)
    guest.settimeout(30)  # a reader that has stopped fails the test
    with guest:
        for chunk in chunks:
            guest.sendall(chunk)
    assert console.wait_closed(30)
    console.close()
    return console


def test_a_log_holds_the_beginning_and_the_end_of_a_flood(tmp_path: Path) -> None:
    chunks = [b"begin\n", *[b"x" * 63 + b"\n"] * (8 * MIB // 64), PANIC]
    console = read_all(tmp_path / "log", chunks, limit_bytes=MIB)
    kept = console.log.read_bytes()
    assert kept.startswith(b"begin\n")
    assert kept.endswith(PANIC)
    note = re.search(rb"\n\[testbed: (\d+) bytes dropped here\]\n", kept)
    assert note is not None
    assert len(kept) == MIB + len(note[0])
    assert int(note[1]) == sum(map(len, chunks)) - MIB
    assert console.log_gap == (
        f"{console.log}: {int(note[1])} bytes of the console are missing: "
        "no more than 1 MiB of a console are kept"
    )
    assert [crash.kind for crash in console.crashes()] == ["panic"]


@pytest.mark.parametrize("size", [0, 1, MIB // 2 - 1, MIB // 2, MIB // 2 + 1, MIB - 1, MIB])
def test_a_log_within_its_limit_is_whole(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    console = read_all(tmp_path / "log", [data[:size]] if size else [], limit_bytes=MIB)
    assert console.log.read_bytes() == data[:size]
    assert console.log_gap == ""


def test_a_full_disk_ends_neither_the_reading_nor_the_scanning() -> None:
    console = read_all(Path("/dev/full"), [b"some line\n" * 100_000, PANIC])
    assert console.mark() == 100_001
    assert [crash.kind for crash in console.crashes()] == ["panic"]
    assert console.log_gap == (
        f"/dev/full: {1_000_000 + len(PANIC)} bytes of the console are missing: "
        "No space left on device"
    )


def test_two_gigabytes_take_bounded_memory_and_hide_no_crash(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import resource, socket, sys
        from pathlib import Path
        from testbed.host.console import Console
        ours, guest = socket.socketpair()
        console = Console(ours, Path(sys.argv[1]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        block = bytes(range(32, 127)) * 11_000
        with guest:
            for _ in range((2 << 30) // len(block) + 1):
                guest.sendall(block)
            guest.sendall(b"\\n" + sys.argv[2].encode())
        assert console.wait_closed(120)
        console.close()
        (crash,) = console.crashes()
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(crash.kind, grown_kib < 64 << 10, Path(sys.argv[1]).stat().st_size < 65 << 20)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log"), PANIC.decode()],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout == "panic True True\n"


def test_a_folder_that_is_gone_ends_no_reading(tmp_path: Path) -> None:
    console = read_all(tmp_path / "gone" / "log", [PANIC])
    assert [crash.kind for crash in console.crashes()] == ["panic"]
    assert "No such file or directory" in console.log_gap


def test_a_disk_that_fills_up_in_mid_write_keeps_what_it_took(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import resource, socket, sys
        from pathlib import Path
        from testbed.host.console import Console
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_001, 1_000_001))
        ours, guest = socket.socketpair()
        console = Console(ours, Path(sys.argv[1]))
        with guest:
            guest.sendall(b"0123456789" * 300_000)
        assert console.wait_closed(30)
        console.close()
        print(console.log_gap)
    """)
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", script, str(log)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert log.read_bytes() == (b"0123456789" * 300_000)[:1_000_001]
    assert done.stdout == (f"{log}: 1999999 bytes of the console are missing: File too large\n")


def test_the_end_is_kept_where_a_disk_has_room_again(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "gone" / "log", limit_bytes=MIB)
    log.add(b"a" * MIB)
    log.add(b"b" * MIB)
    (tmp_path / "gone").mkdir()
    log.close()
    kept = log.path.read_bytes()
    assert kept == b"\n[testbed: %d bytes dropped here]\n" % (3 * MIB // 2) + b"b" * (MIB // 2)
    assert log.gap.startswith(f"{log.path}: {3 * MIB // 2} bytes of the console are missing")


def test_a_crash_behind_a_long_unfinished_line_is_found(tmp_path: Path) -> None:
    console = read_all(tmp_path / "log", [b"." * MIB, PANIC, b"." * 40_000, PANIC])
    assert [crash.kind for crash in console.crashes()] == ["panic"]
    lines = console.lines_since(0)
    assert [len(line) for line in lines] == [(1 << 14) - len("\r")] * 2
    assert all(line.endswith("sysrq triggered crash") for line in lines)
    assert all(" [...] [" not in line and " [...] " in line for line in lines)


def test_single_bytes_are_put_together(tmp_path: Path) -> None:
    said = b"\xf0\x9f\x92\xa9 \xff\r\n" + b"x" * 20_000 + b"\n" + PANIC
    console = read_all(tmp_path / "log", [said[i : i + 1] for i in range(len(said))])
    assert console.log.read_bytes() == said
    assert console.lines_since(0)[0] == "\U0001f4a9 \ufffd"
    assert len(console.crashes()) == 1


@pytest.mark.parametrize(
    "block",
    [
        b"\n" * 20_000,
        b"x" * MIB,
        ("\U0001f4a9" * 4000 + "\n").encode() * 64,
        b"\xf0\x9f\x92\xa9" + b"\xff" * 16_000 + b"\n",
        (INVALID_UTF8 + b"\n") * 10_000,
        b"\x1b[" * (MIB // 2),
        b"\x00" * MIB,
        PANIC * 1000,
        b"[    1.000000] WARNING: CPU: 0 PID: 1 at mm/a.c:1 f+0x1/0x2\n" * 1000,
    ],
    ids=["empty", "endless", "wide", "half wide", "no text", "escapes", "nul", "panic", "warn"],
)
def test_memory_is_bounded_whatever_comes(tmp_path: Path, block: bytes) -> None:
    tracemalloc.start()
    try:
        times = min(12 * MIB // len(block), 100_000 // (block.count(b"\n") + 1))
        read_all(tmp_path / "log", [block] * times)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * MIB


def test_waits_see_their_line_in_a_flood(tmp_path: Path) -> None:
    ours, guest = socket.socketpair()
    console = Console(ours, tmp_path / "log", limit_bytes=MIB)
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            guest.sendall(b"noise\n" * 1000)
        guest.sendall(b"wanted\n")

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        assert console.wait_for(lambda line: line == "noise", since=0, timeout_s=30)
        stop.set()
        assert console.wait_for(lambda line: line == "wanted", since=0, timeout_s=30)
    finally:
        stop.set()
        thread.join()
        guest.close()
        console.close()
