"""What a guest has in use when nobody does anything, and what of it has grown."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stress_load import FOLDER

from testbed.host.guest_memory import GuestMemory
from testbed.host.vm import Vm

_KIB: Final = re.compile(r"^(?:Node (\d+) )?([\w()]+):\s+(\d+)(?: kB)?$", re.MULTILINE)
# /proc/zoneinfo: of a zone, and of each CPU's list of it.
_ZONE: Final = re.compile(r"Node (\d+), zone")
_FREE: Final = re.compile(r"\s+(?:nr_free_pages|count:)\s+(\d+)$")
_PAGE_KIB: Final = 4
_SETTLE_S: Final = 120.0
_COMMAND_S: Final = 120.0

# Programs of the tests that are still there: a case that was ended leaves children behind.
_LEFT: Final = (
    "for p in /proc/[0-9]*; do case $(readlink $p/exe) in "
    f"/tests/*|/tools/*|{FOLDER}/*) echo ${{p#/proc/}};; esac; done"
)
# A case that was ended leaves its cgroups, too. One that the kernel still holds stays.
_REMOVE_CGROUPS: Final = (
    "find /sys/fs/cgroup -mindepth 1 -depth -type d -exec rmdir {} ';' 2>/dev/null; true"
)
# Swap goes off and on so that nothing is left in it, nor in its cache.
_EMPTY: Final = (
    "swapoff -a; for d in /dev/vd?; do [ -e $d ] && swapon $d; done; "
    "for i in 1 2 3; do sync; echo 3 > /proc/sys/vm/drop_caches; done; "
    "for s in /sys/kernel/slab/*/shrink; do [ -e $s ] && echo 1 > $s; done; "
    "[ -e /proc/sys/vm/compact_memory ] && echo 1 > /proc/sys/vm/compact_memory; "
    "echo 1 > /proc/sys/vm/stat_refresh"
)
_LOOK: Final = (
    "cat /proc/meminfo /sys/devices/system/node/node*/meminfo; "
    "sed -n 's/^nr_\\(.*descendants\\) \\(.*\\)/\\1: \\2/p' /sys/fs/cgroup/cgroup.stat"
)

# What may have changed for the worse, in KiB; of all else that is looked at nothing may. After a
# minute on a plain 6.12.117, with the series swap-migration and with manual-migration there were:
# free 56 to 244 less, SUnreclaim 96 to 504 more, KernelStack 16 to 32 more (two threads, of the
# kernel's workers), PageTables 0 to 12 more, all others 0 or less. Half an hour may leave some more
# of what the kernel keeps for good; a page lost in each round of the storm is much more.
_TOLERATED_KIB: Final = {
    "free": 4096,
    "SUnreclaim": 2048,
    "SReclaimable": 2048,
    "KernelStack": 256,
    "PageTables": 256,
    "Percpu": 256,
    "AnonPages": 512,
    "Shmem": 512,
}
# Free memory of one node says little: the pages of programs that go on living were moved to others.
# So what is neither free nor theirs is looked at. Slabs and page tables come to be anywhere, too.
_TOLERATED_BY_NODE_KIB: Final = {"kernel": 4096}
_EXACT: Final = ("HugePages_Total", "HugePages_Rsvd", "HugePages_Surp", "Mlocked", "Unevictable")
_EXACT_BY_NODE: Final = ("MemTotal", "HugePages_Total", "HugePages_Surp")
_CGROUPS: Final = ("descendants", "dying_descendants")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is in use: by name, and by ``node1 name``, in KiB or as a count."""

    values: Mapping[str, int]

    @classmethod
    def take(cls, vm: Vm) -> "Picture":
        """Give back what can be given back, and look at what is left."""
        vm.run(_EMPTY, timeout_s=_COMMAND_S)
        told = vm.run(_LOOK).stdout
        found = {
            f"node{node} {name}" if node else name: int(value)
            for node, name, value in _KIB.findall(told)
        }
        free = _read_free_kib(vm.run("cat /proc/zoneinfo").stdout)
        memory = GuestMemory(vm)
        return cls(
            values=found
            | {
                "free": sum(free.values()),
                **{f"node{node} kernel": _subtract(found, node, kib) for node, kib in free.items()},
                "swap in use": found["SwapTotal"] - found["SwapFree"],
                "isolated pages": memory.count_isolated_pages(),
                "isolated blocks": memory.count_isolated_blocks(),
            }
        )

    def subtract(self, before: "Picture") -> dict[str, int]:
        """Return by how much each of what is looked at has changed since ``before``."""
        return {name: self.values[name] - before.values[name] for name in _tolerate(before.values)}

    def find_leaks(self, before: "Picture") -> dict[str, str]:
        """Return what is not as it was ``before``, and by how much."""
        tolerated = _tolerate(before.values)
        return {
            name: f"{before.values[name]} and {change:+d}; tolerated {tolerated[name]}"
            for name, change in self.subtract(before).items()
            if _is_leak(name, change, tolerated[name])
        }


def _tolerate(values: Mapping[str, int]) -> dict[str, int]:
    """Return what is looked at, and how much more of it is no leak."""
    nodes = sorted(name.split()[0] for name in values if name.endswith(" MemTotal"))
    exact = [*_EXACT, *_CGROUPS, "swap in use", "isolated pages", "isolated blocks"]
    exact += [f"{node} {name}" for node in nodes for name in _EXACT_BY_NODE]
    by_node = {
        f"{node} {name}": kib for node in nodes for name, kib in _TOLERATED_BY_NODE_KIB.items()
    }
    return dict.fromkeys(exact, 0) | _TOLERATED_KIB | by_node


def _is_leak(name: str, change: int, tolerated: int) -> bool:
    if not tolerated:
        return change != 0
    return (-change if name == "free" else change) > tolerated


def _subtract(found: Mapping[str, int], node: int, free_kib: int) -> int:
    """Return what of a node's memory is neither free, nor a program's, nor of a file."""
    total, file, anon = (
        found[f"node{node} {name}"] for name in ("MemTotal", "FilePages", "AnonPages")
    )
    return total - free_kib - file - anon


def _read_free_kib(zoneinfo: str) -> dict[int, int]:
    """Return the free memory of each node, that on the lists of the CPUs too: tens of MiB."""
    free: dict[int, int] = {}
    node = 0
    for line in zoneinfo.splitlines():
        if zone := _ZONE.match(line):
            node = int(zone[1])
        elif pages := _FREE.match(line):
            free[node] = free.get(node, 0) + int(pages[1]) * _PAGE_KIB
    return free


def end_all(vm: Vm) -> None:
    """End the tests' programs, and remove their cgroups.

    A program that cannot be ended hangs in the kernel.
    """
    deadline = time.monotonic() + _SETTLE_S
    while left := vm.run(_LEFT).stdout.split():
        assert time.monotonic() < deadline, vm.run(
            "; ".join(f"cat /proc/{pid}/stat /proc/{pid}/stack" for pid in left) + "; true"
        ).stdout
        vm.run(f"kill -9 {' '.join(left)} 2>/dev/null; true")
    vm.run(_REMOVE_CGROUPS)


def assert_none_isolated(vm: Vm) -> None:
    """Assert that all pages are on their LRU lists; kswapd has some of them for a moment.

    To be asked before anything is emptied: reclaim and compaction wait for what stays isolated,
    as long as it takes (too_many_isolated(), mm/vmscan.c and mm/compaction.c, 6.12).
    """
    deadline = time.monotonic() + _SETTLE_S
    while pages := GuestMemory(vm).count_isolated_pages():
        assert time.monotonic() < deadline, f"{pages} pages stay isolated"


def await_back(vm: Vm, before: Picture) -> Picture:
    """Return the picture once it is as before, or the last in two minutes.

    What is freed by RCU, by work that is queued, or with a memory cgroup that is offline comes
    late; a picture empties what it can each time.
    """
    deadline = time.monotonic() + _SETTLE_S
    while (now := Picture.take(vm)).find_leaks(before) and time.monotonic() < deadline:
        pass
    return now
