"""What the hotplug tests share: a DIMM in ZONE_MOVABLE and a workload that lies on it."""

from collections.abc import Iterator

import pytest
from hotplug_workload import DIMM_MIB, Workload

from testbed.host.guest import Guest
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm


@pytest.fixture
def memory(guest: Guest) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(guest)


@pytest.fixture
def dimm_node(vm: Vm) -> int:
    """The node that DIMMs go to: one that only they bring to life, where the machine has one."""
    return (*vm.topology.empty_nodes, *vm.topology.memory_nodes[::-1])[0]


@pytest.fixture
def movable_dimm(hotplug: Hotplug, memory: GuestMemory, dimm_node: int) -> Iterator[Dimm]:
    """A DIMM whose blocks are all online in ZONE_MOVABLE; what the test leaves plugged must go."""
    dimm = hotplug.add_dimm(node=dimm_node, size_mib=DIMM_MIB)
    for block in dimm.blocks:
        assert memory.read_block(block) == "offline", "a new block waits to be onlined"
        memory.set_block(block, "online_movable")
        assert memory.read_zones(block) == ("Movable",)
    yield dimm
    if dimm in hotplug.dimms:
        removal = hotplug.remove(dimm)
        assert removal.is_removed, removal.reason


@pytest.fixture
def workload(guest: Guest, movable_dimm: Dimm) -> Iterator[Workload]:
    """A process whose memory is bound to the DIMM's node, rewritten and verified all along."""
    with Workload.start(guest, node=movable_dimm.node) as running:
        yield running
