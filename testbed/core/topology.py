"""Topologies: the NUMA machines that guests are booted on, as data."""

from functools import reduce
from operator import or_
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic.functional_validators import AfterValidator

from testbed.core.strict_yaml import StrictModel, parse_yaml

LOCAL_DISTANCE: Final = 10  # ACPI 6.5, 5.2.17: SLIT entries of a locality to itself
REMOTE_DISTANCE: Final = 20  # what Linux takes without a SLIT: include/linux/topology.h, 6.12
MEMORY_BLOCK_MIB: Final = 128  # MIN_MEMORY_BLOCK_SIZE of x86-64, arch/x86/mm/init_64.c, 6.12
MIN_BOOT_MEMORY_MIB: Final = 128
MAX_DIMM_SLOTS: Final = 256  # ACPI_MAX_RAM_SLOTS, QEMU 7.2
MAX_HMAT_ENTRY: Final = 0xFFFE  # 16 bits an entry, 0xFFFF is "no value": ACPI 6.5, 5.2.28.4

# A distance of 10 between two nodes makes Linux drop the whole SLIT (slit_valid() in
# drivers/acpi/numa/srat.c, 6.12), hence _check_distances().
Distance = Annotated[int, Field(ge=LOCAL_DISTANCE, le=254)]
NodeNumber = Annotated[int, Field(ge=0, le=63)]
Latency = Annotated[int, Field(ge=1, le=MAX_HMAT_ENTRY)]
Bandwidth = Annotated[int, Field(ge=1)]
SwapSize = Annotated[int, Field(ge=1, le=65536)]


def _check_power_of_two(number: int) -> int:
    if number & (number - 1):
        raise ValueError("a power of two is needed")
    return number


class Node(StrictModel):
    """One NUMA node at boot.

    ``cpus`` may be 0 (memory only), ``memory_mib`` may be 0; ``dimm_slots`` are the empty slots
    that are meant for DIMMs of this node. To QEMU a slot belongs to no node.
    """

    cpus: int = Field(ge=0, le=64)
    memory_mib: int = Field(ge=0)
    dimm_slots: int = Field(default=0, ge=0, le=MAX_DIMM_SLOTS)

    @property
    def is_empty(self) -> bool:
        """Whether the node has neither a CPU nor memory at boot."""
        return not self.cpus and not self.memory_mib


class VirtioMem(StrictModel):
    """A virtio-mem device: memory of ``node`` that grows and shrinks in steps of ``block_mib``.

    ``requested_mib`` of its ``max_mib`` are asked of the guest at boot; the memory comes in memory
    blocks that stay offline until someone onlines them.
    """

    node: NodeNumber
    max_mib: int = Field(ge=MEMORY_BLOCK_MIB)
    block_mib: Annotated[int, Field(ge=1), AfterValidator(_check_power_of_two)] = 2
    requested_mib: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.max_mib % max(MEMORY_BLOCK_MIB, self.block_mib):
            raise ValueError(
                f"max_mib must be a multiple of block_mib and of {MEMORY_BLOCK_MIB}, the size of "
                "the guest's memory blocks"
            )
        if self.requested_mib > self.max_mib or self.requested_mib % self.block_mib:
            raise ValueError("requested_mib must be a multiple of block_mib, at most max_mib")
        return self


class Hmat(StrictModel):
    """What the firmware tells of the memory's speed (ACPI 6.5, 5.2.28), and what comes of it.

    ``latency_ns`` and ``bandwidth_mib_s`` have a row for each node as initiator and a column for
    each as target; null where the initiator has no CPU or the target no memory. ``tiers`` are the
    memory tiers that Linux is to make of it, the fastest first. It divides a node's "abstract
    distance" by 128, which is 576 x (latency / latency of DRAM) x (bandwidth of DRAM / bandwidth),
    DRAM being the nodes with a CPU (mt_perf_to_adistance() in mm/memory-tiers.c, 6.12; since 6.7).
    """

    latency_ns: tuple[tuple[Latency | None, ...], ...]
    bandwidth_mib_s: tuple[tuple[Bandwidth | None, ...], ...]
    tiers: tuple[tuple[NodeNumber, ...], ...]

    @model_validator(mode="after")
    def _check_granularity(self) -> Self:
        values = [value for row in self.bandwidth_mib_s for value in row if value]
        bits = reduce(or_, values, 0)
        # One unit, a power of two, for all entries (parse_numa_hmat_lb() in hw/core/numa.c).
        if values and max(values) // (bits & -bits) > MAX_HMAT_ENTRY:
            raise ValueError(
                f"bandwidth_mib_s: {max(values)} MiB/s is too much for so fine a table: entries "
                f"have a common unit, a power of two, and at most {MAX_HMAT_ENTRY} units"
            )
        return self


class TopologyText(StrictModel):
    """What a topology's YAML says. Node numbers are positions in ``nodes``.

    ``distances`` is the square SLIT. ``max_memory_mib`` bounds boot memory, DIMMs and virtio-mem
    devices together. ``swap_mib`` are the sizes of the swap disks.
    """

    about: str = ""
    machine: Literal["q35", "pc"] = "q35"
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=64)
    distances: tuple[tuple[Distance, ...], ...] = ()
    max_memory_mib: int = Field(default=0, ge=0)
    virtio_mem: tuple[VirtioMem, ...] = Field(default=(), max_length=16)
    hmat: Hmat | None = None
    swap_mib: tuple[SwapSize, ...] = Field(default=(), max_length=8)
    cmdline: tuple[str, ...] = ()
    boot_timeout_s: float = Field(default=60.0, gt=0, strict=False)

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        self._check_boots()
        self._check_order()
        self._check_distances()
        self._check_hotplug()
        if self.hmat:
            self._check_hmat(self.hmat)
        return self

    def _check_boots(self) -> None:
        if not any(node.cpus and node.memory_mib for node in self.nodes):
            raise ValueError("no node has both a CPU and memory: nothing can boot there")
        if self.boot_memory_mib < MIN_BOOT_MEMORY_MIB:
            raise ValueError(
                f"{self.boot_memory_mib} MiB of memory: a guest needs {MIN_BOOT_MEMORY_MIB}"
            )

    def _check_order(self) -> None:
        """Refuse what Linux would number in another way than the file does.

        It numbers nodes as it meets them in the SRAT: those of CPUs, then those of memory
        (acpi_map_pxm_to_node() and acpi_numa_init() in drivers/acpi/numa/srat.c, 6.12). A node
        that is not in it does not exist, and of the empty ones QEMU 7.2 names the last node only,
        as that of all memory that may be plugged.
        """
        has_cpus = [bool(node.cpus) for node in self.nodes]
        if has_cpus != sorted(has_cpus, reverse=True):
            first = has_cpus.index(False)
            raise ValueError(
                f"node {first} has no CPU and stands before a node that has: Linux numbers nodes "
                "with CPUs first, so list them first"
            )
        for number in self.empty_nodes:
            if number != len(self.nodes) - 1:
                raise ValueError(
                    f"node {number} is empty (no CPU, no memory) and not the last: QEMU tells the "
                    "guest of one empty node, the last"
                )

    def _check_distances(self) -> None:
        count = len(self.nodes)
        if not self.distances:
            return
        if not _is_square(self.distances, count):
            raise ValueError(f"distances must be a {count} x {count} table")
        for source, row in enumerate(self.distances):
            if row[source] != LOCAL_DISTANCE:
                raise ValueError(f"the distance of a node to itself is {LOCAL_DISTANCE}")
            if row.count(LOCAL_DISTANCE) > 1:
                raise ValueError(
                    f"distances: row {source} has {LOCAL_DISTANCE} for another node, and Linux "
                    "would drop the table: a remote distance is 11 or more"
                )

    def _check_hotplug(self) -> None:
        if self.dimm_slots > MAX_DIMM_SLOTS:
            raise ValueError(
                f"{self.dimm_slots} dimm_slots in all nodes: QEMU has {MAX_DIMM_SLOTS}"
            )
        for device in self.virtio_mem:
            if device.node >= len(self.nodes):
                raise ValueError(f"virtio_mem: there is no node {device.node}")
        pluggable = self.dimm_slots or self.virtio_mem
        if not pluggable and self.max_memory_mib:
            raise ValueError("max_memory_mib: nothing can be plugged; add dimm_slots or virtio_mem")
        for number in self.empty_nodes:
            if not self.nodes[number].dimm_slots and not self._virtio_mem_mib(number):
                raise ValueError(
                    f"node {number} would stay empty for ever: give it dimm_slots or virtio_mem"
                )
        needed = self.boot_memory_mib + self.dimm_slots * MEMORY_BLOCK_MIB + self._virtio_mem_mib()
        if pluggable and self.max_memory_mib < needed:
            raise ValueError(
                f"max_memory_mib must be {needed} or more: the boot memory of all nodes, max_mib "
                f"of the virtio_mem devices, and {MEMORY_BLOCK_MIB} for each of dimm_slots"
            )

    def _virtio_mem_mib(self, node: int | None = None) -> int:
        return sum(d.max_mib for d in self.virtio_mem if node is None or d.node == node)

    def _check_hmat(self, hmat: Hmat) -> None:
        count = len(self.nodes)
        for key, table in (
            ("latency_ns", hmat.latency_ns),
            ("bandwidth_mib_s", hmat.bandwidth_mib_s),
        ):
            if not _is_square(table, count):
                raise ValueError(f"hmat.{key} must be a {count} x {count} table")
            for source, row in enumerate(table):
                for target, value in enumerate(row):
                    self._check_hmat_entry(f"hmat.{key}[{source}][{target}]", source, target, value)
        if sorted(node for tier in hmat.tiers for node in tier) != list(self.memory_nodes):
            raise ValueError("hmat.tiers must have each node with memory at boot once, no other")
        for number, node in enumerate(self.nodes):
            # The table names every node as a target, and Linux drops all of it at the first that
            # is not in the SRAT as memory (hmat_parse_proximity_domain(), 6.12); the last node is,
            # where memory can be plugged.
            is_in_srat = node.memory_mib or (self.max_memory_mib and number == count - 1)
            if not is_in_srat:
                raise ValueError(f"hmat: node {number} has no memory, and Linux drops such a table")

    def _check_hmat_entry(self, where: str, source: int, target: int, value: int | None) -> None:
        if not self.nodes[source].cpus and value is not None:
            raise ValueError(f"{where} must be null: node {source} has no CPU")
        if not self.nodes[target].memory_mib and value is not None:
            raise ValueError(f"{where} must be null: node {target} has no memory at boot")
        if self.nodes[source].cpus and self.nodes[target].memory_mib and value is None:
            raise ValueError(
                f"{where} is null: node {source} has a CPU and node {target} has memory"
            )

    @property
    def cpus(self) -> int:
        """All CPUs of the machine."""
        return sum(node.cpus for node in self.nodes)

    @property
    def boot_memory_mib(self) -> int:
        """Memory at boot, in MiB, without what is plugged later."""
        return sum(node.memory_mib for node in self.nodes)

    @property
    def memory_nodes(self) -> tuple[int, ...]:
        """The nodes that have memory at boot."""
        return tuple(i for i, node in enumerate(self.nodes) if node.memory_mib)

    @property
    def memoryless_nodes(self) -> tuple[int, ...]:
        """The nodes with a CPU and no memory at boot."""
        return tuple(i for i, n in enumerate(self.nodes) if n.cpus and not n.memory_mib)

    @property
    def empty_nodes(self) -> tuple[int, ...]:
        """The nodes with neither a CPU nor memory at boot: only DIMMs or virtio-mem bring them."""
        return tuple(i for i, node in enumerate(self.nodes) if node.is_empty)

    @property
    def dimm_slots(self) -> int:
        """Empty DIMM slots of all nodes."""
        return sum(node.dimm_slots for node in self.nodes)

    @property
    def swap_total_mib(self) -> int:
        """Swap space of all swap disks, in MiB."""
        return sum(self.swap_mib)

    def distance(self, source: int, target: int) -> int:
        """Return the distance between two nodes as Linux is to see it."""
        if self.distances:
            return self.distances[source][target]
        return LOCAL_DISTANCE if source == target else REMOTE_DISTANCE

    def list_cpus(self, node: int) -> range:
        """Return the numbers of the CPUs of ``node``: they are counted through the nodes."""
        first = sum(other.cpus for other in self.nodes[:node])
        return range(first, first + self.nodes[node].cpus)

    def find_initiator(self, node: int) -> int | None:
        """Return the node whose CPUs reach the memory of ``node`` first, by the HMAT.

        None where there is no HMAT or it says nothing of ``node``.
        """
        if self.hmat is None:
            return None
        if self.nodes[node].cpus:
            return node
        column = [(row[node], source) for source, row in enumerate(self.hmat.latency_ns)]
        known = [(latency, source) for latency, source in column if latency is not None]
        return min(known)[1] if known else None


class Topology(TopologyText):
    """A machine; ``name`` is what plans call it by.

    ``shadow_mib`` of the first node's memory are the kernel's before it counts what it has: see
    :mod:`testbed.core.kasan_shadow`.
    """

    name: str
    shadow_mib: int = 0


def _is_square(table: tuple[tuple[object, ...], ...], count: int) -> bool:
    return len(table) == count and all(len(row) == count for row in table)


def parse_topology(text: str, *, filename: str, name: str) -> Topology:
    """Read a topology; raises :class:`PlanError`. ``name`` is what plans call it by."""
    read = parse_yaml(text, TopologyText, filename=filename)
    return Topology(name=name, **{key: getattr(read, key) for key in TopologyText.model_fields})
