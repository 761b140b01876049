"""What goes on at once in the guest: stress-ng, /tools/storm, the suite's races, memory blocks."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, cycle, zip_longest
from typing import Any, Final

from testbed.core.case_list import parse_case_list
from testbed.host.guest import Guest, GuestProcess
from testbed.host.guest_memory import GuestMemory
from testbed.host.guest_program import install_program
from testbed.host.vm import Vm

# In a tmpfs, so that the text of what runs can be moved and swapped out, too.
FOLDER: Final = "/tmp/stress"  # noqa: S108 - of the guest, which is one test's

# One of each: with two CPUs under emulation more would only make each slower. Together they have
# some 200 MiB, of the 768 of the smallest machine: nobody is to meet the OOM killer.
_STRESSORS: Final = {
    "numa": (),
    "vm": ("--vm-bytes", "32M", "--vm-method", "flip"),
    "mmapfork": (),
    "fork": ("--fork-vm",),
    "madvise": (),
    "mlock": (),
    "mremap": ("--mremap-bytes", "8M"),
    "userfaultfd": ("--userfaultfd-bytes", "8M"),
    "memrate": ("--memrate-bytes", "16M"),
    "mmaphuge": ("--mmaphuge-mmaps", "4"),
    "pageswap": (),
    "rmap": (),
    "shm": ("--shm-bytes", "1M"),
    "vm-splice": (),
}
# stress-ng(1): all is well; or a stressor did not have what it needs, such as free memory.
_GOOD_ENDS: Final = (0, 3)
# A round of the storm takes 2 s on a quiet host, and on a busy one it took 40.
_END_S: Final = 600.0
_LOCKED_KIB: Final = 16384  # for nobody; the stressor mlock has a table of what it may lock

_STORM_PAGES: Final = 512

# The compiled cases in which something goes on at the same time as a migration, and of a series
# those of its interface. What a series provides shows in the guest.
_RACES: Final = ("races/*", "conditions/*under_load")
_SERIES_RACES: Final = {
    "swap-migration": ("evict_races",),
    "manual-migration": ("midst", "gone", "killed"),
}
# The harness ends a case after 30 s, or 90, which a storm may well draw out to.
_CASE_S: Final = 240.0
_VERDICT: Final = re.compile(r"^(?:ok|not ok) 1 ", re.MULTILINE)
# lib/race_pages.c, lib/pages.c, lib/writer.c, lib/load.c.
_LOST: Final = re.compile(r"lost their content|without their content|content at \+|bad words in")

# The kernel tries to empty a block until it succeeds, or a signal comes (offline_pages(), 6.12).
_OFFLINE_S: Final = 60
_BLOCK_S: Final = 240.0
_TURN: Final = (
    "cd /sys/devices/system/memory/memory{block}; "
    "timeout {seconds} sh -c 'echo offline > state'; cat state; "
    "grep -q offline state && echo {back} > state; cat state"
)


def find_provided(vm: Vm) -> frozenset[str]:
    """Return the series that this kernel has, by what each adds to the guest's files."""
    traces = {
        "swap-migration": "grep -q pgmigrate_swapped /proc/vmstat",
        "manual-migration": "[ -e /proc/self/migrate ]",
        "page-mobility": "[ -e /proc/sys/vm/page_mobility ]",
    }
    told = vm.run("; ".join(f"{test} && echo {name}" for name, test in traces.items()) + "; true")
    return frozenset(told.stdout.split())


def install_stress_ng(guest: Guest) -> str:
    """Bring stress-ng into the guest and return the start of its command line."""
    return install_program(guest, "stress-ng", FOLDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stress:
    """stress-ng, which is to run for ``seconds`` and then end by itself."""

    process: GuestProcess
    guest: Guest
    seconds: int

    @classmethod
    @contextmanager
    def start(cls, guest: Guest, program: str, *, seconds: int) -> Iterator["Stress"]:
        """Start all stressors."""
        options = chain.from_iterable((f"--{name} 1", *more) for name, more in _STRESSORS.items())
        command = (
            f"{program} {' '.join(options)} --timeout {seconds} --verify --oomable "
            f"--temp-path {FOLDER} --metrics-brief"
        )
        # As nobody: madvise would have the kernel poison pages (MADV_HWPOISON), which is for good.
        # It may write more than anybody reads meanwhile, hence the file.
        as_nobody = f"ulimit -l {_LOCKED_KIB}; exec su -s /bin/sh nobody -c {shlex.quote(command)}"
        guest.run(f"chmod 777 {FOLDER}; echo 1 > /proc/sys/vm/unprivileged_userfaultfd")
        with guest.start(f"{as_nobody} >{FOLDER}/log 2>&1 </dev/null") as process:
            yield cls(process=process, guest=guest, seconds=seconds)

    def finish(self) -> str:
        """Wait for its end, which must be a good one; return what it has to say."""
        status = self.process.finish(timeout_s=self.seconds + _END_S)
        log = self.guest.read_file(f"{FOLDER}/log")
        assert status in _GOOD_ENDS, f"stress-ng ended with {status}:\n{log}"
        return log


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """/tools/storm, which moves pages in every way there is."""

    process: GuestProcess

    @classmethod
    @contextmanager
    def start(cls, guest: Guest) -> Iterator["Storm"]:
        """Start one; it must end well."""
        with guest.start(f"/tools/storm --pages {_STORM_PAGES}") as process:
            assert process.read_json() == {"ready": True}
            yield cls(process=process)
            assert process.finish(timeout_s=_END_S) == 0

    def ask(self) -> dict[str, Any]:
        """Return its counts; nothing may have been wrong."""
        answer = self.process.ask("so far", timeout_s=_END_S)
        assert answer["wrong"] == "", answer
        return answer


@dataclass(slots=True, kw_only=True)
class Races:
    """The suite's concurrent cases, in turn: the first of each program, the second of each, ...

    Their assertions are made for a quiet machine: counts are exact there, pages are found where
    the case alone has sent them, and deadlines are short. Under a storm a case may well fail, or
    be ended by its harness. What is required of each is what holds always: it ends, the harness
    judges it, and no page has lost its content.
    """

    guest: Guest
    cases: tuple[tuple[str, str], ...]
    verdicts: dict[str, int] = field(default_factory=lambda: {"ok": 0, "not ok": 0})
    said: dict[str, str] = field(default_factory=dict)  # by each case that last ended "not ok"

    @classmethod
    def find(cls, guest: Guest, provided: frozenset[str]) -> "Races":
        """Find the programs that the image has of them, and their cases."""
        names = [f"/tests/{pattern}" for pattern in _RACES]
        for series, files in _SERIES_RACES.items():
            if series in provided:
                names += [f"/tests/series/{series}/{file}" for file in files]
        programs = guest.run(f"ls {' '.join(names)}").stdout.split()
        by_program = [_list_cases(guest, program) for program in programs]
        turns = chain.from_iterable(zip_longest(*by_program))
        return cls(guest=guest, cases=tuple(case for case in turns if case is not None))

    def __iter__(self) -> Iterator[None]:
        """Run them round after round, a case each step."""
        for program, case in cycle(self.cases):
            self._run(program, case)
            yield

    def _run(self, program: str, case: str) -> None:
        done = self.guest.run(f"{program} -r {case} 2>&1", timeout_s=_CASE_S, check=False)
        verdict = _VERDICT.search(done.stdout)
        assert verdict is not None, f"{program} {case} ended without a verdict:\n{done.stdout}"
        assert not _LOST.search(done.stdout), f"{program} {case}:\n{done.stdout}"
        end = verdict[0].removesuffix(" 1 ")
        self.verdicts[end] += 1
        if end == "not ok":
            self.said[f"{program} {case}"] = done.stdout


def _list_cases(guest: Guest, program: str) -> list[tuple[str, str]]:
    listing = guest.run(f"{program} -l 2>&1", check=False).stdout
    return [(program, case) for case in parse_case_list(listing.splitlines())]


@dataclass(slots=True, kw_only=True)
class Blocks:
    """Memory blocks of the boot memory, which go offline and come back, one at a time.

    Most hold memory of the kernel's: then they stay, once their pageblocks were isolated, what
    could be moved away was, and all was undone. That is a path of its own. Those of ZONE_MOVABLE,
    which the machine movable-zones has, can go, and have every other turn.
    """

    guest: Guest
    turns: Iterator[tuple[int, str]]  # a block, and the word that brings it back to its zone
    offlined: int = 0
    stayed: int = 0

    @classmethod
    def find(cls, guest: Guest) -> "Blocks":
        """Find those that are online and in one zone: no other can go."""
        memory = GuestMemory(guest)
        states = sorted(memory.read_blocks().items())
        zones = {block: memory.read_zones(block) for block, state in states if state == "online"}
        movable = [block for block, zone in zones.items() if zone == ("Movable",)]
        others = [block for block in zones if zones[block] not in (("Movable",), ("none",))]
        # Of an empty zone the kernel knows no more that its blocks were there. Of the others the
        # last have the least of the kernel's.
        turns = [cycle((block, "online_movable") for block in movable)] if movable else []
        turns.append(cycle((block, "online") for block in reversed(others)))
        return cls(guest=guest, turns=chain.from_iterable(zip(*turns, strict=False)))

    @contextmanager
    def take_turn(self) -> Iterator[None]:
        """Take the next block offline while the body runs, and have it online afterwards."""
        block, back = next(self.turns)
        command = _TURN.format(block=block, back=back, seconds=_OFFLINE_S)
        with self.guest.start(f"({command}) 2>/dev/null") as process:
            yield
            meanwhile = process.read_line(timeout_s=_BLOCK_S)
            self.offlined += meanwhile == "offline"
            self.stayed += meanwhile == "online"
            assert process.read_line(timeout_s=_BLOCK_S) == "online", meanwhile
            assert process.finish() == 0
