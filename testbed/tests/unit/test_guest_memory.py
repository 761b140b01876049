"""What is read from the guest's procfs and sysfs."""

import pytest

from testbed.errors import InfraError
from testbed.host.guest_memory import GuestMemory, check_landed, count_isolated_blocks
from testbed.host.guest_result import GuestResult

# Captured from a guest of two nodes (6.12), shortened to a few orders.
PAGETYPEINFO = """\
Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2
Node    0, zone      DMA, type    Unmovable      1      1      1
Node    0, zone   Normal, type      Isolate      9      9      9

Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate
Node 0, zone      DMA            1            7            0            0            0
Node 0, zone   Normal           20          163            1            0            2
Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2
Node    1, zone   Normal, type      Isolate      7      7      7

Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic      Isolate
Node 1, zone   Normal           12          179            1            0            3
"""


def test_isolated_pageblocks_are_counted_over_all_nodes_and_nothing_else() -> None:
    assert count_isolated_blocks(PAGETYPEINFO.splitlines()) == 5


def test_a_kernel_without_isolation_has_none() -> None:
    lines = [line.replace("Isolate", "Other") for line in PAGETYPEINFO.splitlines()]
    assert count_isolated_blocks(lines) == 0


class CannedShell:
    """Answers every command with the same text, and keeps the last command."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.command = ""

    def run(self, command: str) -> GuestResult:
        self.command = command
        return GuestResult(command=command, stdout=self.text, stderr="", status=0)


def test_blocks_and_their_states_are_read_at_once() -> None:
    shell = CannedShell(
        "/sys/devices/system/memory/memory0/state:online\n"
        "/sys/devices/system/memory/memory36/state:going-offline\n"
    )
    memory = GuestMemory(shell)
    assert memory.read_blocks() == {0: "online", 36: "going-offline"}
    assert memory.list_blocks() == {0, 36}


def test_a_block_may_lie_on_two_nodes() -> None:
    links = (
        "/sys/devices/system/memory/memory2/node0\n"
        "/sys/devices/system/memory/memory2/node1\n"
        "/sys/devices/system/memory/memory36/node12\n"
    )
    nodes = GuestMemory(CannedShell(f"8000000\n{links}")).read_block_nodes()
    assert nodes == {2: {0, 1}, 36: {12}}
    with pytest.raises(InfraError, match="memory blocks of 0x80000000 bytes, expected 128 MiB"):
        GuestMemory(CannedShell(f"80000000\n{links}")).read_block_nodes()


def test_memory_that_is_not_where_it_was_asked_for_is_told_block_by_block() -> None:
    nodes = {32: frozenset({3}), 33: frozenset({0}), 34: frozenset({0, 3})}
    check_landed("dimm1", nodes, node=3, blocks=[32])
    with pytest.raises(AssertionError) as caught:
        check_landed("dimm1", nodes, node=3, blocks=[32, 33, 34, 35])
    assert str(caught.value) == (
        "dimm1: asked for node 3, seen memory block 33 on node 0, memory block 34 on node 0 and "
        "node 3, memory block 35 on no node"
    )


def test_a_state_is_written_in_one_write() -> None:
    shell = CannedShell("")
    GuestMemory(shell).set_block(36, "online_movable")
    assert shell.command == ("printf %s online_movable > /sys/devices/system/memory/memory36/state")
