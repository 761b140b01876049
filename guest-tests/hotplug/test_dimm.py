"""The life of a DIMM: plugged, onlined, used, emptied, unplugged, and plugged again."""

import pytest
from hotplug_workload import (
    DIMM_MIB,
    KIB_PER_MIB,
    PAGES_PER_MIB,
    WORKLOAD_MIB,
    Workload,
    hold_kernel_memory,
)

from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = pytest.mark.needs(
    nodes=2, dimm_slots=1, kconfig=["MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY"], timeout_s=60
)


@pytest.mark.quick
def test_dimm_is_used_and_given_back(
    vm: Vm, hotplug: Hotplug, memory: GuestMemory, dimm_node: int, report: Reporter
) -> None:
    blocks = memory.list_blocks()
    totals = memory.read_totals_kib()
    assert memory.list_nodes() == frozenset(totals)

    dimm = hotplug.add_dimm(node=dimm_node, size_mib=DIMM_MIB)
    assert memory.list_blocks() == blocks | set(dimm.blocks)
    assert memory.read_totals_kib() == totals | {dimm_node: totals.get(dimm_node, 0)}
    hotplug.online(dimm)
    for block in dimm.blocks:
        assert memory.read_zones(block) == ("Movable",)
    grown = totals.get(dimm_node, 0) + DIMM_MIB * KIB_PER_MIB
    assert memory.read_totals_kib() == totals | {dimm_node: grown}

    pages = WORKLOAD_MIB * PAGES_PER_MIB
    with Workload.start(vm.guest, node=dimm_node) as workload:
        by_block = workload.count_by_block()
        on_dimm = sum(by_block.get(block, 0) for block in dimm.blocks)
        report.placement(
            "workload bound to the node of the DIMM",
            expected={dimm_node: pages},
            seen=workload.count_by_node(),
        )
        assert on_dimm == pages, f"ZONE_MOVABLE comes first, yet the pages are in {by_block}"

        for block in dimm.blocks:
            memory.set_block(block, "offline")
        removal = hotplug.remove(dimm)

        assert removal.is_removed, removal.reason
        assert sum(workload.count_by_node().values()) == pages
        workload.assert_intact()

    assert memory.list_blocks() == blocks
    assert memory.read_totals_kib() == totals
    assert memory.list_nodes() == frozenset(totals), "a node without memory and CPUs stays online"
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0


def test_online_dimm_is_emptied_by_its_removal(
    movable_dimm: Dimm, workload: Workload, hotplug: Hotplug, memory: GuestMemory
) -> None:
    # acpi_memory_device_remove() by way of acpi_scan_hot_remove() offlines what is online
    # (drivers/acpi/scan.c, 6.12): nobody needs to have done it before.
    removal = hotplug.remove(movable_dimm)

    assert removal.is_removed, removal.reason
    assert not set(movable_dimm.blocks) & set(workload.count_by_block())
    workload.assert_intact()
    assert not set(movable_dimm.blocks) & memory.list_blocks()
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0


def test_same_slot_takes_a_dimm_again(
    hotplug: Hotplug, memory: GuestMemory, dimm_node: int
) -> None:
    first = hotplug.add_dimm(node=dimm_node, size_mib=DIMM_MIB)
    assert hotplug.remove(first).is_removed
    again = hotplug.add_dimm(node=dimm_node, size_mib=DIMM_MIB)

    assert again.blocks == first.blocks
    hotplug.online(again)
    assert dimm_node in memory.list_nodes("has_memory")
    removal = hotplug.remove(again)
    assert removal.is_removed, removal.reason


@pytest.mark.quick
def test_kernel_memory_keeps_its_dimm(
    vm: Vm, hotplug: Hotplug, memory: GuestMemory, dimm_node: int
) -> None:
    dimm = hotplug.add_dimm(node=dimm_node, size_mib=DIMM_MIB)
    hotplug.online(dimm, "online_kernel")
    assert {memory.read_zones(block) for block in dimm.blocks} == {("Normal",)}
    hold_kernel_memory(vm, node=dimm_node)
    totals = memory.read_totals_kib()

    for _ in range(2):  # a refusal leaves nothing behind that a second request would trip over
        removal = hotplug.remove(dimm)

        assert not removal.is_removed
        assert "ACPI_DEVICE_OST" in removal.reason
        assert hotplug.dimms == (dimm,)
        states = memory.read_blocks()
        assert {states[block] for block in dimm.blocks} == {"online"}
        assert memory.read_totals_kib() == totals
        assert memory.count_isolated_pages() == 0
        assert memory.count_isolated_blocks() == 0
