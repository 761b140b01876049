"""The pytest processes of a run: one a cell, several at once, their events read as they come."""

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from testbed.core.events import Event, parse_event, read_events
from testbed.errors import InfraError, UserError
from testbed.host import proc
from testbed.host.catalog import guest_tests_dir
from testbed.host.guest_image import GuestImage

EVENTS_FILE: Final = "events.jsonl"
JUNIT_FILE: Final = "junit.xml"
PYTEST_LOG: Final = "pytest.log"
_TAIL_LINES: Final = 15
_USAGE_ERRORS: Final = (2, 4)  # pytest.ExitCode: interrupted (collection failed), usage error


@dataclass(frozen=True, slots=True, kw_only=True)
class CellJob:
    """One pytest run; its files go to ``folder``."""

    name: str
    folder: Path
    kernel: Path
    kernel_config: Path | None
    image: GuestImage
    topology: str
    accel: str
    features: tuple[str, ...]
    tests: tuple[str, ...]
    select: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOutcome:
    """What a cell's pytest left behind; ``junit`` is None where it wrote none."""

    job: CellJob
    events: tuple[Event, ...]
    junit: str | None
    seconds: float


@dataclass(slots=True)
class _Running:
    job: CellJob
    process: subprocess.Popen[bytes]
    pipe: int
    began: float
    pending: bytes = field(default=b"")


def run_cells(
    jobs: Sequence[CellJob], *, parallel: int, on_event: Callable[[str, Event], None]
) -> tuple[CellOutcome, ...]:
    """Run all ``jobs``, ``parallel`` at a time, calling ``on_event(cell name, event)`` live.

    Raises :class:`UserError` when tests cannot be collected. Whatever ends this function, Ctrl-C
    included, ends the processes too.
    """
    waiting = list(jobs)
    outcomes: dict[str, CellOutcome] = {}
    with selectors.DefaultSelector() as selector:
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and len(running) < parallel:
                    cell = _start(waiting.pop(0))
                    running.append(cell)
                    selector.register(cell.pipe, selectors.EVENT_READ, cell)
                for key, _ in selector.select():
                    cell = key.data
                    if _read(cell, on_event):
                        continue
                    selector.unregister(cell.pipe)
                    running.remove(cell)
                    outcomes[cell.job.name] = _finish(cell)
        finally:
            for cell in running:
                proc.end(cell.process)
                os.close(cell.pipe)
    return tuple(outcomes[job.name] for job in jobs)


def build_pytest_argv(job: CellJob, *, events_fd: int | None = None) -> tuple[str, ...]:
    """Return the command line that runs the tests of ``job``."""
    root = guest_tests_dir()
    options = {
        "--rootdir": root,
        "-c": root / "pytest.ini",
        "--kernel": job.kernel,
        "--topology": job.topology,
        "--guest-image": job.image.folder,
        "--accel": job.accel,
        "--log-dir": job.folder,
        "--junitxml": job.folder / JUNIT_FILE,
        **({"--kernel-config": job.kernel_config} if job.kernel_config else {}),
        **({"--features": ",".join(job.features)} if job.features else {}),
        **({"-k": job.select} if job.select else {}),
        **({"--events-fd": events_fd} if events_fd is not None else {}),
    }
    return (
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
        *(str(word) for option in options.items() for word in option),
        *(str(root / test) for test in job.tests),
    )


def _start(job: CellJob) -> _Running:
    job.folder.mkdir(parents=True)
    read_end, write_end = os.pipe()
    try:
        with (job.folder / PYTEST_LOG).open("wb") as log:
            process = proc.start(
                build_pytest_argv(job, events_fd=write_end),
                env={"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "100"},
                cwd=job.folder,
                stdout=log,
                pass_fds=(write_end,),
            )
    finally:
        os.close(write_end)
    return _Running(job=job, process=process, pipe=read_end, began=time.monotonic())


def _read(cell: _Running, on_event: Callable[[str, Event], None]) -> bool:
    """Read what has come; False at the end."""
    chunk = os.read(cell.pipe, 1 << 16)
    *lines, cell.pending = (cell.pending + chunk).split(b"\n")
    for line in lines:
        on_event(cell.job.name, parse_event(line))
    return bool(chunk)


def _finish(cell: _Running) -> CellOutcome:
    os.close(cell.pipe)
    status = cell.process.wait()
    folder = cell.job.folder
    events_file = folder / EVENTS_FILE
    events = read_events(events_file.read_text().splitlines()) if events_file.exists() else ()
    if not events or (status in _USAGE_ERRORS and not _has_finished(events)):
        log = folder / PYTEST_LOG
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        kind = UserError if status in _USAGE_ERRORS else InfraError
        raise kind(f"the tests of {cell.job.name} could not be collected ({log}):\n{tail}")
    junit = folder / JUNIT_FILE
    return CellOutcome(
        job=cell.job,
        events=events,
        junit=junit.read_text(encoding="utf-8") if junit.exists() else None,
        seconds=time.monotonic() - cell.began,
    )


def _has_finished(events: Sequence[Event]) -> bool:
    return any(event.event == "finished" for event in events)
