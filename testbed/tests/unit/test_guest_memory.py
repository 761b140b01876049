"""What is read from the guest's procfs."""

from testbed.host.guest_memory import count_isolated_blocks

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
