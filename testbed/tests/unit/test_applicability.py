"""What a topology lacks is told in one line: what is needed, and what it has."""

import pytest

from testbed.core.applicability import explain_unhosted
from testbed.core.needs import Needs
from testbed.host import catalog

NO_BARE = "needs 1 nodes with a CPU and no memory, two-nodes has 0"


@pytest.mark.parametrize(
    ("needs", "topology", "told"),
    [
        (Needs(nodes=2), "two-nodes", ""),
        (Needs(nodes=3), "two-nodes", "needs 3 nodes with memory, two-nodes has 2"),
        (Needs(nodes=3, dimm_slots=4), "three-nodes-hotplug", ""),
        (Needs(dimm_slots=5), "two-nodes", "needs 5 DIMM slots, two-nodes has 4"),
        (Needs(memoryless=1), "memory-less", ""),
        (
            Needs(memoryless=1),
            "two-nodes",
            NO_BARE,
        ),
        (Needs(virtio_mem=2), "virtio-mem", ""),
        (Needs(virtio_mem=1), "two-nodes", "needs 1 virtio-mem devices, two-nodes has 0"),
        (Needs(swap_mib=256), "swap", ""),
        (Needs(swap_mib=257), "swap", "needs 257 MiB of swap, swap has 256"),
        (Needs(tiers=2), "slow-tier", ""),
        (Needs(tiers=3), "slow-tier", "needs 3 memory tiers, slow-tier has 2"),
        (Needs(tiers=2), "two-nodes", "needs 2 memory tiers, two-nodes has 1"),
    ],
)
def test_what_a_topology_lacks_is_told(needs: Needs, topology: str, told: str) -> None:
    assert explain_unhosted(needs, catalog.load_topology(topology)) == told
