import pytest

from testbed.core.capacity import (
    QEMU_OVERHEAD_MIB,
    Capacity,
    GuestNeed,
    count_guests,
    has_room,
    join_needs,
    need_of,
    require_possible,
    size_capacity,
)
from testbed.core.topology import parse_topology
from testbed.errors import InfraError

HOST = Capacity(memory_mib=8000, cpus=4, alone_mib=9000)


def need(memory_mib: int, cpus: int = 1) -> GuestNeed:
    return GuestNeed(what="topology t", memory_mib=memory_mib, cpus=cpus)


def test_a_host_gives_four_fifths_of_its_memory_and_two_cpus_a_core() -> None:
    assert size_capacity(cores=2, total_mib=24000, available_mib=20000) == Capacity(
        memory_mib=16000, cpus=4, alone_mib=19200
    )


def test_a_container_gives_no_more_than_its_limit() -> None:
    assert size_capacity(cores=64, total_mib=2000, available_mib=90000) == Capacity(
        memory_mib=1600, cpus=128, alone_mib=1600
    )


def test_a_guest_needs_its_boot_memory_and_what_qemu_takes() -> None:
    topology = parse_topology(
        "nodes: [{cpus: 1, memory_mib: 256}, {cpus: 2, memory_mib: 128}]", filename="t", name="t"
    )
    assert need_of(topology) == GuestNeed(
        what="topology t", memory_mib=384 + QEMU_OVERHEAD_MIB, cpus=3
    )


def test_a_guest_needs_all_that_may_be_plugged_and_its_swap() -> None:
    topology = parse_topology(
        "nodes: [{cpus: 1, memory_mib: 256, dimm_slots: 2}]\nmax_memory_mib: 1024\nswap_mib: [64]",
        filename="t",
        name="t",
    )
    assert need_of(topology).memory_mib == 1024 + 64 + QEMU_OVERHEAD_MIB


def test_guests_that_are_there_at_once_need_the_sum() -> None:
    assert join_needs([need(1, 2), need(3, 4)]) == GuestNeed(
        what="topology t and topology t", memory_mib=4, cpus=6
    )


@pytest.mark.parametrize(
    ("admitted", "asked", "expected"),
    [
        ([], need(8000, 4), True),
        ([need(4000, 2)], need(4000, 2), True),
        ([need(4000, 2)], need(4001, 2), False),
        ([need(4000, 2)], need(4000, 3), True),
        ([need(4000, 4)], need(4000, 4), True),
        ([need(4000, 3)], need(4001, 3), False),
        ([need(4000, 2)], need(4000, 5), False),
        ([need(100, 1), need(100, 2)], need(100, 2), False),
        ([need(1000), need(1000), need(1000)], need(1000), True),
        ([need(100), need(100), need(100), need(100)], need(100), False),
    ],
)
def test_room_is_there_for_memory_and_two_cpus_a_core_or_a_guest_a_core(
    admitted: list[GuestNeed], asked: GuestNeed, *, expected: bool
) -> None:
    assert has_room(HOST, admitted, asked) is expected


@pytest.mark.parametrize("large", [need(9000, 1), need(100, 64)])
def test_what_exceeds_the_room_of_all_is_let_in_alone_and_nobody_beside_it(
    large: GuestNeed,
) -> None:
    require_possible(large, HOST)
    assert has_room(HOST, [], large)
    assert not has_room(HOST, [need(1)], large)
    assert not has_room(HOST, [large], need(1))


def test_a_guest_that_the_host_cannot_hold_is_refused_with_both_numbers() -> None:
    with pytest.raises(InfraError, match="topology t needs 9001 MiB, this host can give 9000 MiB"):
        require_possible(need(9001), HOST)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(need(1000, 1), 4), (need(1000, 2), 2), (need(3000, 1), 2), (need(9000, 1), 1)],
)
def test_as_many_workers_are_worth_starting_as_guests_fit(asked: GuestNeed, expected: int) -> None:
    assert count_guests(HOST, asked) == expected
