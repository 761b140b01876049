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
        )
    )


def values_of(argv: tuple[str, ...], option: str) -> list[str]:
    return [value for name, value in pairwise(argv) if name == option]


def test_nodes_become_numa_options_with_their_cpus_and_memory() -> None:
    argv = argv_of(parse(TWO_NODES))
    assert values_of(argv, "-numa") == [
        "node,nodeid=0,cpus=0-0,memdev=mem0",
        "node,nodeid=1,cpus=1-2,memdev=mem1",
    ]
    assert "memory-backend-ram,id=mem0,size=384M" in argv
    assert "memory-backend-ram,id=mem1,size=128M" in argv
    assert values_of(argv, "-m") == ["size=512M"]
    assert values_of(argv, "-smp") == ["3,sockets=3,cores=1,threads=1"]


def test_a_node_without_memory_and_cpus_has_neither_option() -> None:
    argv = argv_of(
        parse(
            "nodes: [{cpus: 1, memory_mib: 256}, {cpus: 0, memory_mib: 0}]\n"
            "hotplug: {slots: 2, max_memory_mib: 1024}\n"
        )
    )
    assert values_of(argv, "-numa")[1] == "node,nodeid=1"
    assert values_of(argv, "-m") == ["size=256M,slots=2,maxmem=1024M"]


def test_distances_are_told_for_every_pair() -> None:
    argv = argv_of(parse(TWO_NODES + "distances: [[10, 21], [22, 10]]\n"))
    assert [v for v in values_of(argv, "-numa") if v.startswith("dist")] == [
        "dist,src=0,dst=0,val=10",
        "dist,src=0,dst=1,val=21",
        "dist,src=1,dst=0,val=22",
        "dist,src=1,dst=1,val=10",
    ]


def test_the_guest_has_no_way_out() -> None:
    argv = argv_of(parse(TWO_NODES))
    assert values_of(argv, "-netdev") == ["user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]
    assert values_of(argv, "-sandbox")[0].startswith("on,")
    assert "-virtfs" not in argv


def test_console_and_monitor_are_inherited_sockets() -> None:
    argv = argv_of(parse(TWO_NODES))
    assert values_of(argv, "-chardev") == ["socket,id=console,fd=7", "socket,id=qmp,fd=8"]


def test_the_command_line_of_the_topology_comes_after_our_own() -> None:
    argv = argv_of(parse(TWO_NODES + "cmdline: [movable_node]\n"))
    assert values_of(argv, "-append")[0].endswith(" movable_node")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes: []\n", "t.yaml: key 'nodes'"),
        ("nodes: [{cpus: 1}]\n", "key 'nodes[0].memory_mib' is missing"),
        ("nodes: [{cpus: 1, memory_mib: '256'}]\n", "key 'nodes[0].memory_mib': '256' will not do"),
        (
            "nodes: [{cpus: 1, memory_mib: 256, mem: 1}]\n",
            "unknown key 'nodes[0].mem'; allowed here: cpus, memory_mib",
        ),
        ("nodes: [{cpus: 0, memory_mib: 256}]\n", "no node has both a CPU and memory"),
        ("nodes: [{cpus: 1, memory_mib: 64}]\n", "64 MiB of memory: a guest needs 128"),
        (TWO_NODES + "distances: [[10, 20]]\n", "distances must be a 2 x 2 table"),
        (TWO_NODES + "distances: [[11, 20], [20, 10]]\n", "the distance of a node to itself is 10"),
        (TWO_NODES + "hotplug: {slots: 1, max_memory_mib: 512}\n", "must exceed the boot memory"),
        (TWO_NODES + "name: other\n", "unknown key 'name'"),
        ("nodes:\n\t- {cpus: 1}\n", "t.yaml:2:1: not YAML"),
        ("- 1\n", "expected keys and values"),
        ("nodes: []\nnodes: []\n", "key 'nodes' is given twice"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tab_is_called_by_its_name() -> None:
    with pytest.raises(PlanError, match="this line has a tab"):
        parse("nodes:\n\t- {cpus: 1}\n")


@pytest.mark.parametrize("name", catalog.list_catalog().topologies)
def test_every_topology_of_the_project_is_valid_and_described(name: str) -> None:
    topology = catalog.load_topology(name)
    assert topology.name == name
    assert topology.about
    assert argv_of(topology)
