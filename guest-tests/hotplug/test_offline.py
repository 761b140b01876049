"""Offlining a populated block of ZONE_MOVABLE: its pages move, and no byte of them is lost."""

import pytest
from hotplug_workload import PAGES_PER_MIB, WORKLOAD_MIB, Workload

from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = pytest.mark.needs(
    nodes=2, dimm_slots=1, kconfig=["MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY"], timeout_s=60
)


@pytest.mark.quick
def test_populated_block_is_emptied(
    movable_dimm: Dimm, workload: Workload, memory: GuestMemory, report: Reporter
) -> None:
    by_block = workload.count_by_block()
    block = max(movable_dimm.blocks, key=lambda number: by_block.get(number, 0))
    inside = by_block.get(block, 0)
    assert inside > PAGES_PER_MIB, f"the block to be emptied holds next to nothing: {by_block}"
    placed = workload.count_by_node()
    before = memory.read_vmstat()

    memory.set_block(block, "offline")

    assert memory.read_block(block) == "offline"
    assert block not in workload.count_by_block(), "a page of the workload is still in the block"
    now = workload.count_by_node()
    # do_migrate_range() in mm/memory_hotplug.c, 6.12: another node is preferred to the block's
    # own, whatever the policy of the mapping says. Which one, the zonelist decides.
    home = movable_dimm.node
    others = sum(pages for node, pages in now.items() if node != home)
    report.placement(
        f"workload after block {block} of node {home} went offline (-1: any other node)",
        expected={home: placed[home] - inside, -1: inside},
        seen={home: now.get(home, 0), -1: others},
    )
    workload.assert_intact()
    after = memory.read_vmstat()
    assert after["pgmigrate_success"] - before["pgmigrate_success"] >= inside
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0


def test_blocks_go_offline_and_come_back(
    movable_dimm: Dimm, workload: Workload, memory: GuestMemory
) -> None:
    totals = memory.read_totals_kib()
    for block in movable_dimm.blocks:
        memory.set_block(block, "offline")
    by_block = workload.count_by_block()
    assert not set(movable_dimm.blocks) & set(by_block), f"left in the blocks: {by_block}"
    assert sum(by_block.values()) == WORKLOAD_MIB * PAGES_PER_MIB
    workload.assert_intact()

    for block in movable_dimm.blocks:
        memory.set_block(block, "online_movable")

    assert memory.read_totals_kib() == totals
    workload.assert_intact()
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0
