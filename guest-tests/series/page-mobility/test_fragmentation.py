"""What is left of a node's free memory after pages of all kinds were allocated through each other.

The node has nothing but plugged memory, so that all that lies on it is the workload's: pages of the
user's, and between them, at places that a seed draws, pages in pipes, which can't be moved, and new
files, whose inodes and dentries can be reclaimed. The user's pages are given back, then the files.
The pages in the pipes stay. It is the same workload in each mode, and what it leaves is measured:
the free memory that is in areas too small for a huge page (extfrag/unusable_index of debugfs), the
huge pages that can be had, and the memory blocks that can be taken offline.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import pytest
from page_mobility import (
    HUGE_ORDER,
    PAGEBLOCKS_PER_BLOCK,
    TYPES,
    assert_none_astray,
    count_types,
    read_asked,
    read_zones,
)

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.host.guest_memory import GuestMemory
from testbed.host.guest_result import GuestCommandError
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = pytest.mark.needs(
    nodes=2,
    empty_nodes=1,
    dimm_slots=1,
    kconfig=["MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY", "COMPACTION", "HUGETLBFS", "DEBUG_FS"],
    features=["page-mobility"],
    timeout_s=300,
)

_BLOCKS: Final = 4
_ALL: Final = _BLOCKS * PAGEBLOCKS_PER_BLOCK
_PAGEBLOCK_PAGES: Final = 512
_GROUP_PAGES: Final = 4096  # of the user's, for each page in a pipe of the sparse mixture
_CALM: Final = {
    "compaction_proactiveness": 0,
    "watermark_boost_factor": 0,
    "min_free_kbytes": 1024,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a kernel's own objects leave to the user, and what there may be after ``test_dense``.

    Of the free pages the user has ``users_part``; what is between the pages, their page tables and
    the watermarks have the rest.
    """

    users_part: float
    unmovable: int
    unusable: float
    huge_part: float

    @classmethod
    def of(cls, vm: Vm) -> "Bounds":
        """Return those of the kernel that runs; objects are larger with KASAN or lockdep."""
        return _CHECKED if vm.slowness > 1 else _PLAIN


# What can't be moved fits into four pageblocks, the files into twelve; a claim takes two. With
# lockdep there were 26, with KASAN 30, and 199 of 229 huge pages to be had.
_PLAIN: Final = Bounds(users_part=7 / 8, unmovable=24, unusable=0.1, huge_part=7 / 8)
_CHECKED: Final = Bounds(users_part=13 / 16, unmovable=32, unusable=0.2, huge_part=3 / 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left: huge pages that lie free or could be had, the unusable index, blocks."""

    unusable: float
    free_huge: int
    huge: int
    offlined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is before: huge pages, and unmovable pageblocks, which are the kernel's.

    Where pages are grouped it has none but with KASAN, whose shadow of a memory block, an eighth,
    lies on the blocks that came before (kasan_mem_notifier(), mm/kasan/shadow.c, 6.12).
    ``user_pages`` are what the user fills of it, in whole groups.
    """

    huge: int
    unmovable: int
    user_pages: int

    @classmethod
    def find(cls, vm: Vm, node: int) -> "Room":
        """Find it on a node that nobody uses yet."""
        huge = count_huge(vm, node)
        part = Bounds.of(vm).users_part
        return cls(
            huge=huge,
            unmovable=count_types(vm, node)["Unmovable"],
            user_pages=round(huge * _PAGEBLOCK_PAGES * part / _GROUP_PAGES) * _GROUP_PAGES,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How it went: before, the types while all was there, what was left with and without files."""

    room: Room
    types: Counter[str]
    with_files: Left
    left: Left

    @property
    def unmovable(self) -> int:
        """How many pageblocks have come to be unmovable."""
        return self.types["Unmovable"] - self.room.unmovable


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def asked(vm: Vm) -> str:
    """The mode that the kernel's command line asks for."""
    return read_asked(vm)


def calm(vm: Vm) -> None:
    """Keep the kernel from compacting or reclaiming on its own; the guest ends with the test.

    To be called when memory has come online, which sets the watermarks anew
    (khugepaged_min_free_kbytes_update(), mm/khugepaged.c, 6.12).
    """
    vm.run("; ".join(f"echo {value} > /proc/sys/vm/{name}" for name, value in _CALM.items()))


def read_unusable(vm: Vm, node: int) -> float:
    """Return the part of the free memory that is in areas too small for a huge page."""
    text = vm.run("cat /sys/kernel/debug/extfrag/unusable_index").stdout
    rows = [line.split() for line in text.splitlines()]
    (row,) = [row for row in rows if row[1].rstrip(",") == str(node) and row[3] == "Normal"]
    return float(row[4 + HUGE_ORDER])


def count_huge(vm: Vm, node: int) -> int:
    """Return how many huge pages can be had on ``node``: they are taken, and given back."""
    path = f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages"
    vm.run(f"echo {_ALL} > {path}", timeout_s=120)
    count = int(vm.run(f"cat {path}").stdout)
    vm.run(f"echo 0 > {path}")
    return count


def count_offlined(memory: GuestMemory, blocks: tuple[int, ...]) -> int:
    """Return how many of ``blocks`` can be taken offline, each while the others are online."""
    count = 0
    for block in blocks:
        try:
            memory.set_block(block, "offline")
        except GuestCommandError:
            assert memory.read_block(block) == "online"
        else:
            count += 1
            memory.set_block(block, "online_kernel")
    assert memory.count_isolated_blocks() == 0
    return count


def measure(vm: Vm, memory: GuestMemory, dimm: Dimm) -> Left:
    """Measure what is left. Offlining comes last: what it has emptied has another type then."""
    calm(vm)
    unusable = read_unusable(vm, dimm.node)
    free_huge = read_zones(vm)[dimm.node, "Normal"].count_free_huge()
    return Left(
        unusable=unusable,
        free_huge=free_huge,
        huge=count_huge(vm, dimm.node),
        offlined=count_offlined(memory, dimm.blocks),
    )


def report_left(report: Reporter, when: str, left: Left) -> None:
    report.metric(f"unusable_{when}", left.unusable, "of 1")
    report.metric(f"free_huge_{when}", left.free_huge, "huge pages")
    report.metric(f"huge_{when}", left.huge, "huge pages")
    report.metric(f"offlined_{when}", left.offlined, f"of {_BLOCKS} blocks")


def leave(vm: Vm, memory: GuestMemory, dimm: Dimm, report: Reporter, density: str) -> Course:
    """Allocate and give back on ``dimm``."""
    calm(vm)
    room = Room.find(vm, dimm.node)
    report.metric("user_pages", room.user_pages, "pages")
    command = f"/tools/mixhold {density} --pages {room.user_pages} --bind {dimm.node}"
    with vm.guest.start(command) as mixture:
        assert mixture.read_json()["ready"] is True
        types = count_types(vm, dimm.node)
        assert sum(types.values()) == _ALL
        for kind in TYPES:
            report.metric(f"blocks_{kind.lower()}", types[kind], f"of {_ALL} pageblocks")
        for request in ("drop users", "settle"):
            assert mixture.ask(request) == {"result": 0}, request
        assert_none_astray(vm)
        with_files = measure(vm, memory, dimm)
        report_left(report, "with_files", with_files)
        for request in ("drop files", "settle"):
            assert mixture.ask(request) == {"result": 0}, request
        left = measure(vm, memory, dimm)
        report_left(report, "left", left)
        assert_none_astray(vm)
        assert mixture.ask("end") == {"result": 0}, "pages in pipes that had lost their content"
        assert mixture.finish() == 0
    return Course(room=room, types=types, with_files=with_files, left=left)


@pytest.fixture
def dimm(vm: Vm, hotplug: Hotplug) -> Dimm:
    """All memory of the last node, for the kernel too."""
    (node,) = vm.topology.empty_nodes
    dimm = hotplug.add_dimm(node=node, size_mib=_BLOCKS * MEMORY_BLOCK_MIB)
    hotplug.online(dimm, "online_kernel")
    return dimm


def test_dense(vm: Vm, dimm: Dimm, memory: GuestMemory, asked: str, report: Reporter) -> None:
    """One page in a pipe for each 64 of the user's: seven or eight for each pageblock."""
    course = leave(vm, memory, dimm, report, "dense")

    if asked == "off":
        assert course.types == {"Unmovable": _ALL}
        assert course.left.unusable > 0.5
        assert course.left.huge < course.room.huge // 8
        assert course.left.offlined == 0
        return
    bounds = Bounds.of(vm)
    assert 4 <= course.unmovable <= bounds.unmovable
    assert (course.types["Reclaimable"] > 0) == (asked == "full")
    for one in (course.with_files, course.left):
        assert one.unusable < bounds.unusable
        assert one.huge > course.room.huge * bounds.huge_part


def test_sparse(vm: Vm, dimm: Dimm, memory: GuestMemory, asked: str, report: Reporter) -> None:
    """One page in a pipe for each 4096 of the user's: seven for each memory block."""
    course = leave(vm, memory, dimm, report, "sparse")

    if asked == "off":
        assert course.types == {"Unmovable": _ALL}
        assert course.left.offlined == 0
        groups = course.room.user_pages // _GROUP_PAGES
        assert course.left.huge < course.room.huge - groups // 2
        return
    assert course.unmovable <= 8
    assert (course.types["Reclaimable"] > 0) == (asked == "full")
    for one in (course.with_files, course.left):
        assert one.huge > course.room.huge - 16
        assert one.offlined >= 1
