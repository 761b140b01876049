"""Deterministic runs of a real kernel: the same bits each time, whatever else the host does."""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.core.crash import CrashScanner
from testbed.core.ktap import judge_case, parse_ktap
from testbed.core.result import Crash, Verdict
from testbed.core.text import split_lines
from testbed.host import catalog, proc
from testbed.host.builder import Kernel
from testbed.host.deterministic import (
    AloneOutcome,
    AloneRequest,
    Ending,
    run_alone,
    start_alone,
)
from testbed.host.guest_image import GuestImage

Request = Callable[..., AloneRequest]

# Two writers race for the lines of one file, over many of the guest's time slices; then a case
# that measures a time; then all that tells of clocks, random numbers and interrupts.
LINES_EACH = 1000
COMMANDS = f"""
write() {{ for i in $(seq {LINES_EACH}); do echo $1; done; }}
write a >>/tmp/file & write b >>/tmp/file & wait
echo "race: $(tr -d '\\n' </tmp/file)"
/tests/migrate/move_pages -r move_pages.many; status=$?
date; cat /proc/uptime; head -c 16 /dev/urandom | hexdump; cat /proc/interrupts /proc/vmstat
exit $status
"""
SEED = 1


@pytest.fixture(scope="module")
def request_of(
    kernel: Kernel, image: GuestImage, tmp_path_factory: pytest.TempPathFactory
) -> Request:
    """A request for a run in a folder of its own, with the given changes."""

    def make(**changes: Any) -> AloneRequest:  # noqa: ANN401 - fields of AloneRequest
        fields: dict[str, Any] = {
            "kernel": kernel.image,
            "initrd": image.initrd,
            "topology": catalog.load_topology("two-nodes"),
            "commands": COMMANDS,
            "seed": SEED,
            "log_dir": tmp_path_factory.mktemp("alone"),
        }
        return AloneRequest(**{**fields, **changes})

    return make


@pytest.fixture(scope="module")
def first(request_of: Request) -> AloneOutcome:
    """A run that the others are held against."""
    return run_alone(request_of())


@contextmanager
def loaded_host() -> Iterator[None]:
    """Keep a process for each CPU of the host at work."""
    hogs = [proc.start([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for hog in hogs:
            proc.end(hog, grace_s=0.0)


def find_race(outcome: AloneOutcome) -> str:
    (line,) = [line for line in split_lines(outcome.output) if line.startswith("race: ")]
    return line.removeprefix("race: ")


def find_crashes(outcome: AloneOutcome) -> tuple[Crash, ...]:
    scanner = CrashScanner()
    for line in split_lines(outcome.console):
        scanner.feed(line)
    scanner.finish()
    return scanner.crashes


def assert_same(outcome: AloneOutcome, other: AloneOutcome) -> None:
    assert outcome.output == other.output
    assert outcome.console == other.console
    assert (outcome.ending, outcome.status) == (other.ending, other.status)


def test_a_case_passes_and_its_writers_raced(first: AloneOutcome) -> None:
    assert (first.ending, first.has_begun, first.status) == (Ending.FINISHED, True, 0)
    run = parse_ktap(split_lines(first.output))
    assert judge_case(run, "move_pages.many", exit_status=0)[0] is Verdict.PASSED
    assert [metric.name for case in run.cases for metric in case.metrics] == ["move_pages"]
    assert sorted(find_race(first)) == ["a"] * LINES_EACH + ["b"] * LINES_EACH
    assert b"] Run /init as init process" in first.console
    assert b"tsc: Marking TSC unstable" not in first.console
    assert find_crashes(first) == ()


def test_on_a_loaded_host_the_same_seed_gives_the_same_bits(
    first: AloneOutcome, request_of: Request
) -> None:
    with loaded_host():
        assert_same(run_alone(request_of()), first)


def test_each_seed_interleaves_the_threads_in_a_way_of_its_own(
    first: AloneOutcome, request_of: Request
) -> None:
    others = [run_alone(request_of(seed=SEED + more)) for more in (1, 2)]
    assert [other.status for other in others] == [0, 0]
    races = [find_race(outcome) for outcome in (first, *others)]
    assert {tuple(sorted(race)) for race in races} == {tuple(sorted(races[0]))}
    assert len(set(races)) == 3


def test_a_debugger_holds_the_guest_before_it_boots_and_changes_nothing(
    first: AloneOutcome, request_of: Request
) -> None:
    # A path of a socket has at most 107 bytes (unix(7)), and pytest's folders are deep.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as debugger:
        request = request_of(gdb=Path(folder, "gdb"))
        run = start_alone(request)
        try:
            debugger.settimeout(30)
            debugger.connect(str(request.gdb))
            # GDB's remote protocol: why did it stop? a trap (T05); go on (its manual, E.2).
            debugger.sendall(b"$?#3f")
            with debugger.makefile("rb") as replies:
                assert replies.read(5) == b"+$T05"
            assert Path(request.log_dir, "vm.console.log").read_bytes() == b""
            debugger.sendall(b"+$c#63")
            assert_same(run.wait(), first)
        finally:
            run.close()
        assert list(Path(folder).iterdir()) == []


def test_a_crash_ends_the_run_and_is_on_the_console(request_of: Request) -> None:
    outcome = run_alone(
        request_of(commands="echo before; echo c >/proc/sysrq-trigger; echo after", seed=0)
    )
    assert (outcome.ending, outcome.has_begun) == (Ending.GUEST_ENDED, True)
    assert (outcome.status, outcome.output) == (None, b"before\n")
    assert [crash.title for crash in find_crashes(outcome)] == [
        "Kernel panic: sysrq triggered crash"
    ]


def test_a_hang_is_ended_in_time_and_says_where_it_is(request_of: Request) -> None:
    request = request_of(commands="while :; do :; done", seed=0, timeout_s=8.0)
    began = time.monotonic()
    outcome = run_alone(request)
    assert time.monotonic() - began < 30
    assert (outcome.ending, outcome.status) == (Ending.TIMED_OUT, None)
    assert "NMI" in find_crashes(outcome)[0].title


def test_a_stream_without_end_is_cut_and_no_harm_done(request_of: Request) -> None:
    outcome = run_alone(request_of(commands="cat /dev/zero", seed=0))
    assert (outcome.ending, outcome.status) == (Ending.OVERFLOWED, None)
    assert 0 < len(outcome.output) < 1 << 26
    assert set(outcome.output) == {0}


def test_guest_time_is_not_the_hosts(request_of: Request) -> None:
    began = time.monotonic()
    commands = "sleep 1000; date +%Y; cut -d. -f1 /proc/uptime"
    outcome = run_alone(request_of(commands=commands, seed=0))
    year, uptime_s = outcome.output.split()
    assert year == b"2024"
    assert 1000 <= int(uptime_s) < 1010
    assert time.monotonic() - began < 500
