"""A machine made of canned answers, for the tests of memory hotplug."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from testbed.core.topology import MEMORY_BLOCK_MIB, Topology
from testbed.host import catalog
from testbed.host.guest_result import GuestResult
from testbed.host.qmp import QmpEvent
from testbed.host.vm import Vm

MIB = 1 << 20
FIRST_BLOCK = 32
BASE = FIRST_BLOCK * MEMORY_BLOCK_MIB * MIB


@dataclass
class FakeQmp:
    """QEMU as the tests want it: each wait takes the next of ``batches`` of events."""

    devices: list[dict[str, Any]] = field(default_factory=list)
    batches: list[tuple[QmpEvent, ...]] = field(default_factory=list)
    is_closed: bool = False
    commands: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    on_event: Callable[[], None] = lambda: None

    def execute(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - as in Qmp
        self.commands.append((command, arguments))
        return self.devices if command == "query-memory-devices" else {}

    def mark(self) -> int:
        return 0

    def wait_event(
        self, is_wanted: Callable[[QmpEvent], bool], *, since: int, timeout_s: float
    ) -> QmpEvent | None:
        assert since == 0
        assert timeout_s > 0
        if not self.batches:
            return None
        self.on_event()
        return next((event for event in self.batches.pop(0) if is_wanted(event)), None)


@dataclass
class FakeVm:
    """A guest that answers a command by what stands in it; the rest it only takes note of."""

    qmp: FakeQmp
    topology: Topology
    answers: dict[str, str] = field(default_factory=dict)
    on_command: dict[str, Callable[[], None]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def run(self, command: str) -> GuestResult:
        self.ran.append(command)
        for part, act in self.on_command.items():
            if part in command:
                act()
        said = next((text for part, text in self.answers.items() if part in command), "")
        return GuestResult(command=command, stdout=said, stderr="", status=0)

    def as_vm(self) -> Vm:
        return cast("Vm", self)


def make_vm(name: str, *, blocks: Mapping[int, int] | None = None) -> FakeVm:
    """Return a machine of the topology ``name`` whose guest has ``blocks``: block to node."""
    vm = FakeVm(qmp=FakeQmp(), topology=catalog.load_topology(name))
    set_blocks(vm, blocks or {})
    return vm


def set_blocks(vm: FakeVm, blocks: Mapping[int, int]) -> None:
    links = [f"/sys/devices/system/memory/memory{b}/node{n}" for b, n in blocks.items()]
    vm.answers["block_size_bytes"] = "\n".join(("8000000", *links))


def dimm(name: str, *, size_mib: int) -> dict[str, Any]:
    return {"type": "dimm", "data": {"id": name, "addr": BASE, "size": size_mib * MIB}}


def virtio_mem(name: str, *, size_mib: int, max_mib: int = 512) -> dict[str, Any]:
    data = {"id": name, "memaddr": BASE, "size": size_mib * MIB, "max-size": max_mib * MIB}
    return {"type": "virtio-mem", "data": data}


def ost(device: str, status: int, *, source: int = 3) -> QmpEvent:
    info = {"device": device, "status": status, "source": source}
    return QmpEvent(name="ACPI_DEVICE_OST", data={"info": info})


def resized(device: str) -> QmpEvent:
    return QmpEvent(name="MEMORY_DEVICE_SIZE_CHANGE", data={"id": device, "size": 0})
