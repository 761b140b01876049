"""What the tests of the series page-mobility ask the guest: its mode, its pageblocks by type."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from testbed.host.vm import Vm

MODES: Final = ("off", "lite", "full")
TYPES: Final = ("Unmovable", "Movable", "Reclaimable")
PAGEBLOCKS_PER_BLOCK: Final = 64  # of 2 MiB, of 128 MiB
PAGES_PER_PAGEBLOCK: Final = 512
HUGE_ORDER: Final = 9

_PARAMETER: Final = re.compile(r"(?<!\S)page_mobility=(off|lite|full)(?!\S)")
_GROUPING: Final = re.compile(r"mobility grouping (\w+)\.")
_TYPES_HEADER: Final = re.compile(r"Number of blocks type\s+(.*)")
_TYPES_ROW: Final = re.compile(r"Node\s+(\d+), zone\s+(\w+)\s+([\d ]+)$")
_FREE_ROW: Final = re.compile(r"Node\s+(\d+), zone\s+(\w+), type\s+(\w+)\s+([>\d ]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pageblocks:
    """Of a zone: how many pageblocks are of which type, and how many free areas, by order."""

    blocks: Mapping[str, int]
    areas: Mapping[str, tuple[int, ...]]

    def count_free(self, kind: str) -> int:
        """Return the free pages on the lists of a type."""
        return sum(areas << order for order, areas in enumerate(self.areas[kind]))

    def count_free_huge(self) -> int:
        """Return how many huge pages the free areas are that are large enough for one."""
        return sum(
            areas << order - HUGE_ORDER
            for by_order in self.areas.values()
            for order, areas in enumerate(by_order)
            if order >= HUGE_ORDER
        )

    def find_astray(self) -> dict[str, int]:
        """Return the types on whose lists there are more free pages than fit into its pageblocks.

        A free page is to be on the list of its pageblock's type.
        """
        free = {kind: self.count_free(kind) for kind in TYPES}
        return {
            kind: pages
            for kind, pages in free.items()
            if pages > self.blocks[kind] * PAGES_PER_PAGEBLOCK
        }


def read_zones(vm: Vm) -> dict[tuple[int, str], Pageblocks]:
    """Return what /proc/pagetypeinfo says: by node and zone."""
    blocks: dict[tuple[int, str], dict[str, int]] = {}
    areas: dict[tuple[int, str], dict[str, tuple[int, ...]]] = {}
    names: list[str] = []
    for line in vm.run("cat /proc/pagetypeinfo").stdout.splitlines():
        if header := _TYPES_HEADER.match(line):
            names = header[1].split()
        elif row := _FREE_ROW.match(line.rstrip()):
            counts = tuple(int(word.lstrip(">")) for word in row[4].split())
            areas.setdefault((int(row[1]), row[2]), {})[row[3]] = counts
        elif row := _TYPES_ROW.match(line.rstrip()):
            numbers = map(int, row[3].split())
            blocks[int(row[1]), row[2]] = dict(zip(names, numbers, strict=True))
    return {zone: Pageblocks(blocks=blocks[zone], areas=areas[zone]) for zone in blocks}


def count_types(vm: Vm, node: int) -> Counter[str]:
    """Return how many pageblocks of ``node`` are of which type."""
    counts: Counter[str] = Counter()
    for (of_node, _), zone in read_zones(vm).items():
        if of_node == node:
            counts.update(zone.blocks)
    return +counts


def assert_none_astray(vm: Vm) -> None:
    """Assert that free pages lie in pageblocks of the type on whose list they are."""
    astray = {zone: found for zone, one in read_zones(vm).items() if (found := one.find_astray())}
    assert astray == {}, "free pages on lists of types that have no room for them"


def read_mode(vm: Vm) -> str:
    """Return the mode that is in force."""
    return vm.run("cat /proc/sys/vm/page_mobility").stdout.strip()


def read_asked(vm: Vm) -> str:
    """Return the mode that the kernel's command line asks for."""
    asked = _PARAMETER.findall(vm.run("cat /proc/cmdline").stdout)
    return asked[-1] if asked else "full"


def read_logged(vm: Vm) -> list[str]:
    """Return the modes that the kernel's log tells, one for each time that zonelists were built."""
    return _GROUPING.findall(vm.run("dmesg").stdout)
