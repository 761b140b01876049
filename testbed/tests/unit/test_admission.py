"""Real processes at the door: they hold, wait, and are killed."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from queue import Queue
from types import FrameType

import pytest

from testbed.core.capacity import VCPUS_PER_CORE, Capacity, GuestNeed
from testbed.errors import InfraError
from testbed.host.admission import Admission, open_admission
from testbed.host.facts import read_boot_id
from testbed.host.proc import find_tool

CORES = 2
HOST = Capacity(memory_mib=4000, cpus=CORES * VCPUS_PER_CORE, alone_mib=5000)
PROCESSES = 8
ROUNDS = 50
PATIENCE_S = 60.0

_SPAWN = multiprocessing.get_context("spawn")


class OverdueError(Exception):
    """The time of :func:`deadline` is over."""


def need(memory_mib: int, cpus: int = 1) -> GuestNeed:
    return GuestNeed(what="topology t", memory_mib=memory_mib, cpus=cpus)


ALL = need(4000, 4)
HALF = need(2000, 2)
MIXED = (HALF, need(1000), ALL, need(500, 4), need(2500), need(5000), need(100, 9))


def open_door(folder: Path, measure: Callable[[], Capacity] = lambda: HOST) -> Admission:
    return Admission(folder, measure=measure, say=print)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "admission"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    def raise_overdue(number: int, frame: FrameType | None) -> None:
        raise OverdueError

    before = signal.signal(signal.SIGALRM, raise_overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def must_wait(folder: Path, asked: GuestNeed) -> bool:
    try:
        with deadline(0.2), open_door(folder).acquire(asked):
            return False
    except OverdueError:
        return True


def must_not_wait(folder: Path, asked: GuestNeed) -> None:
    with deadline(PATIENCE_S), open_door(folder).acquire(asked):
        pass


def start(stack: ExitStack, target: Callable[..., None], *args: object) -> BaseProcess:
    process = _SPAWN.Process(target=target, args=args)
    process.start()
    stack.callback(process.join)
    stack.callback(process.kill)
    return process


def await_end(process: BaseProcess) -> int | None:
    """Give its status; None where it has not ended."""
    process.join(PATIENCE_S)
    return process.exitcode


def hold(folder: Path, asked: GuestNeed, entered: Event, leave: Event) -> None:
    with open_door(folder).acquire(asked):
        entered.set()
        leave.wait(PATIENCE_S)


def hold_as_head(folder: Path, asked: GuestNeed, is_head: Event, entered: Event) -> None:
    """Ask; the head of the queue alone measures the host, where its capacity is not known."""
    (folder / "capacity.json").unlink()

    def measure() -> Capacity:
        is_head.set()
        return HOST

    with open_door(folder, measure).acquire(asked):
        entered.set()


def meet(folder: Path, asked: GuestNeed, barrier: Barrier) -> None:
    with open_door(folder).acquire(asked):
        barrier.wait(PATIENCE_S)


def go_in_and_out(folder: Path, log: Path, first: int, begin: Barrier) -> None:
    door = open_door(folder)
    sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    begin.wait(PATIENCE_S)
    for number in range(ROUNDS):
        asked = MIXED[(first + number) % len(MIXED)]
        with door.acquire(asked):
            os.write(sink, f"+1 {asked.memory_mib} {asked.cpus}\n".encode())
            sha256(bytes(1 << 20))
            os.write(sink, f"-1 {asked.memory_mib} {asked.cpus}\n".encode())


def go_in_and_out_for_ever(folder: Path, begun: Event) -> None:
    door = open_door(folder)
    while True:
        for asked in MIXED:
            with door.acquire(asked):
                begun.set()


def test_two_halves_are_in_at_once(folder: Path, stack: ExitStack) -> None:
    barrier = _SPAWN.Barrier(2)
    running = [start(stack, meet, folder, HALF, barrier) for _ in range(2)]
    assert [await_end(process) for process in running] == [0, 0]


def test_many_processes_with_mixed_needs_all_get_in_and_never_exceed_the_host(
    folder: Path, tmp_path: Path, stack: ExitStack
) -> None:
    log = tmp_path / "log"
    begin = _SPAWN.Barrier(PROCESSES)
    running = [start(stack, go_in_and_out, folder, log, first, begin) for first in range(PROCESSES)]
    assert {await_end(process) for process in running} == {0}

    guests = memory_mib = cpus = entries = most = 0
    for line in log.read_text().splitlines():
        sign, its_memory, its_cpus = (int(word) for word in line.split())
        guests, entries = guests + sign, entries + (sign > 0)
        memory_mib, cpus = memory_mib + sign * its_memory, cpus + sign * its_cpus
        most = max(most, guests)
        assert guests <= 1 or memory_mib <= HOST.memory_mib
        assert guests <= CORES or cpus <= HOST.cpus
    assert entries == PROCESSES * ROUNDS
    assert most > 1


def test_what_a_killed_process_held_is_free(folder: Path, stack: ExitStack) -> None:
    entered, leave = _SPAWN.Event(), _SPAWN.Event()
    holder = start(stack, hold, folder, ALL, entered, leave)
    assert entered.wait(PATIENCE_S)
    assert must_wait(folder, need(1))

    holder.kill()
    must_not_wait(folder, ALL)


def test_processes_that_are_killed_at_any_moment_leave_all_of_it_free(
    folder: Path, stack: ExitStack
) -> None:
    events = [_SPAWN.Event() for _ in range(PROCESSES)]
    running = [start(stack, go_in_and_out_for_ever, folder, begun) for begun in events]
    for process, begun in zip(running, events, strict=True):
        assert begun.wait(PATIENCE_S)
        process.kill()
    must_not_wait(folder, ALL)
    must_not_wait(folder, ALL)
    assert len(list((folder / "tickets").iterdir())) == 1


@pytest.mark.parametrize("first_to_leave", [0, 1])
def test_a_waiter_gets_in_after_whichever_leaves_first(
    folder: Path, stack: ExitStack, first_to_leave: int
) -> None:
    holders = [open_door(folder).acquire(HALF) for _ in range(2)]
    is_head, entered = _SPAWN.Event(), _SPAWN.Event()
    waiter = start(stack, hold_as_head, folder, HALF, is_head, entered)
    assert is_head.wait(PATIENCE_S)
    assert not entered.is_set()

    holders[first_to_leave].release()
    assert await_end(waiter) == 0
    assert entered.is_set()
    holders[1 - first_to_leave].release()


def test_a_small_need_does_not_pass_a_large_one_that_waits(folder: Path, stack: ExitStack) -> None:
    small = open_door(folder).acquire(need(1000))
    is_head, entered = _SPAWN.Event(), _SPAWN.Event()
    large = start(stack, hold_as_head, folder, ALL, is_head, entered)
    assert is_head.wait(PATIENCE_S)
    assert must_wait(folder, need(1000))
    assert not entered.is_set()

    small.release()
    assert await_end(large) == 0
    must_not_wait(folder, need(1000))


def test_a_waiter_that_is_killed_lets_the_next_one_pass(folder: Path, stack: ExitStack) -> None:
    with open_door(folder).acquire(HALF):
        is_head, entered = _SPAWN.Event(), _SPAWN.Event()
        large = start(stack, hold_as_head, folder, ALL, is_head, entered)
        assert is_head.wait(PATIENCE_S)

        large.kill()
        must_not_wait(folder, HALF)
        assert not entered.is_set()


def test_a_signal_ends_the_wait_in_the_queue_too(folder: Path) -> None:
    must_not_wait(folder, ALL)
    with (folder / "queue").open("ab") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        assert must_wait(folder, need(1))
    must_not_wait(folder, ALL)


@pytest.fixture
def heir(stack: ExitStack) -> Callable[..., subprocess.Popen[bytes]]:
    def inherit(*fds: int) -> subprocess.Popen[bytes]:
        process = stack.enter_context(
            subprocess.Popen(
                [find_tool("cat")], stdin=subprocess.PIPE, pass_fds=fds, close_fds=bool(fds)
            )
        )
        stack.callback(process.kill)
        return process

    return inherit


def test_a_child_holds_no_room_by_accident(
    folder: Path, heir: Callable[..., subprocess.Popen[bytes]]
) -> None:
    with open_door(folder).acquire(ALL) as ticket:
        assert not os.get_inheritable(ticket.fileno())
        heir()
    must_not_wait(folder, ALL)


def test_a_guest_that_outlives_its_worker_keeps_the_room(
    folder: Path, heir: Callable[..., subprocess.Popen[bytes]]
) -> None:
    with open_door(folder).acquire(ALL) as ticket:
        guest = heir(ticket.fileno())
    assert must_wait(folder, need(1))

    guest.kill()
    must_not_wait(folder, ALL)


def test_a_guest_larger_than_the_room_of_all_is_let_in_alone(folder: Path) -> None:
    with open_door(folder).acquire(need(5000, 9)):
        assert must_wait(folder, need(1))
    with open_door(folder).acquire(need(1)):
        assert must_wait(folder, need(5000))


def test_a_guest_that_the_host_cannot_hold_is_refused_at_once_and_takes_nothing(
    folder: Path,
) -> None:
    with open_door(folder).acquire(need(1)), deadline(PATIENCE_S):
        with pytest.raises(InfraError, match="needs 5001 MiB, this host can give 5000 MiB"):
            open_door(folder).acquire(need(5001))
        with pytest.raises(InfraError, match="topology t and topology t needs 6000 MiB"):
            open_door(folder).acquire(need(3000), need(3000))
    must_not_wait(folder, ALL)


def test_several_guests_take_the_sum_of_their_needs(folder: Path) -> None:
    with open_door(folder).acquire(HALF, need(1000)):
        assert must_wait(folder, need(1001))
        must_not_wait(folder, need(1000))


def test_the_capacity_holds_while_anyone_is_in_and_is_measured_anew_after(folder: Path) -> None:
    larger = Capacity(memory_mib=8000, cpus=8, alone_mib=8000)
    with open_door(folder).acquire(ALL), pytest.raises(OverdueError), deadline(0.2):
        open_door(folder, lambda: larger).acquire(need(1))

    with (
        deadline(PATIENCE_S),
        open_door(folder, lambda: larger).acquire(ALL),
        open_door(folder).acquire(ALL),
    ):
        assert must_wait(folder, need(1))


@pytest.mark.parametrize("text", ["", '{"memory_mib": 4', '{"memory_mib": "9"}'])
def test_a_capacity_that_cannot_be_read_is_measured_anew(folder: Path, text: str) -> None:
    with open_door(folder).acquire(HALF):
        (folder / "capacity.json").write_text(text)
        must_not_wait(folder, HALF)
        assert must_wait(folder, ALL)


def test_who_holds_a_ticket_cannot_wait_for_a_second(folder: Path) -> None:
    door = open_door(folder)
    with door.acquire(need(1)), pytest.raises(RuntimeError, match="ask for all guests"):
        door.acquire(need(1))
    with door.acquire(need(1)) as ticket:
        ticket.release()
        assert ticket.is_released
        door.acquire(need(2)).release()


def test_a_signal_that_raises_nothing_does_not_end_the_wait_and_a_ticket_tells_of_it(
    folder: Path,
) -> None:
    holder = open_door(folder).acquire(ALL)
    releases = iter([lambda: None, holder.release])

    def handle(number: int, frame: FrameType | None) -> None:
        next(releases, lambda: None)()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        with open_door(folder).acquire(ALL) as ticket:
            assert 0.2 <= ticket.waited_s < PATIENCE_S
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_who_waits_for_long_is_told_what_for(folder: Path) -> None:
    said: Queue[str] = Queue()
    door = Admission(folder, measure=lambda: HOST, say=said.put, silence_s=0.05)

    def wait_until_told() -> None:
        with open_door(folder).acquire(ALL):
            asked.set()
            lines.append(said.get(timeout=PATIENCE_S))

    asked, lines = threading.Event(), list[str]()
    holder = threading.Thread(target=wait_until_told)
    holder.start()
    assert asked.wait(PATIENCE_S)
    with door.acquire(HALF):
        holder.join()

    (line,) = lines
    assert line.startswith("waiting for other guests of this host to end: topology t needs room")
    assert line.endswith("for 2 CPUs and 2000 MiB")


def test_nobody_else_can_look_in(folder: Path) -> None:
    must_not_wait(folder, ALL)
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "tickets")} == {0o700}


def test_a_disk_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfraError, match="cannot be written"):
        open_door(tmp_path / "file/admission").acquire(ALL)


def test_the_door_of_this_host_is_named_by_its_boot_and_lets_a_small_guest_in(
    tmp_path: Path,
) -> None:
    with deadline(PATIENCE_S), open_admission(tmp_path, say=print).acquire(need(1)):
        assert [path.name for path in (tmp_path / "admission").iterdir()] == [read_boot_id()]
