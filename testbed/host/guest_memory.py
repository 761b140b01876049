"""The guest's memory, as a host-side test reads and changes it through sysfs and procfs."""

import re
from collections.abc import Iterable
from typing import Final

from testbed.host.guest import Guest

_MEMORY: Final = "/sys/devices/system/memory"
_NODES: Final = "/sys/devices/system/node"
_REFRESH: Final = "echo 1 > /proc/sys/vm/stat_refresh"
_MEM_TOTAL: Final = re.compile(r"Node (\d+) MemTotal:\s+(\d+) kB")


class GuestMemory:
    """Memory blocks, nodes and counters of ``guest``."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def set_block(self, block: int, state: str) -> None:
        """Write ``state`` (``offline``, ``online_movable``, ...) to a memory block.

        Raises :class:`testbed.host.guest.GuestCommandError` with the kernel's errno in words.
        """
        self._guest.write_file(f"{_MEMORY}/memory{block}/state", state)

    def read_block(self, block: int) -> str:
        """Return the state of a block: ``online``, ``offline`` or ``going-offline``."""
        return self._guest.read_file(f"{_MEMORY}/memory{block}/state").strip()

    def read_zones(self, block: int) -> tuple[str, ...]:
        """Return ``valid_zones`` of a block: for one that is online, the zone it is in."""
        return tuple(self._guest.read_file(f"{_MEMORY}/memory{block}/valid_zones").split())

    def list_blocks(self) -> frozenset[int]:
        """Return the numbers of all memory blocks there are."""
        names = self._guest.run(f"ls {_MEMORY}").stdout.split()
        return frozenset(
            int(n.removeprefix("memory")) for n in names if re.fullmatch(r"memory\d+", n)
        )

    def list_nodes(self, state: str = "online") -> frozenset[int]:
        """Return the nodes that are ``online``, ``possible`` or ``has_memory``."""
        return _parse_ranges(self._guest.read_file(f"{_NODES}/{state}"))

    def read_totals_kib(self) -> dict[int, int]:
        """Return each node's MemTotal in KiB."""
        text = self._guest.run(f"grep -h MemTotal {_NODES}/node*/meminfo").stdout
        return {int(node): int(total) for node, total in _MEM_TOTAL.findall(text)}

    def read_vmstat(self) -> dict[str, int]:
        """Return /proc/vmstat with the per-CPU parts folded in first."""
        text = self._guest.run(f"{_REFRESH}; cat /proc/vmstat").stdout
        return {name: int(value) for name, value in (line.split() for line in text.splitlines())}

    def count_isolated_pages(self) -> int:
        """Return the pages that are off the LRU lists: none, when nothing migrates.

        Counted by node: when a node goes, what its per-CPU parts hold is lost to the sums in
        /proc/vmstat (refresh_cpu_vm_stats() folds online nodes only, mm/vmstat.c, 6.12), which
        then show some isolated pages for ever.
        """
        text = self._guest.run(f"{_REFRESH}; grep -h nr_isolated {_NODES}/node*/vmstat").stdout
        return sum(int(line.split()[1]) for line in text.splitlines())

    def count_isolated_blocks(self) -> int:
        """Return the pageblocks of online zones that are MIGRATE_ISOLATE."""
        return count_isolated_blocks(self._guest.read_file("/proc/pagetypeinfo").splitlines())


def count_isolated_blocks(lines: Iterable[str]) -> int:
    """Return the MIGRATE_ISOLATE pageblocks of /proc/pagetypeinfo.

    They are the last column of the tables "Number of blocks type" (migratetype_names, mm/vmstat.c,
    6.12). Each node has a header and tables of its own; the other table's rows name a type.
    """
    column, total = 0, 0
    for line in lines:
        words = line.split()
        if line.startswith("Number of blocks type"):
            column = len(words) - words.index("Isolate") if "Isolate" in words else 0
        elif column and line.startswith("Node") and "type" not in words:
            total += int(words[-column])
    return total


def _parse_ranges(text: str) -> frozenset[int]:
    """Read a list such as ``0-2,5`` (bitmap_parselist(), lib/bitmap-str.c, 6.12)."""
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return frozenset(numbers)
