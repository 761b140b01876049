"""A node's only memory goes offline and online again while calls send pages there without a pause.

test_going_offline.py has the order of things in its hand; here they meet as they like, now and then
in the midst of a batch of pages. What has to be true is so at any time: see /tools/moveloop.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.host.guest import GuestProcess
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = pytest.mark.needs(
    nodes=2,
    empty_nodes=1,
    dimm_slots=1,
    kconfig=["MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY", "PROC_PAGE_MONITOR"],
    timeout_s=120,
)

_PAGES: Final = 8192
_HOME: Final = 0
_TURNS: Final = 20


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def dimm(vm: Vm, hotplug: Hotplug) -> Iterator[Dimm]:
    """All memory of a node that had none: a memory block, online in ZONE_MOVABLE."""
    slots = [i for i, node in enumerate(vm.topology.nodes) if node.dimm_slots]
    empty = next(i for i in slots if i in vm.topology.empty_nodes)
    plugged = hotplug.add_dimm(node=empty, size_mib=MEMORY_BLOCK_MIB)
    hotplug.online(plugged)
    yield plugged
    removal = hotplug.remove(plugged)
    assert removal.is_removed, removal.reason


def _ask(process: GuestProcess) -> dict[str, Any]:
    answer = process.ask("so far")
    assert answer["wrong"] == ""
    return answer


@pytest.mark.covers(
    interface=["move_pages-set"],
    backing=["anon-private"],
    condition=["target-memoryless"],
    contract=[16],
)
def test_offline_meets_calls_that_move_pages_there(
    vm: Vm, dimm: Dimm, memory: GuestMemory, report: Reporter
) -> None:
    block = dimm.blocks[0]
    before = memory.read_vmstat()
    command = f"/tools/moveloop --pages {_PAGES} --home {_HOME} --target {dimm.node}"
    with vm.guest.start(command) as process:
        assert process.read_json() == {"ready": True}
        for _ in range(_TURNS):
            # Answered between two calls: the next is about to begin.
            _ask(process)
            memory.set_block(block, "offline")
            assert memory.read_block(block) == "offline"
            assert dimm.node not in memory.list_nodes("has_memory")
            memory.set_block(block, "online_movable")
        so_far = _ask(process)
        assert so_far["moved"] + so_far["parted"] > 0
        assert so_far["refused"] + so_far["parted"] > 0
        report.metric("parted", so_far["parted"], "calls")
        # With nobody else about, all pages get there.
        quiet = _ask(process)
        later = _ask(process)
        assert later["moved"] - quiet["moved"] == later["rounds"] - quiet["rounds"] > 0
        assert process.finish() == 0
    assert memory.count_isolated_pages() == 0
    assert memory.count_isolated_blocks() == 0
    assert memory.read_vmstat()["oom_kill"] == before["oom_kill"]
