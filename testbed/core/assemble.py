"""From the events of the cells to the results of the run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from testbed.core.events import (
    BOOT_TEST,
    Begun,
    BootFailed,
    Broken,
    Collected,
    Event,
    Finished,
    NotApplicable,
)
from testbed.core.result import Crash, LogFile, TestResult, Verdict

_RUN_AGAIN: Final = frozenset({Verdict.LOST, Verdict.BOOT_FAILED})


def collect_results(events: Sequence[Event]) -> tuple[TestResult, ...]:
    """Return a result for every test that was planned on a cell, in the planned order.

    A test that was planned and has not ended is ``boot_failed`` where the kernel did not boot, and
    ``lost`` otherwise: it never counts as anything good. Where a resumed run ran a test twice,
    the second result counts.
    """
    finished = {event.result.id: event.result for event in events if isinstance(event, Finished)}
    crash = find_boot_crash(events)
    broken = next((event.reason for event in reversed(events) if isinstance(event, Broken)), "")
    return tuple(
        finished.get(name) or _stand_in(name, crash, broken) for name in _list_planned(events)
    )


def find_finished(events: Sequence[Event]) -> tuple[str, ...]:
    """Return the tests of a cell that a resumed run leaves alone, in the order of their ends.

    A test that was lost to the host has told nothing of the kernel and is run again, and so is one
    for which it did not boot: the next boot may tell another story. A cell that broke keeps what it
    finished.
    """
    last = {event.result.id: event.result for event in events if isinstance(event, Finished)}
    return tuple(name for name, result in last.items() if result.verdict not in _RUN_AGAIN)


def is_complete(events: Sequence[Event]) -> bool:
    """Whether no test of a cell is left to run.

    A boot that failed is the answer to the boot test, which then has no end of its own.
    """
    done = set(find_finished(events))
    if find_boot_crash(events) is not None:
        ended = [event.result for event in events if isinstance(event, Finished)]
        done |= {result.id for result in ended if result.verdict is Verdict.BOOT_FAILED}
        done.add(BOOT_TEST)
    was_collected = any(isinstance(event, Collected) for event in events)
    return was_collected and done.issuperset(_list_planned(events))


def sum_seconds(events: Sequence[Event], *, until_s: float) -> float:
    """Return how long a cell's tests have been running, in all parts of the run.

    ``until_s`` is the last sign of life of the last part, in seconds since the epoch.
    """
    begun = [event for event in events if isinstance(event, Begun)]
    return begun[-1].spent_s + max(0.0, until_s - begun[-1].at_s) if begun else 0.0


def find_boot_crash(events: Sequence[Event]) -> Crash | None:
    """Return why the kernel did not boot on this cell; None where it did.

    Where a run was resumed, the last part's boot has the last word.
    """
    boots = [event for event in events if isinstance(event, BootFailed) or _is_good_boot(event)]
    last = boots[-1] if boots else None
    return last.crash if isinstance(last, BootFailed) else None


def _is_good_boot(event: Event) -> bool:
    return (
        isinstance(event, Finished)
        and event.result.id == BOOT_TEST
        and event.result.verdict is not Verdict.LOST
    )


def find_unhosted(cells: Sequence[Sequence[Event]]) -> tuple[NotApplicable, ...]:
    """Return the tests that no cell could host, with the first reason that was given."""
    hosted = {
        name
        for cell in cells
        for event in cell
        if isinstance(event, Collected)
        for name in event.ids
    }
    reasons: Mapping[str, NotApplicable] = {
        entry.id: entry
        for cell in reversed(cells)
        for event in cell
        if isinstance(event, Collected)
        for entry in event.not_applicable
    }
    return tuple(reasons[name] for name in sorted(reasons.keys() - hosted))


def fail_unhosted(entry: NotApplicable) -> TestResult:
    """Return the failure that stands for a test which no topology of the plan can host."""
    return TestResult(
        id=entry.id,
        verdict=Verdict.FAILED,
        seconds=0.0,
        message=f"planned, but no topology of the plan can host it: {entry.reason}",
    )


def root_logs(result: TestResult, folder: str) -> TestResult:
    """Return ``result`` with its log paths put under ``folder``."""
    logs = tuple(LogFile(kind=log.kind, path=f"{folder}/{log.path}") for log in result.logs)
    return replace(result, logs=logs)


def _list_planned(events: Sequence[Event]) -> tuple[str, ...]:
    """Return what was collected, each test once: a resumed run collects again."""
    planned = (name for event in events if isinstance(event, Collected) for name in event.ids)
    return tuple(dict.fromkeys(planned))


def _stand_in(name: str, crash: Crash | None, broken: str) -> TestResult:
    if crash is not None:
        return TestResult(
            id=name, verdict=Verdict.BOOT_FAILED, seconds=0.0, message=crash.title, crash=crash
        )
    return TestResult(
        id=name,
        verdict=Verdict.LOST,
        seconds=0.0,
        message=broken or "planned, but the run of this cell ended before it",
    )
