"""QEMU's command line for runs that are the same each time."""

import itertools

import pytest

from testbed.core.deterministic_argv import (
    DeterministicMachine,
    build_deterministic_argv,
    find_obstacle,
)
from testbed.core.numa_argv import build_numa_argv
from testbed.core.qemu_argv import Machine, build_argv
from testbed.host import catalog

BOOTED = Machine(
    topology=catalog.load_topology("two-nodes"),
    kernel="k",
    initrd="i",
    accel="tcg",
    console_fd=3,
    qmp_fd=4,
    port_fd=5,
)


def argv_of(**changes: object) -> tuple[str, ...]:
    fields: dict[str, object] = {
        "topology": catalog.load_topology("two-nodes"),
        "kernel": "/dev/fd/5",
        "initrd": "/dev/fd/6",
        "seed": 7,
        "console_fd": 8,
        "port_fd": 9,
        "qmp_fd": 10,
    }
    return build_deterministic_argv(DeterministicMachine(**{**fields, **changes}))  # type: ignore[arg-type]


def values_of(argv: tuple[str, ...], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(argv) if name == option]


def test_time_and_chance_are_the_guests_own() -> None:
    argv = argv_of()
    assert values_of(argv, "-accel") == ["tcg,thread=single"]
    assert values_of(argv, "-icount") == ["shift=2,sleep=off"]
    assert values_of(argv, "-rtc") == ["base=2024-01-01T00:00:00,clock=vm"]
    assert values_of(argv, "-seed") == ["7"]
    assert values_of(argv, "-cpu") == ["qemu64,-rdrand,-rdseed"]
    (cmdline,) = values_of(argv, "-append")
    assert {"nokaslr", "random.trust_cpu=off", "tsc=reliable"} <= set(cmdline.split())


def test_nothing_of_the_hosts_is_behind_a_device() -> None:
    argv = argv_of()
    text = " ".join(argv)
    assert "netdev" not in text
    assert "rng" not in text
    assert "blk" not in text
    sockets = [value for value in values_of(argv, "-chardev") if value.startswith("socket")]
    assert sockets == ["socket,id=qmp,fd=10"]
    for device in values_of(argv, "-device"):
        assert "-pci" not in device or "ioeventfd=off" in device, device
    assert values_of(argv_of(), "-sandbox") == values_of(build_argv(BOOTED), "-sandbox")


def test_console_and_port_are_files_that_qemu_does_not_open_by_name() -> None:
    argv = argv_of()
    assert values_of(argv, "-add-fd") == ["fd=8,set=1", "fd=9,set=2"]
    assert "file,id=console,path=/dev/fdset/1" in argv
    assert "file,id=port,path=/dev/fdset/2" in argv
    assert values_of(argv, "-serial") == ["chardev:console"]


@pytest.mark.parametrize("name", catalog.list_catalog().topologies)
def test_the_nodes_are_those_of_the_topology(name: str) -> None:
    topology = catalog.load_topology(name)
    expected = build_numa_argv(topology)
    argv = argv_of(topology=topology)
    start = argv.index("-m")
    assert argv[start : start + len(expected)] == expected


def test_the_words_of_the_topology_and_of_the_request_come_last() -> None:
    topology = catalog.load_topology("two-nodes").model_copy(update={"cmdline": ("a=1",)})
    (cmdline,) = values_of(argv_of(topology=topology, cmdline=("b=2",)), "-append")
    assert cmdline.endswith(" tsc=reliable a=1 b=2")


def test_a_debugger_is_waited_for_only_where_there_is_one() -> None:
    assert "-gdb" not in argv_of()
    assert "-S" not in argv_of()
    argv = argv_of(gdb_fd=11)
    assert "socket,id=gdb,fd=11,server=on,wait=off" in argv
    assert values_of(argv, "-gdb") == ["chardev:gdb"]
    assert "-S" in argv


def test_swap_disks_are_an_obstacle_and_the_rest_is_none() -> None:
    obstacles = {
        name: find_obstacle(catalog.load_topology(name))
        for name in catalog.list_catalog().topologies
    }
    assert [name for name, reason in obstacles.items() if reason] == ["movable-zones", "swap"]
    assert "topology swap has swap disks" in obstacles["swap"]
    assert "take a topology without swap_mib" in obstacles["swap"]
