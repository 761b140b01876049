"""virtio-mem: a node's memory grows and shrinks under load, and no byte of it is lost."""

import pytest
from hotplug_workload import (
    KIB_PER_MIB,
    PAGES_PER_MIB,
    WORKLOAD_MIB,
    Workload,
    hold_kernel_memory,
)

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.host.guest_memory import GuestMemory
from testbed.host.virtio_mem import VirtioMem
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = pytest.mark.needs(
    nodes=2, virtio_mem=1, kconfig=["MEMORY_HOTREMOVE", "VIRTIO_MEM"], timeout_s=60
)

BLOCKS = 3
LARGE_MIB = BLOCKS * MEMORY_BLOCK_MIB
# Half of a memory block stays filled: the device goes by sub-blocks of 2 MiB.
SMALL_MIB = MEMORY_BLOCK_MIB + MEMORY_BLOCK_MIB // 2


def expect_totals(boot_kib: dict[int, int], node: int, plugged_mib: int) -> dict[int, int]:
    """Return what MemTotal is to be of each node, once ``plugged_mib`` are online on ``node``."""
    return boot_kib | {node: boot_kib.get(node, 0) + plugged_mib * KIB_PER_MIB}


def test_offline_memory_comes_and_goes(
    device: VirtioMem, memory: GuestMemory, virtio_mem_node: int
) -> None:
    blocks = memory.list_blocks()
    totals = memory.read_totals_kib()

    grown = device.resize(LARGE_MIB)

    assert grown.is_complete, grown.reason
    assert len(grown.blocks) == BLOCKS
    states = memory.read_blocks()
    assert set(states) == blocks | set(grown.blocks)
    assert {states[block] for block in grown.blocks} == {"offline"}
    assert memory.read_totals_kib() == totals | {virtio_mem_node: totals.get(virtio_mem_node, 0)}

    gone = device.resize(0)

    assert gone.is_complete, gone.reason
    assert gone.blocks == ()
    assert memory.list_blocks() == blocks
    assert memory.read_totals_kib() == totals


def test_memory_under_load_shrinks_and_grows_again(
    vm: Vm, device: VirtioMem, memory: GuestMemory, virtio_mem_node: int, report: Reporter
) -> None:
    totals = memory.read_totals_kib()
    grown = device.resize(LARGE_MIB, online="online_movable")
    assert grown.is_complete, grown.reason
    assert {memory.read_zones(block) for block in grown.blocks} == {("Movable",)}
    assert memory.read_auto_online() == "offline"
    assert memory.read_totals_kib() == expect_totals(totals, virtio_mem_node, LARGE_MIB)

    with Workload.start(vm.guest, node=virtio_mem_node) as workload:
        on_device = {b for b in workload.count_by_block() if b in grown.blocks}
        assert on_device, "ZONE_MOVABLE comes first, yet no page is there"

        shrunk = device.resize(SMALL_MIB)

        assert shrunk.is_complete, shrunk.reason
        assert memory.read_totals_kib() == expect_totals(totals, virtio_mem_node, SMALL_MIB)
        assert set(workload.count_by_block()) <= memory.list_blocks()
        workload.assert_intact()

        again = device.resize(LARGE_MIB, online="online_movable")

        assert again.is_complete, again.reason
        assert memory.read_totals_kib() == expect_totals(totals, virtio_mem_node, LARGE_MIB)
        report.placement(
            "workload after its node shrank and grew",
            expected={-1: WORKLOAD_MIB * PAGES_PER_MIB},
            seen={-1: sum(n for node, n in workload.count_by_node().items() if node >= 0)},
        )
        workload.assert_intact()
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0


def test_movable_memory_is_all_given_back(
    vm: Vm, device: VirtioMem, memory: GuestMemory, virtio_mem_node: int, report: Reporter
) -> None:
    blocks = memory.list_blocks()
    totals = memory.read_totals_kib()
    grown = device.resize(LARGE_MIB, online="online_movable")
    assert grown.is_complete, grown.reason
    pages = WORKLOAD_MIB * PAGES_PER_MIB
    with Workload.start(vm.guest, node=virtio_mem_node) as workload:
        report.placement(
            "workload bound to the node of the device",
            expected={virtio_mem_node: pages},
            seen=workload.count_by_node(),
        )
        before = workload.count_by_block()
        assert sum(before.get(block, 0) for block in grown.blocks) == pages, before

        gone = device.resize(0)

        assert gone.is_complete, gone.reason
        assert gone.blocks == ()
        after = workload.count_by_node()
        assert sum(pages for node, pages in after.items() if node in totals) == pages, after
        assert set(workload.count_by_block()) <= blocks
        workload.assert_intact()

    assert memory.list_blocks() == blocks
    assert memory.read_totals_kib() == totals
    assert memory.list_nodes() == frozenset(totals), "a node without memory and CPUs stays online"
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0


def test_kernel_memory_is_not_given_back(
    vm: Vm, device: VirtioMem, memory: GuestMemory, virtio_mem_node: int
) -> None:
    totals = memory.read_totals_kib()
    grown = device.resize(MEMORY_BLOCK_MIB, online="online_kernel")
    assert grown.is_complete, grown.reason
    (block,) = grown.blocks
    assert memory.read_zones(block) == ("Normal",)
    hold_kernel_memory(vm, node=virtio_mem_node)

    kept = device.resize(0)

    assert not kept.is_complete
    assert 0 < kept.size_mib < MEMORY_BLOCK_MIB, (
        "all that can be moved goes, sub-block by sub-block"
    )
    assert "gave up for now" in kept.reason
    assert kept.blocks == (block,)
    assert memory.read_block(block) == "online"
    assert memory.read_totals_kib() == expect_totals(totals, virtio_mem_node, kept.size_mib)
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0
