"""Grouping by mobility while memory comes and goes.

What is plugged is of the type that the mode gives it, and nothing is on a list that is not its own:
a kernel with CONFIG_DEBUG_VM says so too, and then the console fails the test. On a machine that is
too small the mode is "off" whatever was asked for; raising the watermarks makes any machine small.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from page_mobility import (
    PAGEBLOCKS_PER_BLOCK,
    assert_none_astray,
    count_types,
    read_asked,
    read_logged,
    read_mode,
    read_zones,
)

from testbed.core.topology import MEMORY_BLOCK_MIB
from testbed.host.guest_memory import GuestMemory
from testbed.host.hotplug import Dimm, Hotplug
from testbed.host.vm import Vm

pytestmark = pytest.mark.needs(
    nodes=2,
    dimm_slots=3,
    kconfig=["MEMORY_HOTREMOVE", "ACPI_HOTPLUG_MEMORY", "COMPACTION"],
    features=["page-mobility"],
    timeout_s=90,
)

_SMALL_NODE: Final = 1
_SCALE: Final = "/proc/sys/vm/watermark_scale_factor"
_MIN_FREE: Final = "/proc/sys/vm/min_free_kbytes"
# The high watermark is the low one of _MIN_FREE and twice this of each zone's memory: together a
# little more than all there is (__setup_per_zone_wmarks(), mm/page_alloc.c, 6.12). What is free
# stays above the lowest, so that nobody has to wait for memory.
_MOST_SCALE: Final = 3000
_MIN_SHARE: Final = 0.42
_USER_PAGES: Final = 4096
_CLAIMED: Final = 4


@pytest.fixture
def memory(vm: Vm) -> GuestMemory:
    """The guest's memory blocks, nodes and counters."""
    return GuestMemory(vm)


@pytest.fixture
def asked(vm: Vm) -> str:
    """The mode that the kernel's command line asks for."""
    return read_asked(vm)


@contextmanager
def high_watermarks(vm: Vm, memory: GuestMemory) -> Iterator[None]:
    """Have as good as no memory above the high watermarks: a machine that is too small."""
    was = {path: vm.run(f"cat {path}").stdout.strip() for path in (_SCALE, _MIN_FREE)}
    total_kib = sum(memory.read_totals_kib().values())
    vm.run(f"echo {_MOST_SCALE} > {_SCALE}; echo {int(total_kib * _MIN_SHARE)} > {_MIN_FREE}")
    try:
        yield
    finally:
        for path, value in was.items():
            vm.run(f"echo {value} > {path}")


def allocate(vm: Vm, node: int) -> None:
    """Have pages of all kinds allocated on ``node``, and given back."""
    with vm.guest.start(f"/tools/mixhold dense --pages {_USER_PAGES} --bind {node}") as mixture:
        assert mixture.read_json()["ready"] is True
        assert_none_astray(vm)
        for request in ("drop users", "drop files", "end"):
            assert mixture.ask(request) == {"result": 0}, request
        assert mixture.finish() == 0


def plug(hotplug: Hotplug, node: int, blocks: int = 1) -> Dimm:
    """Plug a DIMM of so many memory blocks, all of them offline."""
    return hotplug.add_dimm(node=node, size_mib=blocks * MEMORY_BLOCK_MIB)


def unplug(hotplug: Hotplug, memory: GuestMemory, dimm: Dimm) -> None:
    """Take a DIMM away, whose blocks have nothing on them that can't be moved."""
    removal = hotplug.remove(dimm)
    assert removal.is_removed, removal.reason
    assert memory.count_isolated_blocks() == 0


def kind_of(mode: str) -> str:
    """Return the type that pageblocks have when they come."""
    return "Unmovable" if mode == "off" else "Movable"


def test_memory_for_the_kernel_has_the_type_of_the_mode(
    vm: Vm, hotplug: Hotplug, memory: GuestMemory, asked: str
) -> None:
    dimm = plug(hotplug, _SMALL_NODE)

    memory.set_block(dimm.blocks[0], "online_kernel")

    blocks = read_zones(vm)[_SMALL_NODE, "Normal"].blocks
    assert sum(blocks.values()) == PAGEBLOCKS_PER_BLOCK
    # The kernel may have claimed some of it by now.
    assert blocks[kind_of(asked)] >= PAGEBLOCKS_PER_BLOCK - _CLAIMED
    assert_none_astray(vm)
    assert read_mode(vm) == asked


def test_memory_comes_and_goes(vm: Vm, hotplug: Hotplug, memory: GuestMemory, asked: str) -> None:
    dimm = plug(hotplug, _SMALL_NODE)

    for _ in range(4):
        memory.set_block(dimm.blocks[0], "online_movable")
        blocks = read_zones(vm)[_SMALL_NODE, "Movable"].blocks
        assert {kind: n for kind, n in blocks.items() if n} == {
            kind_of(asked): PAGEBLOCKS_PER_BLOCK
        }
        assert_none_astray(vm)
        memory.set_block(dimm.blocks[0], "offline")
        assert (_SMALL_NODE, "Movable") not in read_zones(vm)
        assert_none_astray(vm)

    assert read_mode(vm) == asked
    unplug(hotplug, memory, dimm)


@pytest.mark.parametrize("state", ["online_kernel", "online_movable"])
def test_plugged_memory_is_used_and_goes_again(
    vm: Vm, hotplug: Hotplug, memory: GuestMemory, asked: str, state: str
) -> None:
    dimm = plug(hotplug, _SMALL_NODE)
    memory.set_block(dimm.blocks[0], state)
    free = memory.read_vmstat()["nr_free_pages"]

    allocate(vm, _SMALL_NODE)
    vm.run("echo 1 > /proc/sys/vm/compact_memory")  # which isolates free pages, and puts them back
    assert_none_astray(vm)

    assert memory.count_isolated_pages() == 0
    assert memory.read_vmstat()["nr_free_pages"] > free - _USER_PAGES
    if state == "online_movable":
        memory.set_block(dimm.blocks[0], "offline")
        unplug(hotplug, memory, dimm)
    assert read_mode(vm) == asked


def test_a_machine_that_is_too_small_is_off(
    vm: Vm, hotplug: Hotplug, memory: GuestMemory, asked: str
) -> None:
    movable = plug(hotplug, _SMALL_NODE)
    memory.set_block(movable.blocks[0], "online_movable")
    assert read_mode(vm) == asked

    # The zone has lost its last block: zonelists are built.
    with high_watermarks(vm, memory):
        assert read_mode(vm) == asked
        memory.set_block(movable.blocks[0], "offline")
        assert read_mode(vm) == "off"

    assert read_mode(vm) == "off", "nothing was plugged since"
    assert_none_astray(vm)
    # Again it has one.
    memory.set_block(movable.blocks[0], "online_movable")
    assert read_mode(vm) == asked
    assert read_logged(vm)[-2:] == ["off", asked]
    memory.set_block(movable.blocks[0], "offline")
    unplug(hotplug, memory, movable)


def test_memory_comes_to_a_machine_that_is_off(
    vm: Vm, hotplug: Hotplug, memory: GuestMemory, asked: str
) -> None:
    """Blocks from before the mode changed keep their types, beside those that come now."""
    first, movable, second = (plug(hotplug, _SMALL_NODE).blocks[0] for _ in range(3))
    memory.set_block(first, "online_kernel")
    memory.set_block(movable, "online_movable")
    with high_watermarks(vm, memory):
        memory.set_block(movable, "offline")
    before = count_types(vm, _SMALL_NODE)
    assert (before["Movable"] > 0) == (asked != "off")

    # Its zone has memory, so no zonelists are built, and the mode stays.
    memory.set_block(second, "online_kernel")

    assert read_mode(vm) == "off"
    after = count_types(vm, _SMALL_NODE)
    assert sum(after.values()) - sum(before.values()) == PAGEBLOCKS_PER_BLOCK
    assert after["Unmovable"] - before["Unmovable"] >= PAGEBLOCKS_PER_BLOCK
    assert_none_astray(vm)
    allocate(vm, _SMALL_NODE)
    assert_none_astray(vm)
    memory.set_block(movable, "online_movable")
    assert read_mode(vm) == asked
    allocate(vm, _SMALL_NODE)
    assert_none_astray(vm)
    assert read_zones(vm)[_SMALL_NODE, "Movable"].blocks["Isolate"] == 0
