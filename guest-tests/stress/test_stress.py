"""Half an hour in which everything that moves pages goes on at once: no splat, no hang, no leak.

stress-ng, a storm of all ways to move pages that the kernel has, the suite's concurrent cases and
memory blocks that go offline and come back. A splat and a taint are the plugin's to see, and a
hang of a command is one of the test. What is left when all have ended is compared with what was
left of a first, short storm, which has filled what caches there are.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import pytest
from stress_leaks import Picture, assert_none_isolated, await_back, end_all
from stress_load import Blocks, Races, Storm, Stress, find_provided, install_stress_ng

from testbed.host.guest import Guest
from testbed.host.guest_memory import GuestMemory
from testbed.host.vm import Vm
from testbed.pytest_plugin.evidence import Reporter

pytestmark = pytest.mark.needs(
    nodes=2,
    kconfig=["NUMA", "MIGRATION", "MEMORY_HOTREMOVE", "COMPACTION", "TMPFS", "MEMCG", "HUGETLBFS"],
)

_LENGTHS: Final = (
    # Besides: the first storm, the last of the cases, all ends, and the wait for what comes late.
    pytest.param(1800, 120, id="half_hour", marks=pytest.mark.needs(timeout_s=3600)),
    pytest.param(60, 30, id="minute", marks=pytest.mark.needs(timeout_s=900)),
)
_CASES_A_BLOCK: Final = 4

_KINDS: Final = ("bind", "move", "look_up", "migrate", "migrate_other")
_SERIES_KINDS: Final = {
    "swap-migration": ("bind_evict", "bind_fallback", "set_mode"),
    "manual-migration": ("file_range", "file_all", "file_other", "file_other_maps"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """All that goes on at once."""

    guest: Guest
    program: str
    races: Races
    blocks: Blocks

    @classmethod
    def prepare(cls, vm: Vm, provided: frozenset[str]) -> "Load":
        """Bring it into the guest."""
        return cls(
            guest=vm.guest,
            program=install_stress_ng(vm.guest),
            races=Races.find(vm.guest, provided),
            blocks=Blocks.find(vm.guest),
        )

    def run(self, seconds: int) -> Mapping[str, Any]:
        """Run it for so long; return how often each way to move pages was gone."""
        case = iter(self.races)
        deadline = time.monotonic() + seconds
        with (
            Storm.start(self.guest) as storm,
            Stress.start(self.guest, self.program, seconds=seconds) as stress,
        ):
            while time.monotonic() < deadline:
                with self.blocks.take_turn():
                    for _ in range(_CASES_A_BLOCK):
                        next(case)
                storm.ask()
            stress.finish()
            return storm.ask()


def assert_all_kinds(moved: Mapping[str, Any], provided: frozenset[str]) -> None:
    """Assert that each way to move pages that the kernel has was gone, and no other."""
    done = moved["done"]
    kinds = set(_KINDS)
    for series, more in _SERIES_KINDS.items():
        kinds |= set(more) if series in provided else set()
    assert {kind for kind, count in done.items() if count} == kinds, done


def report_all(
    report: Reporter, load: Load, moved: Mapping[str, Any], changes: Mapping[str, int]
) -> None:
    report.metric("rounds", moved["rounds"], "of the storm")
    for kind, count in moved["done"].items():
        report.metric(kind, count, "calls")
    for verdict, count in load.races.verdicts.items():
        report.metric(f"cases that ended {verdict}", count, "cases")
    report.log("cases", chain.from_iterable(load.races.said.items()))
    report.metric("offlined", load.blocks.offlined, "memory blocks")
    report.metric("stayed online", load.blocks.stayed, "memory blocks")
    for name, change in changes.items():
        report.metric(f"change of {name}", change, "KiB or as counted")


@pytest.mark.parametrize(("seconds", "first_seconds"), _LENGTHS)
def test_stress(vm: Vm, report: Reporter, seconds: int, first_seconds: int) -> None:
    provided = find_provided(vm)
    load = Load.prepare(vm, provided)
    load.run(first_seconds)
    end_all(vm)
    assert_none_isolated(vm)
    before = Picture.take(vm)
    counted = GuestMemory(vm).read_vmstat()

    moved = load.run(seconds)

    end_all(vm)
    assert_none_isolated(vm)
    after = await_back(vm, before)
    now = GuestMemory(vm).read_vmstat()
    grown = {name: now[name] - count for name, count in counted.items()}
    report_all(report, load, moved, after.subtract(before))
    assert_all_kinds(moved, provided)
    assert after.find_leaks(before) == {}
    assert grown["oom_kill"] == 0
    assert grown["pgmigrate_success"] > 0
    if "swap-migration" in provided and vm.topology.swap_mib:
        assert grown["pgmigrate_swapped"] > 0
