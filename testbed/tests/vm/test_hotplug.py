"""Memory hotplug with real guests: traps, limits, ends in mid-wait, and saved states."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from testbed.core.topology import Node, Topology, VirtioMem
from testbed.errors import GuestLostError
from testbed.host import catalog, qemu
from testbed.host.accel import Accel, read_qemu_version
from testbed.host.boot import BootFailure, boot
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Hotplug
from testbed.host.qemu import BootRequest
from testbed.host.qmp import QmpEvent
from testbed.host.snapshot import Snapshots, name_parts
from testbed.host.store import Store
from testbed.host.vm import Vm

UNPLUG_ONLINE: Final = "/sys/module/virtio_mem/parameters/unplug_online"

Request = Callable[[Topology], BootRequest]
Boot = Callable[[Topology], Vm]


@pytest.fixture
def request_of(kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path) -> Request:
    """What to boot for a topology."""

    def make(topology: Topology) -> BootRequest:
        return BootRequest(
            kernel=kernel.image,
            initrd=image.initrd,
            topology=topology,
            accel=accel.name,
            log_dir=tmp_path / "logs",
        )

    return make


@pytest.fixture
def running() -> Iterator[list[Vm]]:
    """The guests that end with the test."""
    vms: list[Vm] = []
    yield vms
    for vm in vms:
        vm.close()


@pytest.fixture
def boot_it(request_of: Request, running: list[Vm]) -> Boot:
    def boot_topology(topology: Topology) -> Vm:
        vm = boot(request_of(topology))
        assert isinstance(vm, Vm), vm
        running.append(vm)
        return vm

    return boot_topology


def with_device(**changes: int) -> Topology:
    """Return a machine with one virtio-mem device, on the node that has nothing else."""
    topology = catalog.load_topology("virtio-mem")
    device = VirtioMem(node=2, **{"max_mib": 512} | changes)
    return topology.model_copy(update={"virtio_mem": (device,), "max_memory_mib": 4096})


def test_memory_of_a_node_that_the_firmware_leaves_out_is_seen_on_node_0(
    request_of: Request, running: list[Vm]
) -> None:
    nodes = (
        Node(cpus=1, memory_mib=384),
        Node(cpus=1, memory_mib=384),
        Node(cpus=0, memory_mib=0, dimm_slots=1),
        Node(cpus=0, memory_mib=0, dimm_slots=1),
    )
    # A topology's own checks refuse two empty nodes, and so does the check of a booted machine.
    topology = catalog.load_topology("two-nodes").model_copy(update={"nodes": nodes})
    vm = Vm(qemu.start(request_of(topology)), topology)
    running.append(vm)
    vm.port.wait_ready(topology.boot_timeout_s)
    blocks = GuestMemory(vm).list_blocks()

    with pytest.raises(AssertionError, match=r"asked for node 2, seen memory block \d+ on node 0"):
        Hotplug(vm).add_dimm(2, 256)

    nodes_of = GuestMemory(vm).read_block_nodes()
    assert {node for block in nodes_of.keys() - blocks for node in nodes_of[block]} == {0}


def test_a_dimm_comes_and_goes_on_either_kind_of_node(boot_it: Boot) -> None:
    vm = boot_it(catalog.load_topology("three-nodes-hotplug"))
    memory, hotplug = GuestMemory(vm), Hotplug(vm)
    totals = memory.read_totals_kib()
    assert 3 not in totals
    dimms = [hotplug.add_dimm(node, 256) for node in (2, 3)]
    for dimm in dimms:
        hotplug.online(dimm)
    plugged = {2: totals[2] + 256 * 1024, 3: 256 * 1024}
    assert memory.read_totals_kib() == totals | plugged
    for dimm in dimms:
        assert hotplug.remove(dimm).is_removed
    assert memory.read_totals_kib() == totals
    assert hotplug.is_as_booted


def test_the_death_of_qemu_in_mid_wait_is_told_at_once(
    boot_it: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = boot_it(catalog.load_topology("two-nodes"))
    hotplug = Hotplug(vm)
    vm.qmp.execute("stop")  # so that the guest does not answer before
    wait_event = vm.qmp.wait_event

    def kill_and_wait(
        is_wanted: Callable[[QmpEvent], bool], *, since: int, timeout_s: float
    ) -> QmpEvent | None:
        os.kill(vm.pid, signal.SIGKILL)
        return wait_event(is_wanted, since=since, timeout_s=timeout_s)

    monkeypatch.setattr(vm.qmp, "wait_event", kill_and_wait)
    began = time.monotonic()
    with pytest.raises(GuestLostError):
        hotplug.add_dimm(1, 256)
    assert time.monotonic() - began < 10
    assert not hotplug.is_as_booted


def test_growing_far_takes_blocks_that_come_online(boot_it: Boot) -> None:
    vm = boot_it(with_device(max_mib=1536))
    memory, (device,) = GuestMemory(vm), Hotplug(vm).virtio_mems

    offline = device.resize(1536, timeout_s=3)

    assert (offline.size_mib, len(offline.blocks)) == (1024, 8)  # the driver's own limit
    assert "did not end within 3 s" in offline.reason
    assert device.resize(0).is_complete
    online = device.resize(1536, online="online_movable")
    assert online.is_complete, online.reason
    assert memory.read_totals_kib()[2] == 1536 * 1024
    assert memory.read_auto_online() == "offline"
    assert device.resize(0).is_complete
    assert 2 not in memory.list_nodes()


def test_a_driver_that_does_nothing_is_waited_for_until_the_deadline(boot_it: Boot) -> None:
    vm = boot_it(with_device())
    memory, (device,) = GuestMemory(vm), Hotplug(vm).virtio_mems
    grown = device.resize(256, online="online_movable")
    assert grown.is_complete, grown.reason
    vm.run(f"echo N > {UNPLUG_ONLINE}")

    kept = device.resize(0, timeout_s=2)

    assert not kept.is_complete
    assert (kept.size_mib, kept.blocks) == (256, grown.blocks)
    assert kept.reason == "the guest's driver did not end within 2 s"
    for block in grown.blocks:
        memory.set_block(block, "offline")  # that is what it waits for
    gone = device.resize(0)
    assert gone.is_complete, gone.reason
    assert gone.blocks == ()


def test_what_a_device_has_at_boot_is_part_of_the_saved_state(
    request_of: Request, image: GuestImage, running: list[Vm], tmp_path: Path
) -> None:
    topology = with_device(requested_mib=256)
    request = request_of(topology)
    parts = name_parts(image=image.key, qemu_version=read_qemu_version(), accel=request.accel)
    store = Store(tmp_path / "cache", say=print)
    snapshots = Snapshots(store, request, parts=parts, say=print)
    state = snapshots.get()
    assert not isinstance(state, BootFailure), state
    for number in range(2):
        vm = snapshots.restore(state, log_name=f"vm{number}")
        running.append(vm)
        memory, hotplug = GuestMemory(vm), Hotplug(vm)
        (device,) = hotplug.virtio_mems
        assert device.size_mib == 256
        assert hotplug.is_as_booted
        blocks = {block for block, nodes in memory.read_block_nodes().items() if nodes == {2}}
        assert len(blocks) == 2
        grown = device.resize(384)
        assert grown.is_complete, grown.reason
        assert blocks < set(grown.blocks)
        assert not hotplug.is_as_booted
        gone = device.resize(0)
        assert gone.is_complete, gone.reason
        assert 2 not in memory.list_nodes()
