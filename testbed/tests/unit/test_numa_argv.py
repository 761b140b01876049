"""What QEMU is told of each topology, word for word.

With ``TESTBED_REWRITE_GOLDENS=1`` in the environment this file writes golden/argv anew and skips;
the change is then to be read in the diff, and to be tried with a real guest (tests/vm).
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from testbed.core.numa_argv import build_numa_argv, machine_options, name_virtio_mem
from testbed.core.topology import Topology, parse_topology
from testbed.host import catalog

GOLDEN = Path(__file__).parents[1] / "golden/argv"
NAMES = catalog.list_catalog().topologies


def parse(text: str) -> Topology:
    return parse_topology(text, filename="t.yaml", name="t")


def values_of(argv: Sequence[str], option: str) -> list[str]:
    assert len(argv) % 2 == 0, "every option has a value"
    return [value for name, value in zip(argv[::2], argv[1::2], strict=True) if name == option]


def describe(topology: Topology) -> str:
    machine = ",".join((topology.machine, *machine_options(topology)))
    argv = ("-machine", machine, *build_numa_argv(topology))
    pairs = zip(argv[::2], argv[1::2], strict=True)
    return "".join(f"{option} {value}\n" for option, value in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_the_options_of_each_topology_are_the_golden_ones(name: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    described = describe(catalog.load_topology(name))
    if os.environ.get("TESTBED_REWRITE_GOLDENS"):
        golden.write_text(described)
        pytest.skip(f"{golden.name} is written anew")
    assert described == golden.read_text()


def test_no_golden_outlives_its_topology() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(NAMES)


TWO_NODES = "nodes:\n- {cpus: 1, memory_mib: 384}\n- {cpus: 2, memory_mib: 128}\n"


def test_nodes_become_numa_options_with_their_cpus_and_memory() -> None:
    argv = build_numa_argv(parse(TWO_NODES))
    assert values_of(argv, "-numa") == [
        "node,nodeid=0,cpus=0-0,memdev=mem0",
        "node,nodeid=1,cpus=1-2,memdev=mem1",
    ]
    assert "memory-backend-ram,id=mem0,size=384M" in argv
    assert "memory-backend-ram,id=mem1,size=128M" in argv
    assert values_of(argv, "-m") == ["size=512M"]
    assert values_of(argv, "-smp") == ["3,sockets=3,cores=1,threads=1"]


def test_distances_are_told_for_every_pair() -> None:
    argv = build_numa_argv(parse(TWO_NODES + "distances: [[10, 21], [22, 10]]\n"))
    assert [v for v in values_of(argv, "-numa") if v.startswith("dist")] == [
        "dist,src=0,dst=0,val=10",
        "dist,src=0,dst=1,val=21",
        "dist,src=1,dst=0,val=22",
        "dist,src=1,dst=1,val=10",
    ]


def test_an_unlisted_distance_table_is_left_to_the_guest() -> None:
    argv = build_numa_argv(parse("nodes: [{cpus: 1, memory_mib: 256}]\n"))
    assert argv == (
        *("-m", "size=256M", "-smp", "1,sockets=1,cores=1,threads=1"),
        *("-object", "memory-backend-ram,id=mem0,size=256M"),
        *("-numa", "node,nodeid=0,cpus=0-0,memdev=mem0"),
    )
    assert machine_options(parse("nodes: [{cpus: 1, memory_mib: 256}]\n")) == ()


def test_slots_of_all_nodes_are_the_machines_slots() -> None:
    argv = build_numa_argv(
        parse(
            "nodes: [{cpus: 1, memory_mib: 256, dimm_slots: 2}, "
            "{cpus: 0, memory_mib: 0, dimm_slots: 3}]\nmax_memory_mib: 1024\n"
        )
    )
    assert values_of(argv, "-m") == ["size=256M,slots=5,maxmem=1024M"]
    assert values_of(argv, "-numa")[1] == "node,nodeid=1"


def test_a_virtio_mem_device_has_its_own_memory_and_takes_no_slot() -> None:
    argv = build_numa_argv(
        parse(
            "nodes: [{cpus: 1, memory_mib: 256}]\nmax_memory_mib: 1024\n"
            "virtio_mem:\n- {node: 0, max_mib: 128}\n"
            "- {node: 0, max_mib: 256, block_mib: 4, requested_mib: 64}\n"
        )
    )
    assert values_of(argv, "-m") == ["size=256M,maxmem=1024M"]
    assert [name_virtio_mem(0), name_virtio_mem(1)] == ["vmem0", "vmem1"]
    assert values_of(argv, "-device") == [
        "virtio-mem-pci,id=vmem0,node=0,memdev=vmem0-memory,block-size=2M,requested-size=0M",
        "virtio-mem-pci,id=vmem1,node=0,memdev=vmem1-memory,block-size=4M,requested-size=64M",
    ]
    assert "memory-backend-ram,id=vmem1-memory,size=256M" in argv


HMAT = """
nodes: [{cpus: 1, memory_mib: 256}, {cpus: 1, memory_mib: 256}, {cpus: 0, memory_mib: 256}]
hmat:
  latency_ns: [[80, 130, 300], [130, 80, 250], [null, null, null]]
  bandwidth_mib_s: [[1024, 512, 256], [512, 1024, 256], [null, null, null]]
  tiers: [[0, 1], [2]]
"""


def test_an_hmat_turns_the_table_on_and_gives_nodes_without_cpus_their_nearest_initiator() -> None:
    topology = parse(HMAT)
    assert machine_options(topology) == ("hmat=on",)
    numa = values_of(build_numa_argv(topology), "-numa")
    assert numa[:3] == [
        "node,nodeid=0,cpus=0-0,memdev=mem0",
        "node,nodeid=1,cpus=1-1,memdev=mem1",
        "node,nodeid=2,memdev=mem2,initiator=1",
    ]
    assert (
        "hmat-lb,initiator=1,target=2,hierarchy=memory,data-type=access-latency,latency=250" in numa
    )
    assert (
        "hmat-lb,initiator=0,target=1,hierarchy=memory,data-type=access-bandwidth,bandwidth=512M"
        in numa
    )
    assert len(numa) == 3 + 2 * 6
    assert not any("initiator=2" in value for value in numa)
