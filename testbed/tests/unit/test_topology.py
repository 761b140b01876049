"""Topologies: what is read, what is refused, and what QEMU is told of them."""

from itertools import pairwise

import pytest

from testbed.core.qemu_argv import Machine, build_argv
from testbed.core.topology import Topology, parse_topology
from testbed.errors import PlanError
from testbed.host import catalog

TWO_NODES = "nodes:\n- {cpus: 1, memory_mib: 384}\n- {cpus: 2, memory_mib: 128}\n"


def parse(text: str) -> Topology:
    return parse_topology(text, filename="t.yaml", name="t")


def argv_of(topology: Topology) -> tuple[str, ...]:
    return build_argv(
        Machine(
            topology=topology,
            kernel="/k/bz image",
            initrd="/i",
            accel="tcg",
            console_fd=7,
            qmp_fd=8,
            port_fd=9,
        )
    )


def values_of(argv: tuple[str, ...], option: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == option]


def test_the_guest_has_no_way_out() -> None:
    argv = argv_of(parse(TWO_NODES))
    assert values_of(argv, "-netdev") == ["user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]
    assert values_of(argv, "-sandbox")[0].startswith("on,")
    assert "-virtfs" not in argv


def test_console_and_monitor_are_inherited_sockets() -> None:
    argv = argv_of(parse(TWO_NODES))
    assert values_of(argv, "-chardev")[:2] == ["socket,id=console,fd=7", "socket,id=qmp,fd=8"]


def test_the_command_line_of_the_topology_comes_after_our_own() -> None:
    argv = argv_of(parse(TWO_NODES + "cmdline: [movable_node]\n"))
    assert values_of(argv, "-append")[0].endswith(" movable_node")


ORDINARY = "cpus: 1, memory_mib: 256"
EMPTY = "cpus: 0, memory_mib: 0"


def write_nodes(*nodes: str) -> str:
    return "nodes:\n" + "".join(f"- {{{node}}}\n" for node in nodes)


SLOT = write_nodes(f"{ORDINARY}, dimm_slots: 2")
VIRTIO = write_nodes(ORDINARY) + "max_memory_mib: 4096\n"
TIERED = """
nodes: [{cpus: 1, memory_mib: 256}, {cpus: 0, memory_mib: 256}]
hmat:
  latency_ns: [[80, 250], [null, null]]
  bandwidth_mib_s: [[1024, 256], [null, null]]
  tiers: [[0], [1]]
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes: []\n", "t.yaml: key 'nodes'"),
        ("nodes: [{cpus: 1}]\n", "key 'nodes[0].memory_mib' is missing"),
        ("nodes: [{cpus: 1, memory_mib: '256'}]\n", "key 'nodes[0].memory_mib': '256' will not do"),
        (
            "nodes: [{cpus: 1, memory_mib: 256, mem: 1}]\n",
            "unknown key 'nodes[0].mem'; allowed here: cpus, memory_mib, dimm_slots",
        ),
        ("nodes: [{cpus: 0, memory_mib: 256}]\n", "no node has both a CPU and memory"),
        ("nodes: [{cpus: 1, memory_mib: 64}]\n", "64 MiB of memory: a guest needs 128"),
        (TWO_NODES + "machine: isapc\n", "key 'machine': 'isapc' will not do: "),
        (
            write_nodes(ORDINARY, "cpus: 0, memory_mib: 256", "cpus: 1, memory_mib: 0"),
            "node 1 has no CPU and stands before a node that has",
        ),
        (TWO_NODES + "distances: [[10, 20]]\n", "distances must be a 2 x 2 table"),
        (TWO_NODES + "distances: [[10, 20], [20]]\n", "distances must be a 2 x 2 table"),
        (TWO_NODES + "distances: [[11, 20], [20, 10]]\n", "the distance of a node to itself is 10"),
        (TWO_NODES + "distances: [[10, 10], [20, 10]]\n", "row 0 has 10 for another node"),
        (TWO_NODES + "distances: [[10, 255], [20, 10]]\n", "key 'distances[0][1]': 255"),
        (TWO_NODES + "hotplug: {slots: 1, max_memory_mib: 512}\n", "unknown key 'hotplug'"),
        (TWO_NODES + "name: other\n", "unknown key 'name'"),
        (TWO_NODES + "swap_mib: [0]\n", "key 'swap_mib[0]': 0 will not do"),
        (TWO_NODES + "swap_mib: 256\n", "key 'swap_mib': 256 will not do"),
        ("nodes:\n\t- {cpus: 1}\n", "t.yaml:2:1: not YAML"),
        ("- 1\n", "expected keys and values"),
        ("nodes: []\nnodes: []\n", "key 'nodes' is given twice"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, said: str) -> None:
    check_refused(text, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SLOT, "max_memory_mib must be 512 or more"),
        (SLOT + "max_memory_mib: 511\n", "max_memory_mib must be 512 or more"),
        (TWO_NODES + "max_memory_mib: 4096\n", "max_memory_mib: nothing can be plugged"),
        (SLOT.replace("slots: 2", "slots: 257"), "key 'nodes[0].dimm_slots': 257"),
        (
            write_nodes(f"{ORDINARY}, dimm_slots: 256", f"{ORDINARY}, dimm_slots: 1"),
            "257 dimm_slots in all nodes: QEMU has 256",
        ),
        (
            write_nodes(ORDINARY, EMPTY),
            "node 1 would stay empty for ever: give it dimm_slots or virtio_mem",
        ),
        (
            write_nodes(ORDINARY, f"{EMPTY}, dimm_slots: 1", f"{EMPTY}, dimm_slots: 1"),
            "node 1 is empty (no CPU, no memory) and not the last",
        ),
        (VIRTIO + "virtio_mem: [{node: 1, max_mib: 128}]\n", "virtio_mem: there is no node 1"),
        (
            VIRTIO.replace("4096", "383") + "virtio_mem: [{node: 0, max_mib: 128}]\n",
            "max_memory_mib must be 384 or more",
        ),
        (VIRTIO + "virtio_mem: [{node: 0, max_mib: 64}]\n", "key 'virtio_mem[0].max_mib': 64"),
        (
            VIRTIO + "virtio_mem: [{node: 0, max_mib: 130}]\n",
            "max_mib must be a multiple of block_mib and of 128",
        ),
        (
            VIRTIO + "virtio_mem: [{node: 0, max_mib: 384, block_mib: 256}]\n",
            "max_mib must be a multiple of block_mib and of 128",
        ),
        (
            VIRTIO + "virtio_mem: [{node: 0, max_mib: 128, block_mib: 3}]\n",
            "key 'virtio_mem[0].block_mib': 3 will not do: a power of two is needed",
        ),
        (
            VIRTIO + "virtio_mem: [{node: 0, max_mib: 128, requested_mib: 3}]\n",
            "requested_mib must be a multiple of block_mib, at most max_mib",
        ),
        (
            VIRTIO + "virtio_mem: [{node: 0, max_mib: 128, requested_mib: 130}]\n",
            "requested_mib must be a multiple of block_mib, at most max_mib",
        ),
    ],
)
def test_what_is_wrong_with_plugged_memory_is_said(text: str, said: str) -> None:
    check_refused(text, said)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  tiers: [[0], [1]]\n", "", "key 'hmat.tiers' is missing"),
        ("tiers: [[0], [1]]", "tiers: [[0]]", "hmat.tiers must have each node with memory"),
        ("tiers: [[0], [1]]", "tiers: [[0, 1], [1]]", "hmat.tiers must have each node with memory"),
        ("[[80, 250], ", "[", "hmat.latency_ns must be a 2 x 2 table"),
        ("[1024, 256]", "[1024]", "hmat.bandwidth_mib_s must be a 2 x 2 table"),
        ("[80, 250]", "[80, null]", "hmat.latency_ns[0][1] is null: node 0 has a CPU and node 1"),
        ("[80, 250]", "[80, 0]", "key 'hmat.latency_ns[0][1]': 0 will not do"),
        ("[80, 250]", "[80, 65535]", "key 'hmat.latency_ns[0][1]': 65535 will not do"),
        (
            "[1024, 256], [null",
            "[1024, 256], [9",
            "hmat.bandwidth_mib_s[1][0] must be null: node 1 has no CPU",
        ),
        ("[1024, 256]", "[65535, 256]", "65535 MiB/s is too much for so fine a table"),
        (
            "cpus: 0, memory_mib: 256",
            "cpus: 1, memory_mib: 0",
            "hmat.latency_ns[0][1] must be null: node 1 has no memory",
        ),
    ],
)
def test_what_is_wrong_with_an_hmat_is_said(old: str, new: str, said: str) -> None:
    assert old in TIERED
    check_refused(TIERED.replace(old, new), said)


def test_linux_drops_an_hmat_that_names_a_node_without_memory() -> None:
    text = """
nodes: [{cpus: 1, memory_mib: 256}, {cpus: 1, memory_mib: 0}]
hmat:
  latency_ns: [[80, null], [160, null]]
  bandwidth_mib_s: [[1024, null], [1024, null]]
  tiers: [[0]]
"""
    check_refused(text, "hmat: node 1 has no memory, and Linux drops such a table")
    plugged = text.replace("memory_mib: 0", "memory_mib: 0, dimm_slots: 1")
    assert parse(plugged + "max_memory_mib: 4096\n").find_initiator(1) == 1


def check_refused(text: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wide_table_is_allowed_where_its_unit_is_coarse() -> None:
    assert parse(TIERED.replace("[1024, 256]", "[1048576, 256]")).hmat


def test_what_a_topology_says_of_itself() -> None:
    topology = parse(
        """
nodes:
  - {cpus: 2, memory_mib: 256, dimm_slots: 1}
  - {cpus: 1, memory_mib: 0, dimm_slots: 2}
  - {cpus: 0, memory_mib: 128}
  - {cpus: 0, memory_mib: 0}
max_memory_mib: 4096
virtio_mem: [{node: 3, max_mib: 256}]
swap_mib: [64, 32]
"""
    )
    assert topology.name == "t"
    assert topology.machine == "q35"
    assert (topology.cpus, topology.boot_memory_mib) == (3, 384)
    assert (topology.memory_nodes, topology.empty_nodes) == ((0, 2), (3,))
    assert (topology.dimm_slots, topology.swap_total_mib) == (3, 96)
    assert [list(topology.list_cpus(node)) for node in range(4)] == [[0, 1], [2], [], []]
    assert topology.virtio_mem[0].block_mib == 2
    assert topology.virtio_mem[0].requested_mib == 0
    assert topology.find_initiator(2) is None


def test_distances_are_those_of_the_table_or_of_linux() -> None:
    assert [parse(TWO_NODES).distance(0, n) for n in (0, 1)] == [10, 20]
    given = parse(TWO_NODES + "distances: [[10, 21], [22, 10]]\n")
    assert (given.distance(0, 1), given.distance(1, 0)) == (21, 22)


def test_a_tab_is_called_by_its_name() -> None:
    with pytest.raises(PlanError, match="this line has a tab"):
        parse("nodes:\n\t- {cpus: 1}\n")


@pytest.mark.parametrize("name", catalog.list_catalog().topologies)
def test_every_topology_of_the_project_is_valid_and_described(name: str) -> None:
    topology = catalog.load_topology(name)
    assert topology.name == name
    assert topology.about
    assert topology.boot_memory_mib <= 1536, "a guest is to be cheap enough to have several"
    assert argv_of(topology)
