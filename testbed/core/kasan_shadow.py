"""The shadow of KASAN, which takes an eighth of a guest's memory, and all of it from one node."""

import math
from collections.abc import Iterable
from typing import Final

from testbed.core.topology import MEMORY_BLOCK_MIB, Topology

_SHADOW_SHARE: Final = 8  # KASAN_SHADOW_SCALE_SHIFT is 3 (arch/x86/include/asm/kasan.h, 6.12)


def make_room_for_shadow(topology: Topology, kconfig: Iterable[str] | None) -> Topology:
    """Return the machine for a kernel with ``kconfig``: with KASAN its first node is larger.

    The shadow of a whole range of boot memory lies on the node where the range begins (map_range()
    in arch/x86/mm/kasan_init_64.c, 6.12), be it the memory of eight nodes: of the 256 MiB of the
    first, 79 were left. With as much more there, a node has what the topology says.
    """
    if kconfig is None or "KASAN" not in kconfig:
        return topology
    # What is added has a shadow, too. By whole blocks: all other nodes begin where they did in one.
    more_mib = _round_up(topology.boot_memory_mib / (_SHADOW_SHARE - 1))
    first = topology.memory_nodes[0]
    nodes = [
        node.model_copy(update={"memory_mib": node.memory_mib + more_mib}) if i == first else node
        for i, node in enumerate(topology.nodes)
    ]
    shadow_mib = (topology.boot_memory_mib + more_mib) // _SHADOW_SHARE
    hotplug = {"max_memory_mib": topology.max_memory_mib + more_mib}
    return topology.model_copy(
        update={"nodes": tuple(nodes), "shadow_mib": shadow_mib}
        | (hotplug if topology.max_memory_mib else {})
    )


def _round_up(mib: float) -> int:
    return math.ceil(mib / MEMORY_BLOCK_MIB) * MEMORY_BLOCK_MIB
