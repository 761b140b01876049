"""Whether a topology can host a test, and whether a kernel can."""

from collections.abc import Set as AbstractSet

from testbed.core.needs import Needs
from testbed.core.topology import Topology


def explain_unhosted(needs: Needs, topology: Topology) -> str:
    """Return what ``topology`` lacks for a test with ``needs``; empty when it lacks nothing."""
    have_nodes = len(topology.memory_nodes)
    if have_nodes < needs.nodes:
        return f"needs {needs.nodes} nodes with memory, {topology.name} has {have_nodes}"
    if topology.dimm_slots < needs.dimm_slots:
        return f"needs {needs.dimm_slots} DIMM slots, {topology.name} has {topology.dimm_slots}"
    return ""


def find_missing_features(needs: Needs, features: AbstractSet[str]) -> tuple[str, ...]:
    """Return the features of a patch series that a test needs and the kernel does not have."""
    return tuple(sorted(set(needs.features) - features))


def find_missing_options(needs: Needs, kconfig: AbstractSet[str] | None) -> tuple[str, ...]:
    """Return the options that a test needs and the kernel was built without.

    ``kconfig`` is None where the configuration is not known; then nothing is missing.
    """
    return () if kconfig is None else tuple(sorted(set(needs.kconfig) - kconfig))
