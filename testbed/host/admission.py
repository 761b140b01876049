"""Admission: every process of this host that wants to start a guest asks for room first.

The processes know nothing of each other (workers of several cells, of several runs) and there is
no daemon. A *ticket* is a FIFO whose name says what its holder takes; the holder keeps it open and
under flock(2). Both end with the last copy of the descriptor, so the kernel gives back what a
killed process held. A descriptor that QEMU inherits (:meth:`Ticket.fileno`) keeps the room taken
until QEMU's memory is gone too (do_exit(), kernel/exit.c, 6.12: exit_mm() before exit_files()).

Who asks, waits for the lock of the *queue* first. Its holder alone looks at the tickets, adds up
those that are alive, and goes on as soon as its need fits beside them; until then it sleeps in
poll(2) on all of them, which reports a hang-up when any one is closed. The flock goes before the
hang-up comes (__fput(), fs/file_table.c, 6.12): who is woken finds the ticket dead.

No deadlock: only the head of the queue takes room, in one step, and who holds room never waits here
(a second :meth:`Admission.acquire` is refused: ask for all guests at once). That must hold of other
locks too: **who holds a ticket waits for no lock whose holder may ask for one**. Take the lock of a
cache entry first, the ticket inside it.

No starvation: nobody passes the head, so a large need waits only for those that were in before it;
the price is that a small one behind it waits too. The queue itself is as fair as flock(2): in order
of asking (__locks_insert_block(), fs/locks.c, 6.12), save that a newcomer may slip in between a
release and the wake-up of the next.
"""

import contextlib
import fcntl
import os
import re
import secrets
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import TypeAdapter, ValidationError

from testbed.core.capacity import (
    Capacity,
    GuestNeed,
    has_room,
    join_needs,
    require_possible,
    size_capacity,
)
from testbed.host.facts import (
    count_cores,
    read_available_mib,
    read_boot_id,
    read_memory_limit_mib,
    read_total_mib,
)
from testbed.host.store import explain_disk_error, write_atomically

# Guests come and go within seconds; who waits longer than this is told what for.
_SILENCE_S: Final = 30.0

_TICKET: Final = re.compile(r"(\d+)-mib-(\d+)-cpus-[0-9a-f]+")
_CAPACITY: Final = TypeAdapter(Capacity)


class Ticket:
    """Room for guests. It ends with :meth:`release`, or with the last process that has it.

    ``waited_s`` is how long it took to get it, in seconds.
    """

    def __init__(self, file: FileIO, *, need: GuestNeed, waited_s: float) -> None:
        self.need = need
        self.waited_s = waited_s
        self._file = file

    @property
    def is_released(self) -> bool:
        """Whether this process has given it back."""
        return self._file.closed

    def fileno(self) -> int:
        """Return the descriptor: not inherited, unless QEMU gets it on purpose (``pass_fds``)."""
        return self._file.fileno()

    def release(self) -> None:
        """Give the room back; once is enough, more is harmless."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Admitted:
    """A ticket that somebody holds, opened for reading: poll(2) says when it ends."""

    need: GuestNeed
    file: FileIO


class Admission:
    """The door to the guests of this host; all that share ``folder`` share its room.

    ``measure`` is asked while no guest is there, and its answer is kept beside the tickets: so all
    go by the same capacity, and memory that guests have touched is not counted twice. ``say`` gets
    one line, in a thread of its own, where there is no room for ``silence_s`` seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        measure: Callable[[], Capacity],
        say: Callable[[str], None],
        silence_s: float = _SILENCE_S,
    ) -> None:
        self._folder = folder
        self._measure = measure
        self._say = say
        self._silence_s = silence_s
        self._ticket: Ticket | None = None

    def acquire(self, *needs: GuestNeed) -> Ticket:
        """Wait until there is room for the guests of ``needs`` together, and take it.

        A signal whose handler raises ends the wait. Raises :class:`testbed.errors.InfraError`
        where the host is too small even for them alone, or the cache's disk cannot be written.
        """
        if self._ticket is not None and not self._ticket.is_released:
            raise RuntimeError("who holds a ticket would wait for itself: ask for all guests once")
        need = join_needs(needs)
        began = time.monotonic()
        with self._told(need), self._blamed(), self._queue():
            file = self._wait_and_take(need)
        self._ticket = Ticket(file, need=need, waited_s=time.monotonic() - began)
        return self._ticket

    def _wait_and_take(self, need: GuestNeed) -> FileIO:
        while True:
            with self._admitted() as admitted:
                capacity = self._agree(admitted)
                require_possible(need, capacity)
                if has_room(capacity, [one.need for one in admitted], need):
                    return self._issue(need)
                _wait_for_any(admitted)

    @contextmanager
    def _queue(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / "tickets").mkdir(mode=0o700, exist_ok=True)
        with (self._folder / "queue").open("ab", buffering=0) as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _admitted(self) -> Iterator[Sequence[_Admitted]]:
        """Give the tickets that are held; remove those whose holders are gone."""
        with ExitStack() as stack:
            found = []
            for path in (self._folder / "tickets").iterdir():
                name = _TICKET.fullmatch(path.name)
                if name is None:
                    continue
                file = stack.enter_context(FileIO(path, opener=_open_at_once))
                if _can_lock(file):
                    path.unlink()
                else:
                    need = GuestNeed(what=name[0], memory_mib=int(name[1]), cpus=int(name[2]))
                    found.append(_Admitted(need=need, file=file))
            yield found

    def _agree(self, admitted: Sequence[_Admitted]) -> Capacity:
        kept = self._folder / "capacity.json"
        if admitted:
            with contextlib.suppress(FileNotFoundError, ValidationError):
                return _CAPACITY.validate_json(kept.read_bytes(), strict=True)
        capacity = self._measure()
        write_atomically(kept, _CAPACITY.dump_json(capacity).decode())
        return capacity

    def _issue(self, need: GuestNeed) -> FileIO:
        name = f"{need.memory_mib}-mib-{need.cpus}-cpus-{secrets.token_hex(8)}"
        path = self._folder / "tickets" / name
        os.mkfifo(path, 0o600)
        # Open for both, or it would block for want of a reader (fifo(7)).
        file = FileIO(path, "r+")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file

    @contextmanager
    def _told(self, need: GuestNeed) -> Iterator[None]:
        line = (
            f"waiting for other guests of this host to end: {need.what} needs room for "
            f"{need.cpus} CPUs and {need.memory_mib} MiB"
        )
        # The wait itself is one of the kernel's, in flock(2) or in poll(2).
        timer = threading.Timer(self._silence_s, self._say, [line])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except OSError as err:
            explained = explain_disk_error(err, self._folder)
            if explained is None:
                raise
            raise explained from err


def open_admission(cache: Path, *, say: Callable[[str], None]) -> Admission:
    """Return the door of this host, below the folder ``cache``; ``say`` is told of a long wait.

    The folder is named by the boot: hosts that share a cache over a network do not share memory,
    and a FIFO says nothing to another host.
    """
    return Admission(cache / "admission" / read_boot_id(), measure=measure_host, say=say)


def measure_host() -> Capacity:
    """Return what this host can give to guests, as it is now."""
    limit_mib = read_memory_limit_mib()
    total_mib = read_total_mib()
    return size_capacity(
        cores=count_cores(),
        total_mib=total_mib if limit_mib is None else min(total_mib, limit_mib),
        available_mib=read_available_mib(),
    )


def _wait_for_any(admitted: Sequence[_Admitted]) -> None:
    poll = select.poll()
    for one in admitted:
        poll.register(one.file, 0)  # a hang-up is always told
    poll.poll()


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a FIFO without a writer blocks


def _can_lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
