"""What the hotplug tests share: memory in ZONE_MOVABLE and a workload that lies on it."""

from collections.abc import Iterator
from typing import Final

import pytest
from hotplug_workload import DIMM_MIB, Workload

from testbed.core.topology import Topology
from testbed.host.guest import Guest
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.virtio_mem import VirtioMem
from testbed.host.vm import Vm
from testbed.pytest_plugin.stash import CELL_KEY

_NODE_FIXTURES: Final = ("dimm_node", "virtio_mem_node")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for a node that has memory at boot and for one that only plugging brings to life.

    A topology that has neither cannot host the test, which its needs say.
    """
    cell = metafunc.config.stash.get(CELL_KEY, None)
    for fixture in set(_NODE_FIXTURES) & set(metafunc.fixturenames):
        nodes = _find_nodes(fixture, cell.config.topology) if cell else {}
        metafunc.parametrize(
            fixture, list(nodes.values()) or [-1], ids=list(nodes) or ["no_node"], indirect=True
        )


def _find_nodes(fixture: str, topology: Topology) -> dict[str, int]:
    """Return the first node of each kind, by the name of the kind."""
    pluggable = {
        "dimm_node": [i for i, node in enumerate(topology.nodes) if node.dimm_slots],
        "virtio_mem_node": [device.node for device in topology.virtio_mem],
    }[fixture]
    kinds = {
        "node_with_memory": [i for i in pluggable if i in topology.memory_nodes],
        "empty_node": [i for i in pluggable if i in topology.empty_nodes],
    }
    return {kind: nodes[0] for kind, nodes in kinds.items() if nodes}


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def dimm_node(request: pytest.FixtureRequest) -> int:
    """The node that DIMMs go to."""
    node: int = request.param
    return node


@pytest.fixture
def virtio_mem_node(request: pytest.FixtureRequest) -> int:
    """The node that a virtio-mem device is on."""
    node: int = request.param
    return node


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
