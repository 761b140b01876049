"""Pages that are moved while they are being written to a disk.

The disk is one that QEMU holds up for as long as it is told to (block_set_io_throttle), so that the
pages are under writeback for certain, all of them. Whoever asks for a move wants it at any price
(MIGRATE_SYNC) and waits, page by page (migrate_folio_unmap() in mm/migrate.c, 6.12), until they
can. What was written to them meanwhile is dirty, and is still so on the new node.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from testbed.host.guest import GuestProcess
from testbed.host.guest_memory import GuestMemory
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = [
    pytest.mark.needs(
        nodes=2, swap_mib=64, kconfig=["EXT4_FS", "PROC_PAGE_MONITOR", "SWAP"], timeout_s=90
    ),
    pytest.mark.covers(contract=[12]),
]

_PAGES: Final = 16
_HOME: Final = 0
_TARGET: Final = 1
_DRIVE: Final = "swap0"  # as QEMU calls the disk
_MOUNTED: Final = "/tmp/disk"  # noqa: S108 - of the guest
_FILE_SYSTEM_KIB: Final = 32 << 10  # the end of the disk is left out
_DEADLINE_S: Final = 20.0
_AGAIN_S: Final = 0.02
# How often in a row a call is seen to wait before the disk goes on.
_LOOKS: Final = 20


def _await(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S:g} s: {what}"
        time.sleep(_AGAIN_S)


class Disk:
    """The swap disk; ``path`` is its device in the guest."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self.path = vm.run("awk 'NR == 2 { print $1 }' /proc/swaps").stdout.strip()
        sectors = vm.run(f"cat /sys/class/block/{self.path.rpartition('/')[2]}/size").stdout
        self._last_page = int(sectors) // 8 - 1

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Let no write end until this does."""
        self._limit_writes(bytes_per_s=1)
        try:
            # One is let through, whatever its size, for which those behind it wait for hours: that
            # of a page that nobody uses. A disk that is swapped to takes none from elsewhere.
            self._vm.run(
                f"grep -q ^{self.path} /proc/swaps && swapoff {self.path} && again=y; "
                f"dd if={self.path} of={self.path} bs=4k count=1 oflag=direct conv=notrunc "
                f"skip={self._last_page} seek={self._last_page} && "
                f"if [ $again ]; then swapon {self.path}; fi"
            )
            yield
        finally:
            self._limit_writes(bytes_per_s=0)

    def _limit_writes(self, *, bytes_per_s: int) -> None:
        # The arguments of the QMP command have underscores in their names.
        told = self._vm.qmp.execute(
            "human-monitor-command",
            command_line=f"block_set_io_throttle {_DRIVE} 0 0 {bytes_per_s} 0 0 0",
        )
        assert told == "", told


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A ``writeback`` in the guest. ``in_cache`` of its pages are to be in the swap cache."""

    process: GuestProcess
    in_cache: int

    def ask(self, request: str) -> dict[str, Any]:
        """Return the answer to a request."""
        answer = self.process.ask(request)
        assert "error" not in answer, f"{request}: {answer}"
        return answer

    def do(self, request: str) -> None:
        """Have something done that is to succeed."""
        assert self.ask(request) == {"result": 0}, request

    def assert_clean(self, request: str) -> None:
        """Have something verified."""
        assert self.ask(request) == {"problem": ""}, request

    def assert_flags(self, *, writeback: int, dirty: int) -> None:
        """Verify the flags of all pages' frames."""
        expected = {"writeback": writeback, "dirty": dirty, "swapcache": self.in_cache}
        assert self.ask("flags") == expected


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def disk(vm: Vm) -> Iterator[Disk]:
    """The disk, to which nothing is written of its own accord."""
    knob = "/proc/sys/vm/dirty_writeback_centisecs"
    before = vm.run(f"cat {knob}").stdout.strip()
    vm.run(f"echo 0 > {knob}")
    yield Disk(vm)
    vm.run(f"echo {before} > {knob}")


@contextmanager
def _run(vm: Vm, arguments: str, *, in_cache: int) -> Iterator[Written]:
    command = f"/tools/writeback --pages {_PAGES} --bind {_HOME} {arguments}"
    with vm.guest.start(command) as process:
        assert process.read_json() == {"ready": True, "pages": _PAGES}
        yield Written(process=process, in_cache=in_cache)
        assert process.finish() == 0


@pytest.fixture
def file(vm: Vm, disk: Disk) -> Iterator[Written]:
    """Pages of a file on that disk, mapped shared."""
    vm.run(
        f"swapoff {disk.path} && mke2fs {disk.path} {_FILE_SYSTEM_KIB} && mkdir {_MOUNTED} && "
        f"mount -t ext4 {disk.path} {_MOUNTED}"
    )
    with _run(vm, f"--file {_MOUNTED}/file", in_cache=0) as written:
        yield written
    vm.run(f"umount {_MOUNTED} && rmdir {_MOUNTED} && mkswap {disk.path} && swapon {disk.path}")


@pytest.fixture
def swap(vm: Vm, disk: Disk) -> Iterator[Written]:
    """Private memory, swapped out to that disk and mapped again from the swap cache."""
    with _run(vm, "--swap", in_cache=_PAGES) as written:
        yield written


def _start_writing(written: Written, *, is_dirtied: bool) -> None:
    """Have all pages under writeback, and, where ``is_dirtied``, dirty as well."""
    written.do("write")
    written.assert_clean("snapshot")
    written.do("start")
    written.assert_clean("snapshot")
    written.assert_flags(writeback=_PAGES, dirty=0)
    if is_dirtied:
        written.do("write")


def _assert_waits(written: Written, call: str, *, dirty: int) -> None:
    """Begin the call; it waits for the first page, and none has moved or been written.

    It waits for other things before, but not for long.
    """
    written.do(f"begin {call} {_TARGET}")
    waiting = {"state": "D"}
    _await(
        "the call waits",
        lambda: all(written.ask("state") == waiting for _ in range(_LOOKS)),
    )
    written.assert_flags(writeback=_PAGES, dirty=dirty)
    assert written.ask("state") == waiting


@pytest.mark.parametrize("is_dirtied", [False, True], ids=["clean", "dirtied"])
@pytest.mark.parametrize("call", ["move_pages", "mbind", "migrate_pages"])
@pytest.mark.parametrize(
    "backing",
    [
        pytest.param(
            "file",
            marks=pytest.mark.covers(
                interface=["move_pages-set", "mbind-move-strict", "migrate_pages-self"],
                backing=["file-dirty", "file-shared"],
                condition=["quiet"],
            ),
        ),
        pytest.param(
            "swap",
            marks=pytest.mark.covers(
                interface=["move_pages-set", "mbind-move-strict", "migrate_pages-self"],
                backing=["swap-cache"],
                condition=["quiet"],
                contract=[11],
            ),
        ),
    ],
)
def test_waits_for_the_disk_and_moves(
    request: pytest.FixtureRequest,
    backing: str,
    call: str,
    is_dirtied: bool,  # noqa: FBT001 - pytest passes it by name
    disk: Disk,
    memory: GuestMemory,
    report: Reporter,
) -> None:
    written: Written = request.getfixturevalue(backing)
    with disk.held_up():
        _start_writing(written, is_dirtied=is_dirtied)
        written.assert_clean("snapshot")
        before = memory.read_vmstat()
        # A file system is told of the first write; of private memory the page table alone knows,
        # until it is unmapped.
        is_told = is_dirtied and backing == "file"
        _assert_waits(written, call, dirty=_PAGES if is_told else 0)
    answer = written.ask("end")
    assert answer["result"] == 0
    if call == "move_pages":
        assert answer["moved"] == _PAGES
    after = memory.read_vmstat()
    written.assert_clean("verify")
    moved = after["pgmigrate_success"] - before["pgmigrate_success"]
    report.metric("moved", moved, "pages")
    assert moved == _PAGES or call == "migrate_pages"
    # That it was tried before the disk had done with it is no failure.
    assert after["pgmigrate_fail"] == before["pgmigrate_fail"]
    assert memory.count_isolated_pages() == 0

    written.assert_clean("snapshot")
    written.assert_flags(writeback=0, dirty=_PAGES if is_dirtied else 0)
    written.do("drop")
    assert written.ask("bad") == {"bad": 0}
