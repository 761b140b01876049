"""Half an hour in which everything that moves pages goes on at once: no splat, no hang, no leak.

stress-ng, a storm of all ways to move pages that the kernel has, the suite's concurrent cases and
memory blocks that go offline and come back. A splat and a taint are the plugin's to see, and a
hang of a command is one of the test. What is left when all have ended is compared with what was
left of a first, short storm, which has filled what caches there are.
"""

import time
from collections.abc import Mapping
from typing import Final

import pytest
from stress_leaks import Picture, await_back, end_all
from stress_load import Blocks, Races, Storm, Stress, find_provided, install_stress_ng

from testbed.host.guest_memory import GuestMemory
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = pytest.mark.needs(
    nodes=2, kconfig=["NUMA", "MIGRATION", "MEMORY_HOTREMOVE", "COMPACTION", "TMPFS"]
)

_LENGTHS: Final = (
    # Besides: the first storm, the last of the cases, all ends, and the wait for what comes late.
    pytest.param(1800, 120, id="half_hour", marks=pytest.mark.needs(timeout_s=3600)),
    pytest.param(60, 30, id="minute", marks=pytest.mark.needs(timeout_s=900)),
)
# The cases of the suite take turns with memory blocks, which take up to twenty seconds.
_CASES_A_BLOCK: Final = 4

_KINDS: Final = ("bind", "move", "migrate", "migrate_other")
_SERIES_KINDS: Final = {
    "swap-migration": ("bind_evict", "bind_fallback", "set_mode"),
    "manual-migration": ("file_range", "file_all", "file_other", "file_other_maps"),
}


def storm(
    vm: Vm, program: str, races: Races, blocks: Blocks, *, seconds: int
) -> tuple[Mapping[str, int], str]:
    """Have all go on at once; return how often each kind was done, and stress-ng's last words."""
    guest = vm.guest
    case, block = iter(races), iter(blocks)
    deadline = time.monotonic() + seconds
    with (
        Storm.start(guest) as moves,
        Stress.start(guest, program, seconds=seconds) as stress,
    ):
        while time.monotonic() < deadline:
            next(block)
            for _ in range(_CASES_A_BLOCK):
                next(case)
            moves.ask()
        log = stress.finish()
        done = moves.ask()["done"]
    end_all(vm)
    return done, log


def assert_all_kinds(done: Mapping[str, int], provided: frozenset[str]) -> None:
    """Assert that each way to move pages that the kernel has was gone, and no other."""
    kinds = set(_KINDS)
    for series, more in _SERIES_KINDS.items():
        kinds |= set(more) if series in provided else set()
    assert {kind for kind, count in done.items() if count} == kinds, done


@pytest.mark.parametrize(("seconds", "first_seconds"), _LENGTHS)
def test_stress(vm: Vm, report: Reporter, seconds: int, first_seconds: int) -> None:
    provided = find_provided(vm)
    program = install_stress_ng(vm.guest)
    races = Races.find(vm.guest, provided)
    blocks = Blocks.find(vm)
    storm(vm, program, races, blocks, seconds=first_seconds)
    before = Picture.take(vm)
    counted = GuestMemory(vm).read_vmstat()

    done, log = storm(vm, program, races, blocks, seconds=seconds)

    after = await_back(vm, before)
    now = GuestMemory(vm).read_vmstat()
    grown = {name: now[name] - count for name, count in counted.items()}
    print(log)  # noqa: T201 - for whoever reads of a failure
    print({n: (before.values[n], after.values[n]) for n in before.values if before.values[n] != after.values[n]}, races, blocks, done)
    assert_all_kinds(done, provided)
    assert after.find_leaks(before) == {}
    assert grown["oom_kill"] == 0
    assert grown["pgmigrate_success"] > 0
    if "swap-migration" in provided and vm.topology.swap_mib:
        assert grown["pgmigrate_swapped"] > 0
    report.metric("cases", races.ran, "cases of the suite")
