"""Topologies: the NUMA machines that guests are booted on, as data."""

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from testbed.core.strict_yaml import StrictModel, parse_yaml
from testbed.errors import PlanError

LOCAL_DISTANCE: Final = 10  # ACPI 6.5, 5.2.17: SLIT entries of a locality to itself
MEMORY_BLOCK_MIB: Final = 128  # MIN_MEMORY_BLOCK_SIZE of x86-64, arch/x86/mm/init_64.c, 6.12
MIN_BOOT_MEMORY_MIB: Final = 128

Distance = Annotated[int, Field(ge=LOCAL_DISTANCE, le=254)]


class Node(StrictModel):
    """One NUMA node at boot: ``cpus`` may be 0 (memory only), ``memory_mib`` may be 0."""

    cpus: int = Field(ge=0, le=64)
    memory_mib: int = Field(ge=0)


class HotplugSlots(StrictModel):
    """Empty DIMM slots of the machine; ``max_memory_mib`` bounds boot memory plus DIMMs."""

    slots: int = Field(ge=1, le=256)
    max_memory_mib: int = Field(ge=MEMORY_BLOCK_MIB)


class Topology(StrictModel):
    """A machine. Node numbers are positions in ``nodes``; ``distances`` is the square SLIT."""

    name: str = ""
    about: str = ""
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=64)
    distances: tuple[tuple[Distance, ...], ...] = ()
    hotplug: HotplugSlots | None = None
    cmdline: tuple[str, ...] = ()
    boot_timeout_s: float = Field(default=60.0, gt=0, strict=False)

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if not any(node.cpus and node.memory_mib for node in self.nodes):
            raise ValueError("no node has both a CPU and memory: nothing can boot there")
        if self.boot_memory_mib < MIN_BOOT_MEMORY_MIB:
            raise ValueError(
                f"{self.boot_memory_mib} MiB of memory: a guest needs {MIN_BOOT_MEMORY_MIB}"
            )
        if self.hotplug and self.hotplug.max_memory_mib <= self.boot_memory_mib:
            raise ValueError("hotplug.max_memory_mib must exceed the boot memory of all nodes")
        self._check_distances()
        return self

    def _check_distances(self) -> None:
        count = len(self.nodes)
        if not self.distances:
            return
        if len(self.distances) != count or any(len(row) != count for row in self.distances):
            raise ValueError(f"distances must be a {count} x {count} table")
        if any(self.distances[i][i] != LOCAL_DISTANCE for i in range(count)):
            raise ValueError(f"the distance of a node to itself is {LOCAL_DISTANCE}")

    @property
    def cpus(self) -> int:
        """All CPUs of the machine."""
        return sum(node.cpus for node in self.nodes)

    @property
    def boot_memory_mib(self) -> int:
        """Memory at boot, in MiB, without DIMMs that are plugged later."""
        return sum(node.memory_mib for node in self.nodes)

    @property
    def memory_nodes(self) -> tuple[int, ...]:
        """The nodes that have memory at boot."""
        return tuple(i for i, node in enumerate(self.nodes) if node.memory_mib)

    @property
    def empty_nodes(self) -> tuple[int, ...]:
        """The nodes that have neither a CPU nor memory at boot: only DIMMs bring them up."""
        return tuple(i for i, n in enumerate(self.nodes) if not n.cpus and not n.memory_mib)

    @property
    def dimm_slots(self) -> int:
        """Empty DIMM slots."""
        return self.hotplug.slots if self.hotplug else 0


def parse_topology(text: str, *, filename: str, name: str) -> Topology:
    """Read a topology; raises :class:`PlanError`. ``name`` is what plans call it by."""
    topology = parse_yaml(text, Topology, filename=filename)
    if topology.name:
        raise PlanError(f"{filename}: unknown key 'name': a topology is called by its file's name")
    return topology.model_copy(update={"name": name})
