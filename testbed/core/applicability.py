"""Whether a topology can host a test, and whether a kernel can."""

from collections.abc import Set as AbstractSet

from testbed.core.needs import Needs, list_options
from testbed.core.topology import Topology


def explain_unhosted(needs: Needs, topology: Topology) -> str:
    """Return what ``topology`` lacks for a test with ``needs``; empty when it lacks nothing."""
    tiers = len(topology.hmat.tiers) if topology.hmat else 1
    for needed, has, what in (
        (needs.nodes, len(topology.memory_nodes), "nodes with memory"),
        (needs.memoryless, len(topology.memoryless_nodes), "nodes with a CPU and no memory"),
        (needs.empty_nodes, len(topology.empty_nodes), "nodes that only plugging brings to life"),
        (needs.dimm_slots, topology.dimm_slots, "DIMM slots"),
        (needs.virtio_mem, len(topology.virtio_mem), "virtio-mem devices"),
        (needs.swap_mib, topology.swap_total_mib, "MiB of swap"),
        (needs.tiers, tiers, "memory tiers"),
    ):
        if has < needed:
            return f"needs {needed} {what}, {topology.name} has {has}"
    return ""


def find_missing_features(needs: Needs, features: AbstractSet[str]) -> tuple[str, ...]:
    """Return the features of a patch series that a test needs and the kernel does not have."""
    return tuple(sorted(set(needs.features) - features))


def find_missing_options(
    needs: Needs, kconfig: AbstractSet[str] | None, *, release: str = ""
) -> tuple[str, ...]:
    """Return the options that a test needs and the kernel was built without.

    ``kconfig`` is None where the configuration is not known; then nothing is missing.
    """
    wanted = list_options(needs, release=release)
    return () if kconfig is None else tuple(sorted(set(wanted) - kconfig))
