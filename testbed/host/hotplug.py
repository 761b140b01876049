"""Memory hotplug from the host: DIMMs and virtio-mem, while the guest runs."""

from dataclasses import dataclass
from typing import Final

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.errors import UserError
from testbed.host.guest_memory import GuestMemory, check_landed
from testbed.host.memory_device import BYTES_PER_MIB, await_event, query_memory_device
from testbed.host.qmp import QmpEvent
from testbed.host.virtio_mem import VirtioMem
from testbed.host.vm import Vm

_EVENT_TIMEOUT_S: Final = 30.0
_KIB_PER_MIB: Final = 1024
# ACPI 6.5, 6.3.5 (_OST): 0 is success, 1 failure; of an ejection 0x80 to 0x83 say why it will not
# happen, and 0x84 that it goes on.
_OST_SUCCESS: Final = 0
_OST_PLUG: Final = 1  # the source is the notification: device check
_OST_EJECT: Final = 3  # eject request
_OST_REFUSALS: Final = frozenset({1, 0x80, 0x81, 0x82, 0x83})
_REMOVAL_ENDS: Final = ("DEVICE_DELETED", "MEM_UNPLUG_ERROR", "DEVICE_UNPLUG_GUEST_ERROR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimm:
    """A plugged DIMM. ``blocks`` are the numbers of its memory blocks in the guest's sysfs."""

    id: str
    node: int
    size_mib: int
    blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """How a request to remove a DIMM ended: ``is_removed``, or the guest's refusal."""

    is_removed: bool
    reason: str = ""


class Hotplug:
    """Plugs and unplugs memory of ``vm``, waiting for QEMU's events.

    What is plugged is no part of a guest's saved state: it comes after the restore and ends with
    the guest. The size that a topology asks of a virtio-mem device at boot is part of it.
    """

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._memory = GuestMemory(vm)
        self._count = 0
        self._plugged: list[Dimm] = []
        self.virtio_mems = tuple(VirtioMem(vm, i) for i in range(len(vm.topology.virtio_mem)))

    @property
    def dimms(self) -> tuple[Dimm, ...]:
        """The DIMMs that are plugged now."""
        return tuple(self._plugged)

    @property
    def is_as_booted(self) -> bool:
        """Whether the machine runs and has the memory again that it was booted with."""
        if self._vm.qmp.is_closed or self._plugged:
            return False
        return all(device.is_as_booted for device in self.virtio_mems)

    def virtio_mem(self, node: int) -> VirtioMem:
        """Return the first virtio-mem device of ``node``; raises :class:`UserError` without one."""
        for device in self.virtio_mems:
            if device.node == node:
                return device
        nodes = sorted({device.node for device in self.virtio_mems})
        raise UserError(
            f"the topology {self._vm.topology.name} has no virtio-mem device on node {node}; "
            f"those with one: {nodes or 'none'}"
        )

    def add_dimm(self, node: int, size_mib: int) -> Dimm:
        """Plug a DIMM and wait until the guest has taken it.

        Its memory blocks are offline then, unless the guest's ``auto_online_blocks`` says
        otherwise. Where the memory landed is read from the guest's sysfs. Raises
        :class:`UserError` for a DIMM that the topology has no place for, :class:`InfraError` when
        QEMU refuses or ends, :class:`AssertionError` when the guest does not take the DIMM, or
        takes it to another node: that names both.
        """
        self._check_place(node, size_mib)
        self._count += 1
        name = f"dimm{self._count}"
        qmp = self._vm.qmp
        mark = qmp.mark()
        qmp.execute(
            "object-add",
            qom_type="memory-backend-ram",
            id=f"{name}-memory",
            size=size_mib * BYTES_PER_MIB,
        )
        qmp.execute("device_add", driver="pc-dimm", id=name, memdev=f"{name}-memory", node=node)
        event = await_event(
            qmp, lambda event: is_plug_end(event, name), since=mark, timeout_s=_EVENT_TIMEOUT_S
        )
        if event is None:
            raise AssertionError(f"the guest did not take {name} within {_EVENT_TIMEOUT_S:g} s")
        if event.data["info"]["status"] != _OST_SUCCESS:
            raise AssertionError(f"the guest refused {name}: {event.data['info']}")
        blocks = tuple(query_memory_device(qmp, name).blocks)
        dimm = Dimm(id=name, node=node, size_mib=size_mib, blocks=blocks)
        self._plugged.append(dimm)
        nodes = self._memory.read_block_nodes()
        check_landed(f"{name} of {size_mib} MiB", nodes, node=node, blocks=blocks)
        return dimm

    def online(self, dimm: Dimm, state: str = "online_movable") -> None:
        """Online all blocks of a DIMM, by writing ``state`` to each.

        Raises :class:`AssertionError` unless MemTotal of its node grows by exactly its size, which
        it would not with memory_hotplug.memmap_on_memory.
        """
        before = self._memory.read_totals_kib().get(dimm.node, 0)
        for block in dimm.blocks:
            self._memory.set_block(block, state)
        grown = self._memory.read_totals_kib().get(dimm.node, 0) - before
        if grown != dimm.size_mib * _KIB_PER_MIB:
            raise AssertionError(
                f"{dimm.id} of {dimm.size_mib * _KIB_PER_MIB} KiB is online on node {dimm.node}, "
                f"whose MemTotal grew by {grown} KiB"
            )

    def remove(self, dimm: Dimm, *, timeout_s: float = _EVENT_TIMEOUT_S) -> Removal:
        """Ask the guest to give ``dimm`` back and wait for the answer.

        The guest refuses while a block of it cannot be taken offline. Raises
        :class:`AssertionError` when it does not answer within ``timeout_s``,
        :class:`GuestLostError` when QEMU ends.
        """
        qmp = self._vm.qmp
        mark = qmp.mark()
        qmp.execute("device_del", id=dimm.id)
        event = await_event(
            qmp, lambda event: is_removal_end(event, dimm.id), since=mark, timeout_s=timeout_s
        )
        if event is None:
            raise AssertionError(f"no answer to the removal of {dimm.id} within {timeout_s:g} s")
        if event.name != "DEVICE_DELETED":
            return Removal(is_removed=False, reason=f"{event.name}: {dict(event.data)}")
        # The guest's last word comes after the device has gone, hence without its name. A DIMM
        # that is plugged before it meets a slot that the guest has not done with, and is lost.
        if await_event(qmp, is_eject_end, since=mark, timeout_s=timeout_s) is None:
            raise AssertionError(f"the guest did not finish the removal of {dimm.id}")
        qmp.execute("object-del", id=f"{dimm.id}-memory")
        self._plugged.remove(dimm)
        return Removal(is_removed=True)

    def _check_place(self, node: int, size_mib: int) -> None:
        topology = self._vm.topology
        slots = {i: each.dimm_slots for i, each in enumerate(topology.nodes) if each.dimm_slots}
        if node not in slots:
            raise UserError(
                f"the topology {topology.name} has no DIMM slots for node {node}; nodes that have "
                f"some: {sorted(slots) or 'none'} (dimm_slots of a node)"
            )
        if sum(dimm.node == node for dimm in self._plugged) == slots[node]:
            raise UserError(f"all DIMM slots of node {node} are taken ({topology.name})")
        if size_mib <= 0 or size_mib % MEMORY_BLOCK_MIB:
            raise UserError(
                f"a DIMM of {size_mib} MiB: the guest takes multiples of {MEMORY_BLOCK_MIB}, the "
                "size of its memory blocks"
            )
        devices = sum(device.max_mib for device in topology.virtio_mem)
        plugged = sum(dimm.size_mib for dimm in self._plugged)
        left_mib = topology.max_memory_mib - topology.boot_memory_mib - devices - plugged
        if size_mib > left_mib:
            raise UserError(
                f"a DIMM of {size_mib} MiB: {left_mib} are left of the {topology.max_memory_mib} "
                f"that {topology.name} allows (max_memory_mib)"
            )


def is_plug_end(event: QmpEvent, device: str) -> bool:
    """Whether ``event`` is the guest's word on the plugging of ``device``."""
    return _read_ost_status(event, device, source=_OST_PLUG) is not None


def is_removal_end(event: QmpEvent, device: str) -> bool:
    """Whether ``event`` ends the removal of ``device``: it is gone, or will not go.

    _OST comes for progress too (EJECT_IN_PROGRESS); only a refusal ends the wait.
    """
    if event.name in _REMOVAL_ENDS:
        return event.data.get("device") == device
    return _read_ost_status(event, device, source=_OST_EJECT) in _OST_REFUSALS


def is_eject_end(event: QmpEvent) -> bool:
    """Whether ``event`` is the guest's word that an ejection is done."""
    info = event.data.get("info", {}) if event.name == "ACPI_DEVICE_OST" else {}
    return info.get("source") == _OST_EJECT and info.get("status") == _OST_SUCCESS


def _read_ost_status(event: QmpEvent, device: str, *, source: int) -> int | None:
    """Return the ACPI status that the guest gave for ``device``; None in other events.

    The ``source`` tells the word on a plug from a late one on the removal of the DIMM that was in
    the same slot before: QEMU names the device that is in the slot now.
    """
    info = event.data.get("info", {}) if event.name == "ACPI_DEVICE_OST" else {}
    is_meant = info.get("device") == device and info.get("source") == source
    return int(info["status"]) if is_meant else None
