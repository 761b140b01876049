"""Plugging and unplugging: what ends a wait, what is refused beforehand, where memory landed."""

import pytest

from testbed.errors import GuestLostError, InfraError, UserError
from testbed.host.hotplug import Hotplug, is_eject_end, is_plug_end, is_removal_end
from testbed.host.qmp import QmpEvent
from testbed.tests.unit.plugged_machine import FakeVm, dimm, make_vm, ost, set_blocks, virtio_mem

DELETED = QmpEvent(name="DEVICE_DELETED", data={"device": "dimm1"})
EJECTED = QmpEvent(name="ACPI_DEVICE_OST", data={"info": {"source": 3, "status": 0, "slot": "0"}})


@pytest.mark.parametrize(
    ("event", "ends"),
    [
        (DELETED, True),
        (QmpEvent(name="DEVICE_DELETED", data={"device": "dimm2"}), False),
        (QmpEvent(name="DEVICE_DELETED", data={"path": "/machine/x"}), False),
        (QmpEvent(name="MEM_UNPLUG_ERROR", data={"device": "dimm1", "msg": "no"}), True),
        (QmpEvent(name="DEVICE_UNPLUG_GUEST_ERROR", data={"device": "dimm1"}), True),
        (ost("dimm1", 0x84), False),  # EJECT_IN_PROGRESS
        (ost("dimm1", 0), False),
        (ost("dimm1", 1), True),
        (ost("dimm1", 0x82), True),
        (ost("dimm2", 1), False),
    ],
)
def test_a_removal_ends_with_the_device_or_with_a_refusal(event: QmpEvent, *, ends: bool) -> None:
    assert is_removal_end(event, "dimm1") is ends


def test_a_plug_ends_with_the_guests_word_on_it() -> None:
    assert is_plug_end(ost("dimm1", 0, source=1), "dimm1")
    assert is_plug_end(ost("dimm1", 1, source=1), "dimm1")
    assert not is_plug_end(ost("dimm2", 0, source=1), "dimm1")
    assert not is_plug_end(DELETED, "dimm1")


def test_a_late_word_on_the_removal_before_does_not_end_a_plug() -> None:
    assert not is_plug_end(ost("dimm1", 0, source=3), "dimm1")
    assert not is_removal_end(ost("dimm1", 1, source=1), "dimm1")


def test_an_ejection_is_done_with_its_success_alone() -> None:
    assert is_eject_end(EJECTED)
    assert not is_eject_end(ost("dimm1", 0x84))
    assert not is_eject_end(ost("dimm1", 0, source=1))
    assert not is_eject_end(DELETED)


def plug(vm: FakeVm, *, node: int = 1, size_mib: int = 256, lands_on: int | None = None) -> Hotplug:
    """Return the hotplug of ``vm`` with one DIMM plugged."""
    hotplug = Hotplug(vm.as_vm())
    set_blocks(vm, dict.fromkeys((32, 33), node if lands_on is None else lands_on))
    vm.qmp.devices = [dimm("dimm1", size_mib=size_mib)]
    vm.qmp.batches = [(ost("dimm1", 0, source=1),)]
    hotplug.add_dimm(node, size_mib)
    return hotplug


def test_a_dimm_is_plugged_and_its_blocks_are_known() -> None:
    vm = make_vm("two-nodes")
    hotplug = plug(vm)
    (plugged,) = hotplug.dimms
    assert (plugged.node, plugged.size_mib, plugged.blocks) == (1, 256, (32, 33))
    added, plugged_in = vm.qmp.commands[:2]
    assert added[0] == "object-add"
    assert added[1]["size"] == 256 << 20
    assert plugged_in[0] == "device_add"
    assert plugged_in[1]["node"] == 1
    assert not hotplug.is_as_booted


def test_memory_that_landed_on_another_node_is_told_with_both_nodes() -> None:
    with pytest.raises(AssertionError) as caught:
        plug(make_vm("three-nodes-hotplug"), node=3, lands_on=0)
    assert str(caught.value) == (
        "dimm1 of 256 MiB: asked for node 3, seen memory block 32 on node 0, "
        "memory block 33 on node 0"
    )


@pytest.mark.parametrize(
    ("topology", "node", "size_mib", "told"),
    [
        ("two-nodes", 0, 256, "two-nodes has no DIMM slots for node 0; nodes that have some: [1]"),
        ("three-nodes-hotplug", 4, 256, "no DIMM slots for node 4; nodes that have some: [2, 3]"),
        ("one-node", 0, 256, "no DIMM slots for node 0; nodes that have some: none"),
        ("two-nodes", 1, 100, "a DIMM of 100 MiB: the guest takes multiples of 128"),
        ("two-nodes", 1, 0, "a DIMM of 0 MiB: the guest takes multiples of 128"),
        ("two-nodes", 1, 3456, "3328 are left of the 4096 that two-nodes allows (max_memory_mib)"),
    ],
)
def test_a_dimm_that_the_topology_has_no_place_for_is_the_tests_error(
    topology: str, node: int, size_mib: int, told: str
) -> None:
    vm = make_vm(topology)
    with pytest.raises(UserError) as caught:
        Hotplug(vm.as_vm()).add_dimm(node, size_mib)
    assert told in str(caught.value)
    assert vm.qmp.commands == []


def test_plugged_dimms_take_slots_and_memory() -> None:
    vm = make_vm("three-nodes-hotplug")
    hotplug = plug(vm, node=2)
    with pytest.raises(UserError, match="all DIMM slots of node 2 are taken"):
        hotplug.add_dimm(2, 256)
    with pytest.raises(UserError, match="a DIMM of 3072 MiB: 2880 are left of the 4096"):
        hotplug.add_dimm(3, 3072)


def test_a_guest_that_refuses_or_does_not_answer_fails_the_test() -> None:
    vm = make_vm("two-nodes")
    vm.qmp.batches = [(ost("dimm1", 1, source=1),)]
    with pytest.raises(AssertionError, match="the guest refused dimm1"):
        Hotplug(vm.as_vm()).add_dimm(1, 256)
    with pytest.raises(AssertionError, match="did not take dimm1 within 30 s"):
        Hotplug(vm.as_vm()).add_dimm(1, 256)


def test_the_end_of_qemu_is_told_from_silence() -> None:
    vm = make_vm("two-nodes")
    hotplug = plug(vm)
    (plugged,) = hotplug.dimms
    with pytest.raises(AssertionError, match="no answer to the removal of dimm1 within 5 s"):
        hotplug.remove(plugged, timeout_s=5)
    vm.qmp.is_closed = True
    with pytest.raises(GuestLostError, match="QEMU ended"):
        hotplug.remove(plugged, timeout_s=5)
    assert not hotplug.is_as_booted


def test_a_removal_is_done_when_the_guest_has_had_its_last_word() -> None:
    vm = make_vm("two-nodes")
    hotplug = plug(vm)
    (plugged,) = hotplug.dimms
    vm.qmp.batches = [(DELETED,)]
    with pytest.raises(AssertionError, match="did not finish the removal of dimm1"):
        hotplug.remove(plugged)
    vm.qmp.batches = [(ost("dimm1", 0x84), DELETED), (DELETED, EJECTED)]
    assert hotplug.remove(plugged).is_removed
    assert vm.qmp.commands[-1] == ("object-del", {"id": "dimm1-memory"})
    assert hotplug.dimms == ()
    assert hotplug.is_as_booted


@pytest.mark.parametrize(
    "refusal",
    [
        QmpEvent(name="MEM_UNPLUG_ERROR", data={"device": "dimm1", "msg": "no"}),
        QmpEvent(name="DEVICE_UNPLUG_GUEST_ERROR", data={"device": "dimm1"}),
        ost("dimm1", 1),
    ],
)
def test_a_refused_removal_is_a_value_and_the_dimm_stays(refusal: QmpEvent) -> None:
    vm = make_vm("two-nodes")
    hotplug = plug(vm)
    vm.qmp.batches = [(ost("dimm1", 0x84), refusal)]
    removal = hotplug.remove(hotplug.dimms[0])
    assert not removal.is_removed
    assert refusal.name in removal.reason
    assert len(hotplug.dimms) == 1


def test_onlining_must_add_exactly_the_size_of_the_dimm() -> None:
    vm = make_vm("two-nodes")
    hotplug = plug(vm)
    (plugged,) = hotplug.dimms
    vm.answers["MemTotal"] = "Node 0 MemTotal: 1 kB\nNode 1 MemTotal: 2 kB\n"
    with pytest.raises(AssertionError, match=r"262144 KiB .* node 1, whose MemTotal grew by 0 KiB"):
        hotplug.online(plugged)
    written = [command for command in vm.ran if "online_movable" in command]
    assert [block for block in (32, 33) if f"memory{block}/state" in " ".join(written)] == [32, 33]


def test_a_machine_is_as_booted_when_its_devices_have_their_first_size() -> None:
    vm = make_vm("virtio-mem")
    hotplug = Hotplug(vm.as_vm())
    vm.qmp.devices = [virtio_mem("vmem0", size_mib=0), virtio_mem("vmem1", size_mib=0)]
    assert hotplug.is_as_booted
    vm.qmp.devices[1] = virtio_mem("vmem1", size_mib=128)
    assert not hotplug.is_as_booted
    vm.qmp.devices.pop()
    with pytest.raises(InfraError, match="does not list vmem1"):
        assert hotplug.is_as_booted


def test_a_device_is_found_by_its_node() -> None:
    hotplug = Hotplug(make_vm("virtio-mem").as_vm())
    assert hotplug.virtio_mem(2) is hotplug.virtio_mems[1]
    with pytest.raises(
        UserError, match=r"no virtio-mem device on node 0; those with one: \[1, 2\]"
    ):
        hotplug.virtio_mem(0)
