"""Memory hotplug from the host: DIMMs that come and go while the guest runs."""

from dataclasses import dataclass
from typing import Any, Final

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.errors import InfraError
from testbed.host.qmp import QmpEvent
from testbed.host.vm import Vm

_EVENT_TIMEOUT_S: Final = 30.0
_BYTES_PER_MIB: Final = 1 << 20
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
    """Plugs DIMMs into ``vm`` and removes them, waiting for QEMU's events."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._count = 0
        self._plugged: list[Dimm] = []

    @property
    def dimms(self) -> tuple[Dimm, ...]:
        """The DIMMs that are plugged now."""
        return tuple(self._plugged)

    def add_dimm(self, node: int, size_mib: int) -> Dimm:
        """Plug a DIMM and wait until the guest's ACPI has taken it (its blocks are offline).

        Where the memory landed is read from the guest's sysfs. Raises :class:`InfraError` when
        QEMU refuses, :class:`AssertionError` when the guest does not take it, or elsewhere.
        """
        self._count += 1
        name = f"dimm{self._count}"
        qmp = self._vm.qmp
        mark = qmp.mark()
        qmp.execute(
            "object-add",
            qom_type="memory-backend-ram",
            id=f"{name}-memory",
            size=size_mib * _BYTES_PER_MIB,
        )
        qmp.execute("device_add", driver="pc-dimm", id=name, memdev=f"{name}-memory", node=node)
        event = qmp.wait_event(
            lambda event: is_plug_end(event, name), since=mark, timeout_s=_EVENT_TIMEOUT_S
        )
        if event is None:
            raise AssertionError(f"the guest did not take {name} within {_EVENT_TIMEOUT_S:g} s")
        if event.data["info"]["status"] != _OST_SUCCESS:
            raise AssertionError(f"the guest refused {name}: {event.data['info']}")
        dimm = Dimm(id=name, node=node, size_mib=size_mib, blocks=self._find_blocks(name))
        self._plugged.append(dimm)
        self._check_landed(dimm)
        return dimm

    def remove(self, dimm: Dimm, *, timeout_s: float = _EVENT_TIMEOUT_S) -> Removal:
        """Ask the guest to give ``dimm`` back and wait for the answer.

        The guest refuses while a block of it cannot be taken offline. Raises
        :class:`AssertionError` when it does not answer within ``timeout_s``.
        """
        qmp = self._vm.qmp
        mark = qmp.mark()
        qmp.execute("device_del", id=dimm.id)
        event = qmp.wait_event(
            lambda event: is_removal_end(event, dimm.id), since=mark, timeout_s=timeout_s
        )
        if event is None:
            raise AssertionError(f"no answer to the removal of {dimm.id} within {timeout_s:g} s")
        if event.name != "DEVICE_DELETED":
            return Removal(is_removed=False, reason=f"{event.name}: {dict(event.data)}")
        # The guest's last word comes after the device has gone, hence without its name. A DIMM
        # that is plugged before it meets a slot that the guest has not done with, and is lost.
        if qmp.wait_event(is_eject_end, since=mark, timeout_s=timeout_s) is None:
            raise AssertionError(f"the guest did not finish the removal of {dimm.id}")
        qmp.execute("object-del", id=f"{dimm.id}-memory")
        self._plugged.remove(dimm)
        return Removal(is_removed=True)

    def _find_blocks(self, name: str) -> tuple[int, ...]:
        devices: list[dict[str, Any]] = self._vm.qmp.execute("query-memory-devices")
        mine = next((d["data"] for d in devices if d["data"].get("id") == name), None)
        if mine is None:
            raise InfraError(f"QEMU does not list {name} among its memory devices: {devices}")
        block_bytes = int(
            self._vm.guest.read_file("/sys/devices/system/memory/block_size_bytes"), 16
        )
        if block_bytes != MEMORY_BLOCK_MIB * _BYTES_PER_MIB:
            raise InfraError(
                f"memory blocks of {block_bytes} bytes, expected {MEMORY_BLOCK_MIB} MiB"
            )
        first = mine["addr"] // block_bytes
        return tuple(range(first, first + mine["size"] // block_bytes))

    def _check_landed(self, dimm: Dimm) -> None:
        node_dir = f"/sys/devices/system/node/node{dimm.node}"
        listing = self._vm.guest.run(f"ls {node_dir}", check=False).stdout.split()
        missing = [block for block in dimm.blocks if f"memory{block}" not in listing]
        if missing:
            raise AssertionError(
                f"{dimm.id} was plugged into node {dimm.node}, whose {node_dir} lacks its memory "
                f"blocks {missing}"
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
