"""What a host has room for, and what a guest needs of it: memory and CPUs, by declaration.

Declared is the most that a guest may ever touch: its memory at boot, all that may be plugged into
it, and what QEMU needs itself. Less would be a bet that no two tests plug at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from testbed.core.topology import Topology
from testbed.errors import InfraError

QEMU_OVERHEAD_MIB: Final = 300  # QEMU's own memory and its translated code
MEMORY_SHARE: Final = 0.8  # of what is available: others live here too
# A guest test keeps about one of its CPUs busy: the others wait for it. Hence two a core, or a
# guest a core, whatever is more: on two cores two guests of two CPUs, or two of three or four.
VCPUS_PER_CORE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestNeed:
    """The most that a guest takes of its host; ``what`` names it to the user."""

    what: str
    memory_mib: int
    cpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What all guests of a host together may take.

    ``alone_mib`` is what a single guest may have while no other is there: more than
    ``memory_mib`` where other programs hold memory that a lone guest may hope to get.
    """

    memory_mib: int
    cpus: int
    alone_mib: int


def size_capacity(*, cores: int, total_mib: int, available_mib: int) -> Capacity:
    """Return what a host gives to guests; ``available_mib`` is measured while there are none."""
    memory_mib = int(min(available_mib, total_mib) * MEMORY_SHARE)
    return Capacity(
        memory_mib=memory_mib,
        cpus=cores * VCPUS_PER_CORE,
        alone_mib=int(total_mib * MEMORY_SHARE),
    )


def need_of(topology: Topology) -> GuestNeed:
    """Return what a guest of ``topology`` needs.

    ``max_memory_mib`` bounds boot memory and all memory devices, DIMMs and virtio-mem alike
    (``-m ...,maxmem=``; memory_device_check_addable() in hw/mem/memory-device.c, QEMU 7.2). Swap
    disks are files in memory.
    """
    ram_mib = max(topology.boot_memory_mib, topology.max_memory_mib)
    return GuestNeed(
        what=f"topology {topology.name}",
        memory_mib=ram_mib + topology.swap_total_mib + QEMU_OVERHEAD_MIB,
        cpus=topology.cpus,
    )


def join_needs(needs: Sequence[GuestNeed]) -> GuestNeed:
    """Return the need of several guests that are there at once."""
    return GuestNeed(
        what=" and ".join(need.what for need in needs),
        memory_mib=sum(need.memory_mib for need in needs),
        cpus=sum(need.cpus for need in needs),
    )


def require_possible(need: GuestNeed, capacity: Capacity) -> None:
    """Raise :class:`InfraError` where ``need`` exceeds what the host has for one guest alone.

    Too many CPUs are no obstacle: they share the cores, and the guest is alone there.
    """
    most_mib = max(capacity.memory_mib, capacity.alone_mib)
    if need.memory_mib > most_mib:
        raise InfraError(
            f"{need.what} needs {need.memory_mib} MiB, this host can give {most_mib} MiB: "
            "take a smaller topology (nodes' memory_mib, max_memory_mib, swap_mib) or a larger host"
        )


def has_room(capacity: Capacity, admitted: Sequence[GuestNeed], need: GuestNeed) -> bool:
    """Whether ``need``, which is possible, fits beside those ``admitted``; alone it always does."""
    if not admitted:
        return True
    needs = (*admitted, need)
    return join_needs(needs).memory_mib <= capacity.memory_mib and _have_cpus(capacity, needs)


def _have_cpus(capacity: Capacity, needs: Sequence[GuestNeed]) -> bool:
    """Whether guests may share the cores; one that exceeds them even alone shares with nobody."""
    if sum(need.cpus for need in needs) <= capacity.cpus:
        return True
    cores = capacity.cpus // VCPUS_PER_CORE
    return len(needs) <= cores and all(need.cpus <= capacity.cpus for need in needs)


def count_guests(capacity: Capacity, need: GuestNeed) -> int:
    """Return how many guests of ``need`` fit at once, at least one: the workers worth starting."""
    return max(
        1,
        min(capacity.memory_mib // max(1, need.memory_mib), capacity.cpus // max(1, need.cpus)),
    )
