"""The part of QEMU's command line that is the topology: memory, CPUs, nodes (QEMU 7.2)."""

from testbed.core.topology import Topology


def build_numa_argv(topology: Topology) -> tuple[str, ...]:
    """Return QEMU's options for memory, CPUs, nodes and distances of ``topology``."""
    return (*_memory(topology), *_nodes(topology))


def _memory(topology: Topology) -> tuple[str, ...]:
    size = f"size={topology.boot_memory_mib}M"
    if topology.hotplug:
        size += f",slots={topology.hotplug.slots},maxmem={topology.hotplug.max_memory_mib}M"
    # A socket a CPU: CPUs of one socket share a cache, and the kernel warns (topology_sane() in
    # arch/x86/kernel/smpboot.c, 6.12) when such CPUs lie on different nodes.
    cpus = topology.cpus
    return ("-m", size, "-smp", f"{cpus},sockets={cpus},cores=1,threads=1")


def _nodes(topology: Topology) -> tuple[str, ...]:
    argv: list[str] = []
    first_cpu = 0
    for number, node in enumerate(topology.nodes):
        option = f"node,nodeid={number}"
        if node.cpus:
            option += f",cpus={first_cpu}-{first_cpu + node.cpus - 1}"
            first_cpu += node.cpus
        if node.memory_mib:
            argv += ["-object", f"memory-backend-ram,id=mem{number},size={node.memory_mib}M"]
            option += f",memdev=mem{number}"
        argv += ["-numa", option]
    for source, row in enumerate(topology.distances):
        for target, distance in enumerate(row):
            argv += ["-numa", f"dist,src={source},dst={target},val={distance}"]
    return tuple(argv)
