"""A pin for long (FOLL_LONGTERM) first takes its pages out of ZONE_MOVABLE, so that it stays so."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from testbed.host.guest import GuestProcess
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

_DIMM_MIB: Final = 256
_PAGES: Final = 64

pytestmark = pytest.mark.needs(
    nodes=2,
    dimm_slots=1,
    kconfig=["MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY", "IO_URING", "PROC_PAGE_MONITOR"],
    timeout_s=60,
)


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def movable_dimm(vm: Vm, hotplug: Hotplug, memory: GuestMemory) -> Iterator[Dimm]:
    """A DIMM, all of it in ZONE_MOVABLE, on a node that has memory of its own."""
    nodes = [
        number
        for number, node in enumerate(vm.topology.nodes)
        if node.dimm_slots and number in vm.topology.memory_nodes
    ]
    dimm = hotplug.add_dimm(node=nodes[0], size_mib=_DIMM_MIB)
    hotplug.online(dimm)
    for block in dimm.blocks:
        assert memory.read_zones(block) == ("Movable",)
    yield dimm
    if dimm in hotplug.dimms:
        removal = hotplug.remove(dimm)
        assert removal.is_removed, removal.reason


@contextmanager
def _holding(vm: Vm, node: int) -> Iterator[GuestProcess]:
    with vm.guest.start(f"/tools/pinhold --pages {_PAGES} --bind {node}") as process:
        assert process.read_json() == {"ready": True, "pages": _PAGES}
        yield process


def _count_on(process: GuestProcess, dimm: Dimm) -> int:
    by_block = process.ask("blocks")["blocks"]
    return sum(int(by_block.get(str(block), 0)) for block in dimm.blocks)


def _count_pins(memory: GuestMemory) -> int:
    counts = memory.read_vmstat()
    return counts["nr_foll_pin_acquired"] - counts["nr_foll_pin_released"]


def test_pinned_pages_leave_the_movable_zone(
    vm: Vm, memory: GuestMemory, movable_dimm: Dimm, report: Reporter
) -> None:
    node = movable_dimm.node
    other = next(number for number in sorted(vm.topology.memory_nodes) if number != node)
    with _holding(vm, node) as process:
        assert _count_on(process, movable_dimm) == _PAGES, "ZONE_MOVABLE comes first"
        before, pins = memory.read_vmstat(), _count_pins(memory)

        assert process.ask("pin") == {"error": 0}

        after = memory.read_vmstat()
        assert _count_on(process, movable_dimm) == 0, "a page is pinned in ZONE_MOVABLE"
        assert process.ask("check") == {"bad": 0}
        assert _count_pins(memory) - pins == _PAGES
        # migrate_longterm_unpinnable_folios() in mm/gup.c, 6.12: each moves once.
        assert after["pgmigrate_success"] - before["pgmigrate_success"] == _PAGES
        assert after["pgmigrate_fail"] == before["pgmigrate_fail"]
        # alloc_migration_target(): the node that the page was on comes first.
        seen = {int(where): pages for where, pages in process.ask("nodes")["nodes"].items()}
        report.placement("pinned pages, out of the DIMM", expected={node: _PAGES}, seen=seen)

        # Pinned they stay where they are now; the DIMM is as free as if there were no pin.
        assert process.ask(f"move {other}") == {"result": _PAGES}
        for block in movable_dimm.blocks:
            memory.set_block(block, "offline")
        assert process.ask("check") == {"bad": 0}

        assert process.ask("unpin") == {"error": 0}
        assert _count_pins(memory) == pins
        assert process.ask(f"move {other}") == {"result": 0}
        assert process.ask("nodes") == {"nodes": {str(other): _PAGES}}
        assert process.ask("check") == {"bad": 0}
        assert process.finish() == 0
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0
