"""From the events of the cells to the results of the run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from testbed.core.events import BootFailed, Broken, Collected, Event, Finished, NotApplicable
from testbed.core.result import Crash, LogFile, TestResult, Verdict


def collect_results(events: Sequence[Event]) -> tuple[TestResult, ...]:
    """Return a result for every test that was planned on a cell, in the planned order.

    A test that was planned and has not ended is ``boot_failed`` where the kernel did not boot, and
    ``lost`` otherwise: it never counts as anything good.
    """
    finished = {event.result.id: event.result for event in events if isinstance(event, Finished)}
    crash = find_boot_crash(events)
    broken = next((event.reason for event in events if isinstance(event, Broken)), "")
    planned = [name for event in events if isinstance(event, Collected) for name in event.ids]
    return tuple(finished.get(name) or _stand_in(name, crash, broken) for name in planned)


def find_boot_crash(events: Sequence[Event]) -> Crash | None:
    """Return why the kernel did not boot on this cell; None where it did."""
    return next((event.crash for event in events if isinstance(event, BootFailed)), None)


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
