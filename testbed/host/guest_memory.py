"""The guest's memory, as a host-side test reads and changes it through sysfs and procfs."""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.errors import InfraError
from testbed.host.guest_result import GuestResult

_MEMORY: Final = "/sys/devices/system/memory"
_AUTO_ONLINE: Final = f"{_MEMORY}/auto_online_blocks"
_NODES: Final = "/sys/devices/system/node"
_REFRESH: Final = "echo 1 > /proc/sys/vm/stat_refresh"
_MEM_TOTAL: Final = re.compile(r"Node (\d+) MemTotal:\s+(\d+) kB")
_BLOCK_STATE: Final = re.compile(r"/memory(\d+)/state:([\w-]+)$", re.MULTILINE)
_BLOCK_NODE: Final = re.compile(r"/memory(\d+)/node(\d+)$", re.MULTILINE)
_BYTES_PER_MIB: Final = 1 << 20


class Shell(Protocol):
    """Who runs a command in the guest as root: a ``Vm`` (milliseconds), a ``Guest`` (SSH)."""

    def run(self, command: str) -> GuestResult:
        """Run ``command``; raise :class:`GuestCommandError` on a status other than 0."""


class GuestMemory:
    """Memory blocks, nodes and counters of the guest that ``shell`` runs commands in."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def set_block(self, block: int, state: str) -> None:
        """Write ``state`` (``offline``, ``online_movable``, ...) to a memory block.

        Raises :class:`testbed.host.guest_result.GuestCommandError` with the kernel's errno in
        words.
        """
        self._write(f"{_MEMORY}/memory{block}/state", state)

    def read_block(self, block: int) -> str:
        """Return the state of a block: ``online``, ``offline`` or ``going-offline``."""
        return self._read(f"{_MEMORY}/memory{block}/state").strip()

    def read_blocks(self) -> dict[int, str]:
        """Return the states of all memory blocks there are."""
        text = self._shell.run(f"grep -H . {_MEMORY}/memory[0-9]*/state").stdout
        return {int(block): state for block, state in _BLOCK_STATE.findall(text)}

    def read_block_nodes(self) -> dict[int, frozenset[int]]:
        """Return the node of each memory block, be it online or not.

        A block of boot memory may lie on two. Raises :class:`InfraError` where blocks are not of
        the size that the testbed takes them for.
        """
        told = self._shell.run(
            f"cat {_MEMORY}/block_size_bytes; ls -d {_MEMORY}/memory[0-9]*/node*"
        )
        size, _, listing = told.stdout.partition("\n")
        if int(size, 16) != MEMORY_BLOCK_MIB * _BYTES_PER_MIB:
            raise InfraError(f"memory blocks of 0x{size} bytes, expected {MEMORY_BLOCK_MIB} MiB")
        nodes: dict[int, frozenset[int]] = {}
        for block, node in _BLOCK_NODE.findall(listing):
            nodes[int(block)] = nodes.get(int(block), frozenset()) | {int(node)}
        return nodes

    def read_zones(self, block: int) -> tuple[str, ...]:
        """Return ``valid_zones`` of a block: for one that is online, the zone it is in."""
        return tuple(self._read(f"{_MEMORY}/memory{block}/valid_zones").split())

    def list_blocks(self) -> frozenset[int]:
        """Return the numbers of all memory blocks there are."""
        return frozenset(self.read_blocks())

    def read_auto_online(self) -> str:
        """Return what becomes of new blocks: ``offline``, ``online``, ``online_movable``, ..."""
        return self._read(_AUTO_ONLINE).strip()

    def set_auto_online(self, policy: str) -> None:
        """Set what becomes of new blocks (``auto_online_blocks``, drivers/base/memory.c, 6.12)."""
        self._write(_AUTO_ONLINE, policy)

    def list_nodes(self, state: str = "online") -> frozenset[int]:
        """Return the nodes that are ``online``, ``possible`` or ``has_memory``."""
        return _parse_ranges(self._read(f"{_NODES}/{state}"))

    def read_totals_kib(self) -> dict[int, int]:
        """Return each node's MemTotal in KiB."""
        text = self._shell.run(f"grep -h MemTotal {_NODES}/node*/meminfo").stdout
        return {int(node): int(total) for node, total in _MEM_TOTAL.findall(text)}

    def read_vmstat(self) -> dict[str, int]:
        """Return /proc/vmstat with the per-CPU parts folded in first."""
        text = self._shell.run(f"{_REFRESH}; cat /proc/vmstat").stdout
        return {name: int(value) for name, value in (line.split() for line in text.splitlines())}

    def count_isolated_pages(self) -> int:
        """Return the pages that are off the LRU lists: none, when nothing migrates.

        Counted by node: while a node is gone, what its per-CPU parts held is missing from the sums
        in /proc/vmstat (refresh_cpu_vm_stats() folds online nodes only, mm/vmstat.c, 6.12), which
        show some isolated pages until the node is back.
        """
        text = self._shell.run(f"{_REFRESH}; grep -h nr_isolated {_NODES}/node*/vmstat").stdout
        return sum(int(line.split()[1]) for line in text.splitlines())

    def count_isolated_blocks(self) -> int:
        """Return the pageblocks of online zones that are MIGRATE_ISOLATE."""
        return count_isolated_blocks(self._read("/proc/pagetypeinfo").splitlines())

    def _read(self, path: str) -> str:
        return self._shell.run(f"cat {shlex.quote(path)}").stdout

    def _write(self, path: str, text: str) -> None:
        """Write ``text`` in one write(2), as sysfs wants it."""
        self._shell.run(f"printf %s {shlex.quote(text)} > {shlex.quote(path)}")


def check_landed(
    what: str, nodes: Mapping[int, frozenset[int]], *, node: int, blocks: Iterable[int]
) -> None:
    """Raise :class:`AssertionError` unless all ``blocks`` are in the guest, on ``node``.

    ``nodes`` is what :meth:`GuestMemory.read_block_nodes` says. Memory that the firmware's tables
    give no node of its own lands on another, and nobody complains.
    """
    astray = {block: nodes.get(block, frozenset()) for block in blocks}
    astray = {block: seen for block, seen in astray.items() if seen != {node}}
    if astray:
        told = ", ".join(
            f"memory block {block} on {_name_nodes(seen)}" for block, seen in sorted(astray.items())
        )
        raise AssertionError(f"{what}: asked for node {node}, seen {told}")


def _name_nodes(nodes: frozenset[int]) -> str:
    return " and ".join(f"node {node}" for node in sorted(nodes)) or "no node"


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
