"""The part of QEMU's command line that is the topology: memory, CPUs, nodes (QEMU 7.2)."""

from collections.abc import Iterator

from testbed.core.topology import Topology


def machine_options(topology: Topology) -> tuple[str, ...]:
    """Return what the value of ``-machine`` needs besides ``topology.machine``.

    The HMAT must be on before the options of :func:`build_numa_argv` that speak of it; QEMU
    reads ``-machine`` first, wherever it stands.
    """
    return ("hmat=on",) if topology.hmat else ()


def build_numa_argv(topology: Topology) -> tuple[str, ...]:
    """Return QEMU's options for the memory, CPUs, nodes and virtio-mem devices of ``topology``."""
    return (
        *_memory(topology),
        *_nodes(topology),
        *_distances(topology),
        *_hmat(topology),
        *_virtio_mem(topology),
    )


def name_virtio_mem(number: int) -> str:
    """Return the id of the virtio-mem device at this position of the topology."""
    return f"vmem{number}"


def _memory(topology: Topology) -> tuple[str, ...]:
    size = f"size={topology.boot_memory_mib}M"
    if topology.dimm_slots:
        size += f",slots={topology.dimm_slots}"
    if topology.max_memory_mib:
        size += f",maxmem={topology.max_memory_mib}M"
    # A socket a CPU: CPUs of one socket share a cache, and the kernel warns (topology_sane() in
    # arch/x86/kernel/smpboot.c, 6.12) when such CPUs lie on different nodes.
    cpus = topology.cpus
    return ("-m", size, "-smp", f"{cpus},sockets={cpus},cores=1,threads=1")


def _nodes(topology: Topology) -> Iterator[str]:
    for number, node in enumerate(topology.nodes):
        option = f"node,nodeid={number}"
        if node.cpus:
            cpus = topology.list_cpus(number)
            option += f",cpus={cpus[0]}-{cpus[-1]}"
        if node.memory_mib:
            yield from ("-object", f"memory-backend-ram,id=mem{number},size={node.memory_mib}M")
            option += f",memdev=mem{number}"
        # A node with CPUs is its own initiator, whatever one says.
        initiator = topology.find_initiator(number)
        if initiator is not None and not node.cpus:
            option += f",initiator={initiator}"
        yield from ("-numa", option)


def _distances(topology: Topology) -> Iterator[str]:
    for source, row in enumerate(topology.distances):
        for target, distance in enumerate(row):
            yield from ("-numa", f"dist,src={source},dst={target},val={distance}")


def _hmat(topology: Topology) -> Iterator[str]:
    """Yield latencies in nanoseconds and bandwidths in bytes a second, as QEMU counts them."""
    if topology.hmat is None:
        return
    tables = (
        ("latency", "", topology.hmat.latency_ns),
        ("bandwidth", "M", topology.hmat.bandwidth_mib_s),
    )
    for what, unit, table in tables:
        for source, row in enumerate(table):
            for target, value in enumerate(row):
                if value is not None:
                    yield "-numa"
                    yield (
                        f"hmat-lb,initiator={source},target={target},hierarchy=memory,"
                        f"data-type=access-{what},{what}={value}{unit}"
                    )


def _virtio_mem(topology: Topology) -> Iterator[str]:
    for number, device in enumerate(topology.virtio_mem):
        name = name_virtio_mem(number)
        yield from ("-object", f"memory-backend-ram,id={name}-memory,size={device.max_mib}M")
        yield "-device"
        yield (
            f"virtio-mem-pci,id={name},node={device.node},memdev={name}-memory,"
            f"block-size={device.block_mib}M,requested-size={device.requested_mib}M"
        )
