"""What DIMMs and virtio-mem devices have in common: QEMU lists them, and tells events of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.errors import GuestLostError, InfraError
from testbed.host.qmp import Qmp, QmpEvent

BYTES_PER_MIB: Final = 1 << 20
_BLOCK_BYTES: Final = MEMORY_BLOCK_MIB * BYTES_PER_MIB
# By the kind of device: where the address and the whole size are (MemoryDeviceInfo, QEMU 7.2).
_KEYS: Final = {"dimm": ("addr", "size"), "virtio-mem": ("memaddr", "max-size")}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDevice:
    """A memory device as QEMU lists it.

    ``blocks`` are the memory blocks that its addresses take up in the guest; a virtio-mem device
    fills ``size_mib`` of them, a DIMM all.
    """

    id: str
    size_mib: int
    blocks: range


def query_memory_device(qmp: Qmp, name: str) -> MemoryDevice:
    """Return the memory device called ``name``. Raises :class:`InfraError` where there is none."""
    devices: list[dict[str, Any]] = qmp.execute("query-memory-devices")
    for device in devices:
        data = device["data"]
        if data.get("id") == name and device["type"] in _KEYS:
            address, whole = _KEYS[device["type"]]
            first = data[address] // _BLOCK_BYTES
            return MemoryDevice(
                id=name,
                size_mib=data["size"] // BYTES_PER_MIB,
                blocks=range(first, first + data[whole] // _BLOCK_BYTES),
            )
    raise InfraError(f"QEMU does not list {name} among its memory devices: {devices}")


def await_event(
    qmp: Qmp, is_wanted: Callable[[QmpEvent], bool], *, since: int, timeout_s: float
) -> QmpEvent | None:
    """Return the first wanted event after the mark ``since``; None past ``timeout_s``.

    Raises :class:`GuestLostError` when QEMU ends first.
    """
    event = qmp.wait_event(is_wanted, since=since, timeout_s=timeout_s)
    if event is None and qmp.is_closed:
        raise GuestLostError("QEMU ended while an answer of the guest was awaited")
    return event
