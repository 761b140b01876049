"""What the hotplug tests share: memory in ZONE_MOVABLE and a workload that lies on it."""

from collections.abc import Iterator, Sequence
from typing import Final

import pytest
from hotplug_workload import DIMM_MIB, Workload

from testbed.core.topology import Topology
from testbed.host.guest import Guest
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.virtio_mem import VirtioMem
from testbed.host.vm import Vm

# For a node that has memory at boot, and for one that only plugging brings to life.
_NODE_KINDS: Final = (
    "node_with_memory",
    pytest.param("empty_node", marks=pytest.mark.needs(empty_nodes=1)),
)


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture(params=_NODE_KINDS)
def dimm_node(request: pytest.FixtureRequest, vm: Vm) -> int:
    """The node that DIMMs go to."""
    slots = [i for i, node in enumerate(vm.topology.nodes) if node.dimm_slots]
    return _choose_node(vm.topology, request.param, slots)


@pytest.fixture(params=_NODE_KINDS)
def virtio_mem_node(request: pytest.FixtureRequest, vm: Vm) -> int:
    """The node that a virtio-mem device is on."""
    devices = [device.node for device in vm.topology.virtio_mem]
    return _choose_node(vm.topology, request.param, devices)


def _choose_node(topology: Topology, kind: str, pluggable: Sequence[int]) -> int:
    nodes = topology.empty_nodes if kind == "empty_node" else topology.memory_nodes
    found = [node for node in pluggable if node in nodes]
    assert found, f"{topology.name} has nowhere to plug on a {kind}"
    return found[0]


@pytest.fixture
def device(hotplug: Hotplug, virtio_mem_node: int) -> VirtioMem:
    """The virtio-mem device of that node; it has no memory yet."""
    found = hotplug.virtio_mem(virtio_mem_node)
    assert found.size_mib == 0
    return found


@pytest.fixture
def movable_dimm(hotplug: Hotplug, memory: GuestMemory, dimm_node: int) -> Iterator[Dimm]:
    """A DIMM whose blocks are all online in ZONE_MOVABLE; what the test leaves plugged must go."""
    dimm = hotplug.add_dimm(node=dimm_node, size_mib=DIMM_MIB)
    states = memory.read_blocks()
    assert {states[block] for block in dimm.blocks} == {"offline"}, "new blocks wait to be onlined"
    hotplug.online(dimm)
    for block in dimm.blocks:
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
