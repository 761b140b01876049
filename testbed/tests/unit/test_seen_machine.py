"""What guests say of their machine is read, and told from what was asked for."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.core.kasan_shadow import make_room_for_shadow
from testbed.core.seen_machine import (
    FACTS_SCRIPT,
    SeenMachine,
    SeenNode,
    compare_machine,
    format_list,
    parse_seen,
)
from testbed.core.text import split_lines
from testbed.core.topology import Hmat, Node, Topology, parse_topology
from testbed.host import catalog

GOLDEN = Path(__file__).parents[1] / "golden/machine"
NAMES = catalog.list_catalog().topologies
MIB = 1024


def read(name: str) -> tuple[str, ...]:
    return split_lines((GOLDEN / f"{name}.txt").read_bytes())


def compare(name: str, lines: tuple[str, ...]) -> tuple[str, ...]:
    return compare_machine(catalog.load_topology(name), parse_seen(lines))


@pytest.mark.parametrize("name", NAMES)
def test_each_topology_is_what_its_guest_said(name: str) -> None:
    assert compare(name, read(name)) == ()


def test_there_is_a_golden_guest_for_each_topology_and_no_other() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_of_another_topology_is_told_apart(name: str) -> None:
    others = [other for other in NAMES if other != name]
    assert [other for other in others if compare(name, read(other)) == ()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_line_that_a_guest_said_counts(name: str) -> None:
    """Without any one line the machine is another one, but for what the topology leaves open."""
    lines = read(name)
    lost = [
        line
        for number, line in enumerate(lines)
        if compare(name, lines[:number] + lines[number + 1 :]) == ()
    ]
    has_hmat = catalog.load_topology(name).hmat is not None
    for line in lost:
        is_empty_list = line.endswith("cpulist:")
        is_no_memory = "MemTotal:              0 kB" in line
        is_tier = "memory_tiering" in line and not has_hmat
        is_other_device = "/virtio/" in line and not line.endswith("0x0018")
        assert is_empty_list or is_no_memory or is_tier or is_other_device, line


def test_the_slow_tier_is_read_whole() -> None:
    seen = parse_seen(read("slow-tier"))
    assert seen.tiers == ((0, 1), (2,))
    assert seen.nodes[2] == SeenNode(
        number=2,
        cpus=(),
        memory_kib=511308,
        distances=(30, 40, 10),
        latency_ns=250,
        bandwidth_mib_s=25600,
    )
    assert (seen.cpus, seen.possible, seen.online) == ((0, 1), (0, 1, 2), (0, 1, 2))


def test_devices_are_read() -> None:
    assert parse_seen(read("virtio-mem")).virtio_mems == 2
    assert parse_seen(read("swap")).swaps_kib == (256 * MIB - 4,)


@pytest.mark.parametrize(
    ("guest", "asked", "differences"),
    [
        (
            "numa-off",
            "three-nodes-hotplug",
            [
                "nodes: 0-2 asked for, 0 seen",
                "nodes that may come up: 0-3 asked for, 0 seen",
                "CPUs of node 0: 0 asked for, 0-1 seen",
                "node 0: 320 MiB asked for, 922 MiB seen",
                "CPUs of node 1: 1 asked for, none seen",
                "node 1: 320 MiB asked for, 0 MiB seen",
                "node 2: 320 MiB asked for, 0 MiB seen",
            ],
        ),
        (
            "no-hmat",
            "slow-tier",
            [
                "latency of node 0 from node 0: 80 ns asked for, none seen",
                "bandwidth of node 0 from node 0: 102400 MiB/s asked for, none seen",
                "latency of node 1 from node 1: 80 ns asked for, none seen",
                "bandwidth of node 1 from node 1: 102400 MiB/s asked for, none seen",
                "latency of node 2 from node 0: 250 ns asked for, none seen",
                "bandwidth of node 2 from node 0: 25600 MiB/s asked for, none seen",
                "memory tiers, the fastest first: [0-1] [2] asked for, [0-2] seen",
            ],
        ),
        (
            "less-memory",
            "eight-nodes",
            [
                "nodes: 0-7 asked for, 0-3 seen",
                *(f"node {node}: 128 MiB asked for, 0 MiB seen" for node in range(4, 8)),
            ],
        ),
        (
            "one-cpu",
            "ring-of-four",
            [
                "CPUs: 0-3 asked for, 0 seen",
                *(f"CPUs of node {node}: {node} asked for, none seen" for node in range(1, 4)),
            ],
        ),
        (
            "slit-dropped",
            "ring-of-four",
            [
                f"distance {a}->{b}: 30 asked for, 20 seen"
                for a, b in ((0, 2), (1, 3), (2, 0), (3, 1))
            ],
        ),
    ],
)
def test_a_machine_that_went_wrong_is_described(
    guest: str, asked: str, differences: list[str]
) -> None:
    assert list(compare(asked, read(f"wrong/{guest}"))) == differences


def test_linux_numbers_nodes_with_cpus_first() -> None:
    """Why a topology must list them first: node 2 of this one became the guest's node 1."""
    asked = catalog.load_topology("slow-tier").model_copy(
        update={
            "hmat": None,
            "nodes": (
                Node(cpus=1, memory_mib=384),
                Node(cpus=0, memory_mib=512),
                Node(cpus=1, memory_mib=384),
            ),
        }
    )
    assert compare_machine(asked, parse_seen(read("wrong/cpus-last"))) == (
        "CPUs of node 1: none asked for, 1 seen",
        "CPUs of node 2: 1 asked for, none seen",
        "node 2: 384 MiB asked for, 503 MiB seen",
        "distance 0->1: 20 asked for, 30 seen",
        "distance 0->2: 30 asked for, 20 seen",
        "distance 1->0: 20 asked for, 30 seen",
        "distance 2->0: 30 asked for, 20 seen",
    )


def test_linux_drops_an_hmat_with_a_node_without_memory() -> None:
    row = (80, None, 160)
    asked = catalog.load_topology("memory-less").model_copy(
        update={"hmat": Hmat(latency_ns=(row,) * 3, bandwidth_mib_s=(row,) * 3, tiers=((0, 2),))}
    )
    assert compare_machine(asked, parse_seen(read("wrong/hmat-dropped"))) == (
        "latency of node 0 from node 0: 80 ns asked for, none seen",
        "bandwidth of node 0 from node 0: 80 MiB/s asked for, none seen",
        "latency of node 2 from node 2: 160 ns asked for, none seen",
        "bandwidth of node 2 from node 2: 160 MiB/s asked for, none seen",
    )


TWO = "nodes: [{cpus: 1, memory_mib: 384}, {cpus: 0, memory_mib: 384}]\n"


def two_nodes(more: str = "") -> tuple[Topology, SeenMachine]:
    topology = parse_topology(TWO + more, filename="t.yaml", name="t")
    seen = SeenMachine(
        cpus=(0,),
        possible=(0, 1),
        nodes=(
            SeenNode(number=0, cpus=(0,), memory_kib=370 * MIB, distances=(10, 20)),
            SeenNode(number=1, memory_kib=384 * MIB, distances=(20, 10)),
        ),
    )
    return topology, seen


@pytest.mark.parametrize(
    ("memory_mib", "more", "difference"),
    [
        (384, "", ""),
        (244, "", ""),  # a fifth and 64 MiB less
        (242, "", "node 1: 384 MiB asked for, 242 MiB seen"),
        (0, "", "node 1: 384 MiB asked for, 0 MiB seen"),
        (385, "", "node 1: 384 MiB asked for, 385 MiB seen"),
        # Where memory may lie above 4 GiB, the kernel keeps swiotlb's 64 MiB as well.
        (242, "max_memory_mib: 2048\nvirtio_mem: [{node: 0, max_mib: 128}]\n", ""),
    ],
)
def test_a_kernel_may_keep_some_memory_to_itself(
    memory_mib: int, more: str, difference: str
) -> None:
    topology, seen = two_nodes(more)
    nodes = (seen.nodes[0], replace(seen.nodes[1], memory_kib=memory_mib * MIB))
    devices = len(topology.virtio_mem)
    found = compare_machine(topology, replace(seen, nodes=nodes, virtio_mems=devices))
    assert found == ((difference,) if difference else ())


def test_a_kasan_kernel_keeps_its_shadow_to_itself_on_the_first_node() -> None:
    topology = make_room_for_shadow(catalog.load_topology("eight-nodes"), {"KASAN"})
    seen = parse_seen(read("eight-nodes"))
    nodes = (replace(seen.nodes[0], memory_kib=299 * MIB), *seen.nodes[1:])  # as it was on 6.12

    assert compare_machine(topology, replace(seen, nodes=nodes)) == ()

    unshadowed = topology.model_copy(update={"shadow_mib": 0})
    assert compare_machine(unshadowed, replace(seen, nodes=nodes)) == (
        "node 0: 512 MiB asked for, 299 MiB seen",
    )


def test_a_small_node_without_any_memory_is_missed() -> None:
    topology, seen = two_nodes()
    small = topology.model_copy(
        update={
            "nodes": (topology.nodes[0], topology.nodes[1].model_copy(update={"memory_mib": 32}))
        }
    )
    nodes = (seen.nodes[0], replace(seen.nodes[1], memory_kib=0))
    assert compare_machine(small, replace(seen, nodes=nodes)) == (
        "node 1: 32 MiB asked for, 0 MiB seen",
    )


def test_what_virtio_mem_was_asked_for_may_have_come_already() -> None:
    more = """max_memory_mib: 4096
virtio_mem: [{node: 2, max_mib: 512, requested_mib: 256}]
"""
    text = TWO.replace("}]", "}, {cpus: 0, memory_mib: 0}]")
    topology = parse_topology(text + more, filename="t.yaml", name="t")
    _, seen = two_nodes()
    seen = replace(seen, possible=(0, 1, 2), virtio_mems=1)
    assert compare_machine(topology, seen) == ()
    for came_mib, expected in (
        (0, ()),
        (256, ()),
        (257, ("node 2: 0 MiB asked for, 257 MiB seen",)),
    ):
        nodes = (
            replace(seen.nodes[0], distances=(10, 20, 20)),
            replace(seen.nodes[1], distances=(20, 10, 20)),
            SeenNode(number=2, memory_kib=came_mib * MIB, distances=(20, 20, 10)),
        )
        assert compare_machine(topology, replace(seen, nodes=nodes)) == expected


def test_a_node_that_nobody_asked_for_is_told() -> None:
    topology, seen = two_nodes()
    nodes = (
        replace(seen.nodes[0], distances=(10, 20, 20)),
        replace(seen.nodes[1], distances=(20, 10, 20)),
        SeenNode(number=5, memory_kib=64 * MIB, distances=(20, 20, 10)),
    )
    assert compare_machine(topology, replace(seen, nodes=nodes)) == (
        "nodes: 0-1 asked for, 0-1,5 seen",
        "node 5: not asked for, 64 MiB seen",
    )


def test_a_swap_disk_and_a_device_too_many_are_told() -> None:
    topology, seen = two_nodes()
    assert compare_machine(topology, replace(seen, swaps_kib=(2044, 1020), virtio_mems=1)) == (
        "swap: none asked for, 1020 KiB + 2044 KiB seen",
        "virtio-mem devices: 0 asked for, 1 seen",
    )


def test_a_row_of_distances_that_is_too_short_is_told() -> None:
    topology, seen = two_nodes()
    nodes = (replace(seen.nodes[0], distances=(10,)), seen.nodes[1])
    assert compare_machine(topology, replace(seen, nodes=nodes)) == (
        "distances of node 0: 2 expected, one for each online node, 1 seen",
    )


def test_differences_do_not_fill_the_page() -> None:
    topology, seen = two_nodes()
    nodes = tuple(SeenNode(number=number) for number in range(4096))
    found = compare_machine(topology, replace(seen, nodes=nodes))
    assert len(found) == 41
    assert found[-1].startswith("and ")
    assert found[-1].endswith(" more differences")


END = "facts: end"
ONLINE = "/sys/devices/system/node/online:"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "no line 'facts: end'"),
        ([ONLINE + "0"], "no line 'facts: end'"),
        (["sh: grep: not found", END], "an unknown line: 'sh: grep: not found'"),
        ([ONLINE + "0-99999", END], "the number 99999 in a list"),
        ([ONLINE + "0-9999999999999", END], "an unknown line"),
        ([ONLINE + "٣", END], "an unknown line"),
        ([ONLINE + "0", ONLINE + "1", END], "told twice"),
        (["x" * 1_000_000, END], "a line of 1000000 characters: 'xxx"),
        (["\x1b[2J</script>\x00", END], "an unknown line: '</script>'"),
        (["/sys/devices/system/node/node0/distance:" + "1" * 4000, END], "an unknown line"),
        (["/proc/swaps:/" + " \t" * 2000, END], "an unknown line"),
        ([ONLINE + "0," * 2000 + "x", END], "an unknown line"),
        (
            ["/sys/devices/system/node/node0/meminfo:Node 0 MemTotal: " + "9" * 99 + " kB"],
            "unknown",
        ),
    ],
)
def test_what_is_no_fact_is_one_difference(lines: list[str], why: str) -> None:
    (difference,) = compare("two-nodes", tuple(lines))
    assert difference.startswith("the guest's facts cannot be read: ")
    assert why in difference
    assert len(difference) < 200
    assert difference.isprintable()


def test_an_endless_output_is_not_read_to_its_end() -> None:
    def endless() -> Iterator[str]:
        number = 0
        while True:
            assert number < 10_000, "nobody reads that far"
            yield f"/sys/devices/system/node/node{number}/cpulist:"
            number += 1

    seen = parse_seen(endless())
    assert seen.unreadable == "no line 'facts: end' among the first 4096"


def test_backwards_ranges_and_numbers_of_nothing_are_harmless() -> None:
    seen = parse_seen([ONLINE + "5-3,7", END])
    assert seen.online == (7,)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), "none"), ((0,), "0"), ((0, 1, 2, 5), "0-2,5"), ((1, 3, 4), "1,3-4")],
)
def test_lists_are_shown_as_sysfs_shows_them(numbers: tuple[int, ...], text: str) -> None:
    assert format_list(numbers) == text


def test_the_script_starts_one_process() -> None:
    commands = [line for line in FACTS_SCRIPT.splitlines() if line]
    assert len(commands) == 2
    assert commands[0].startswith("grep ")
    assert commands[1] == "echo 'facts: end'"
    assert not set("|`$&;") & set(FACTS_SCRIPT.replace("'^$'", ""))
