"""A KASAN kernel gets the memory of its shadow besides what the topology says."""

from testbed.core.kasan_shadow import make_room_for_shadow
from testbed.host import catalog


def test_the_first_node_with_memory_has_room_for_the_shadow_of_all() -> None:
    eight = catalog.load_topology("eight-nodes")

    roomy = make_room_for_shadow(eight, {"NUMA", "KASAN"})

    assert [node.memory_mib for node in roomy.nodes] == [512, *[128] * 7]
    assert roomy.max_memory_mib == eight.max_memory_mib == 0
    assert roomy.cpus == eight.cpus
    assert roomy.shadow_mib == (512 + 7 * 128) // 8


def test_what_can_be_plugged_is_as_much_as_before() -> None:
    hotplug = catalog.load_topology("three-nodes-hotplug")
    roomy = make_room_for_shadow(hotplug, {"KASAN"})
    more_mib = roomy.boot_memory_mib - hotplug.boot_memory_mib
    assert more_mib == 256
    assert roomy.max_memory_mib == hotplug.max_memory_mib + more_mib


def test_another_kernel_gets_the_machine_as_it_is() -> None:
    two = catalog.load_topology("two-nodes")
    assert make_room_for_shadow(two, {"NUMA", "KFENCE"}) is two
    assert make_room_for_shadow(two, None) is two
