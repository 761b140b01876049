"""How a resize ends: reached, given up, out of time, on the wrong node, with QEMU."""

import itertools

import pytest

from testbed.errors import GuestLostError, UserError
from testbed.host.virtio_mem import VirtioMem, find_tries
from testbed.tests.unit.plugged_machine import FakeVm, make_vm, resized, set_blocks, virtio_mem

# Captured from a guest (6.12), shortened.
TIMER_LIST = """\
 clock 0:
  .base:               (____ptrval____)
 active timers:
 #0: <0000000000000000>, tick_nohz_handler, S:01
 # expires at 13000000000-13000000000 nsecs [in 1 to 1 nsecs]
 #3: <0000000053e79507>, virtio_mem_timer_expired, S:01
 # expires at 60361483810-60361483810 nsecs [in 47037488000 to 47037488000 nsecs]
 clock 1:
"""
LATER = TIMER_LIST.replace("60361483810", "99000000000")


def start(*, blocks: dict[int, int] | None = None, timers: str = "") -> tuple[FakeVm, VirtioMem]:
    vm = make_vm("virtio-mem", blocks={0: 0} | (blocks or {}))
    vm.answers |= {"timer_list": timers, "cat /sys/devices/system/memory/auto_online": "offline\n"}
    vm.qmp.devices = [virtio_mem("vmem0", size_mib=0), virtio_mem("vmem1", size_mib=0)]
    return vm, VirtioMem(vm.as_vm(), 1)


def grow_to(vm: FakeVm, size_mib: int) -> None:
    vm.qmp.devices[1] = virtio_mem("vmem1", size_mib=size_mib)


def test_tries_are_told_by_their_times() -> None:
    assert find_tries(TIMER_LIST.splitlines()) == {60361483810}
    assert find_tries(TIMER_LIST.replace("virtio_mem_", "other_").splitlines()) == frozenset()


def test_a_resize_ends_when_the_size_is_reached_whatever_the_events_say() -> None:
    vm, device = start(blocks={32: 2, 33: 2})
    vm.qmp.batches = [(resized("vmem1"),), (resized("vmem1"),)]
    sizes = itertools.cycle([128, 256])
    vm.qmp.on_event = lambda: grow_to(vm, next(sizes))

    done = device.resize(256, online="online_movable")

    assert (done.size_mib, done.blocks, done.reason) == (256, (32, 33), "")
    assert done.is_complete
    name, asked = next(c for c in vm.qmp.commands if c[0] == "qom-set")
    assert name == "qom-set"
    assert asked["path"] == "/machine/peripheral/vmem1"
    assert asked["value"] == 256 << 20
    policies = [command for command in vm.ran if "printf" in command]
    assert [command.split()[2] for command in policies] == ["online_movable", "offline"]
    assert "events_freezable" in vm.ran[vm.ran.index(policies[1]) - 1]


def test_events_of_other_devices_do_not_count() -> None:
    vm, device = start(blocks={32: 2})
    vm.qmp.batches = [(resized("vmem0"), resized("vmem1"))]
    vm.qmp.on_event = lambda: grow_to(vm, 128)
    assert device.resize(128).is_complete


def test_a_driver_that_gives_up_is_a_value() -> None:
    vm, device = start(blocks={32: 2}, timers=TIMER_LIST)
    grow_to(vm, 256)
    vm.qmp.batches = [(resized("vmem1"),), ()]

    def give_up() -> None:
        grow_to(vm, 2)
        vm.answers["timer_list"] = LATER

    vm.qmp.on_event = give_up
    done = device.resize(0)

    assert not done.is_complete
    assert (done.size_mib, done.blocks) == (2, (32,))
    assert "gave up for now" in done.reason


def test_an_old_try_is_not_taken_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _, device = start(timers=TIMER_LIST)
    clock = itertools.count()
    monkeypatch.setattr("testbed.host.virtio_mem.time.monotonic", lambda: float(next(clock)))

    done = device.resize(128, timeout_s=3)

    assert not done.is_complete
    assert done.reason == "the guest's driver did not end within 3 s"


def test_a_size_that_is_reached_and_left_again_is_not_complete() -> None:
    vm, device = start()
    grow_to(vm, 128)
    vm.on_command["events_freezable"] = lambda: grow_to(vm, 0)
    done = device.resize(128)
    assert not done.is_complete
    assert "went back" in done.reason


def test_memory_on_another_node_fails_the_test() -> None:
    vm, device = start(blocks={32: 2, 33: 0})
    grow_to(vm, 256)
    told = "vmem1 of 256 MiB: asked for node 2, seen memory block 33 on node 0"
    with pytest.raises(AssertionError, match=told):
        device.resize(256)


def test_blocks_beside_the_device_are_not_its_own() -> None:
    vm, device = start(blocks={31: 1, 32: 2, 36: 1})
    grow_to(vm, 128)
    assert device.resize(128).blocks == (32,)


def test_the_end_of_qemu_ends_the_wait() -> None:
    vm, device = start()
    vm.qmp.is_closed = True
    with pytest.raises(GuestLostError, match="QEMU ended"):
        device.resize(128)


@pytest.mark.parametrize(
    ("size_mib", "online", "told"),
    [
        (640, "offline", "vmem1 cannot have 640 MiB: ask for a multiple of 2, at most 512"),
        (-2, "offline", "vmem1 cannot have -2 MiB"),
        (3, "offline", "vmem1 cannot have 3 MiB"),
        (128, "movable", "online='movable': allowed are offline, online, online_kernel"),
    ],
)
def test_a_request_that_cannot_be_is_the_tests_error(size_mib: int, online: str, told: str) -> None:
    vm, device = start()
    with pytest.raises(UserError) as caught:
        device.resize(size_mib, online=online)
    assert told in str(caught.value)
    assert vm.ran == []


def test_blocks_are_read_with_the_size_they_are_taken_for() -> None:
    vm, device = start()
    set_blocks(vm, {32: 2})
    vm.answers["block_size_bytes"] = vm.answers["block_size_bytes"].replace("8000000", "80000000")
    grow_to(vm, 128)
    with pytest.raises(Exception, match="memory blocks of 0x80000000 bytes, expected 128 MiB"):
        device.resize(128)
