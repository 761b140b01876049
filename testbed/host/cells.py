"""The pytest processes of a run: one a cell, several at once, their events read as they come.

What a cell's tests report is in its ``events.jsonl``, and nowhere else. A FIFO beside it only says
that there is more to read, and a pidfd that pytest has ended: nothing is polled, and workers of
pytest-xdist, which inherit no descriptor, report as any other process does.
"""

import os
import selectors
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from testbed.core.assemble import find_finished, is_complete, sum_seconds
from testbed.core.events import Begun, Collected, Event, Finished
from testbed.core.placement import ALL, Placement
from testbed.core.plan import Mode
from testbed.errors import InfraError, UserError
from testbed.host import proc
from testbed.host.catalog import guest_tests_dir
from testbed.host.event_file import EVENTS_FILE, WAKE_FILE, EventFile, drain, open_wake
from testbed.host.guest_image import GuestImage
from testbed.host.project import cache_dir

JUNIT_FILE: Final = "junit.xml"
PYTEST_LOG: Final = "pytest.log"
FINISHED_FILE: Final = "finished.txt"
_TAIL_LINES: Final = 15
_USAGE_ERRORS: Final = (2, 4)  # pytest.ExitCode: interrupted (collection failed), usage error

OnEvent = Callable[[str, Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellJob:
    """One pytest run; its files go to ``folder``.

    ``placement`` says what is left to the cells of other topologies.
    ``workers`` tests run at once, if the machine has room. ``finished`` are the ids of tests that
    are not to be run; :func:`run_cells` adds those that an earlier part of the run finished, by
    what it left in ``folder``.
    """

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
    marks: str = ""
    mode: Mode = "normal"
    seed: int = 0
    vmcore: bool = False
    placement: Placement = ALL
    workers: int = 1
    gcov: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOutcome:
    """What a cell's pytest left behind; ``junit`` is None where it wrote none.

    ``events`` and ``seconds`` are of all parts of a run that was resumed, ``junit`` of the last.
    """

    job: CellJob
    events: tuple[Event, ...]
    junit: str | None
    seconds: float


@dataclass(slots=True)
class _Running:
    job: CellJob
    events: EventFile
    known: int  # how many events were there before
    process: subprocess.Popen[bytes]
    pidfd: int
    wake: int
    closing: ExitStack


def run_cells(
    jobs: Sequence[CellJob], *, parallel: int, on_event: OnEvent
) -> tuple[CellOutcome, ...]:
    """Run all ``jobs``, ``parallel`` at a time, calling ``on_event(cell name, event)`` live.

    Where an earlier part of the run left events in a cell's folder, ``on_event`` is told them
    first, and only the tests are run that it did not finish; where there are none, no pytest is
    started. Raises :class:`UserError` when tests cannot be collected. Whatever ends this function,
    Ctrl-C included, ends the processes too.
    """
    waiting = list(jobs)
    outcomes: dict[str, CellOutcome] = {}
    with selectors.DefaultSelector() as selector:
        running: list[_Running] = []
        try:
            while waiting or running:
                while waiting and len(running) < parallel:
                    job = waiting.pop(0)
                    started = _start(job, on_event)
                    if isinstance(started, CellOutcome):
                        outcomes[job.name] = started
                        continue
                    running.append(started)
                    selector.register(started.wake, selectors.EVENT_READ, started)
                    selector.register(started.pidfd, selectors.EVENT_READ, started)
                for cell in _wait(selector) if running else ():
                    selector.unregister(cell.wake)
                    selector.unregister(cell.pidfd)
                    running.remove(cell)
                    outcomes[cell.job.name] = _finish(cell, on_event)
                for cell in running:
                    _tell(cell.job.name, cell.events, on_event)
        finally:
            for cell in running:
                cell.closing.close()
    return tuple(outcomes[job.name] for job in jobs)


def build_pytest_argv(job: CellJob, *, wake: Path | None = None) -> tuple[str, ...]:
    """Return the command line that runs the tests of ``job``; ``wake`` is the FIFO to write to."""
    root = guest_tests_dir()
    options = {
        "--rootdir": root,
        "-c": root / "pytest.ini",
        "--kernel": job.kernel,
        "--topology": job.topology,
        "--guest-image": job.image.folder,
        "--accel": job.accel,
        "--mode": job.mode,
        "--seed": job.seed,
        **({"--vmcore": "yes"} if job.vmcore else {}),
        **({"--gcov": ",".join(job.gcov)} if job.gcov else {}),
        **({"--before": ",".join(job.placement.before)} if job.placement.before else {}),
        **({"--here": ",".join(job.placement.here)} if job.placement.here else {}),
        **({"--elsewhere": ",".join(job.placement.elsewhere)} if job.placement.elsewhere else {}),
        "--log-dir": job.folder,
        "--junitxml": job.folder / JUNIT_FILE,
        **({"--kernel-config": job.kernel_config} if job.kernel_config else {}),
        **({"--features": ",".join(job.features)} if job.features else {}),
        **({"-k": job.select} if job.select else {}),
        **({"-m": job.marks} if job.marks else {}),
        **({"--events-wake": wake} if wake is not None else {}),
        **({"--finished": job.folder / FINISHED_FILE} if job.finished else {}),
        **(_distribute(job.workers) if job.workers > 1 else {}),
    }
    return (
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
        *(str(word) for option in options.items() for word in option),
        *(str(root / test) for test in job.tests),
    )


def _distribute(workers: int) -> dict[str, str]:
    """Return the options of pytest-xdist for a number of workers.

    ``worksteal`` deals the tests out evenly, neighbours together, and moves them when a worker runs
    out: most tests take a fraction of a second, and one that hangs takes its whole deadline, for
    which ``load`` would let those wait that it has queued behind it (pytest-xdist 3.8,
    docs/distribution.rst). ``--tx`` and not ``-n``, which has no way to say how workers are
    started: they, too, are to die with the process that started them. Without that they notice
    seconds later that nobody listens (execnet 2.1, WorkerGateway), and their guests with them.
    """
    guard = (str(proc.find_tool("setpriv")), "--pdeathsig", "KILL", "--", sys.executable)
    return {"--dist": "worksteal", "--tx": f"{workers}*popen//python={shlex.join(guard)}"}


def _start(job: CellJob, on_event: OnEvent) -> _Running | CellOutcome:
    """Start what is left of a cell; its outcome where nothing is."""
    job.folder.mkdir(parents=True, exist_ok=True)
    events = EventFile(job.folder / EVENTS_FILE)
    events.cut_torn_line()
    _tell(job.name, events, on_event)
    spent_s = sum_seconds(events.events, until_s=events.last_write_s())
    job = replace(job, finished=(*job.finished, *find_finished(events.events)))
    if is_complete(events.events):
        return _make_outcome(job, events, seconds=spent_s)
    if job.finished:
        lines = "".join(f"{name}\n" for name in job.finished)
        (job.folder / FINISHED_FILE).write_text(lines, encoding="utf-8")
    events.append(Begun(at_s=time.time(), spent_s=spent_s))
    _tell(job.name, events, on_event)
    with ExitStack() as stack:
        wake = stack.enter_context(open_wake(job.folder / WAKE_FILE))
        with (job.folder / PYTEST_LOG).open("ab") as log:
            process = proc.start(
                build_pytest_argv(job, wake=job.folder / WAKE_FILE),
                env={
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "COLUMNS": "100",
                    "TESTBED_CACHE": str(cache_dir()),  # it may be relative to our own folder
                },
                cwd=job.folder,
                stdout=log,
            )
        stack.callback(proc.end, process)
        pidfd = os.pidfd_open(process.pid)
        stack.callback(os.close, pidfd)
        return _Running(
            job=job,
            events=events,
            known=len(events.events),
            process=process,
            pidfd=pidfd,
            wake=wake,
            closing=stack.pop_all(),
        )


def _wait(selector: selectors.BaseSelector) -> tuple[_Running, ...]:
    """Wait until a cell has something to tell; return those whose pytest has ended."""
    ready = [(key.data, key.fd) for key, _ in selector.select()]
    for cell, fd in ready:
        if fd == cell.wake:  # emptied before the file is read: what comes later wakes again
            drain(fd)
    return tuple(cell for cell, fd in ready if fd == cell.pidfd)


def _tell(name: str, events: EventFile, on_event: OnEvent) -> None:
    for event in events.read_new():
        on_event(name, event)


def _finish(cell: _Running, on_event: OnEvent) -> CellOutcome:
    """Collect what pytest left; a worker that outlived it is ended first."""
    cell.closing.close()
    status = cell.process.wait()
    _tell(cell.job.name, cell.events, on_event)
    fresh = cell.events.events[cell.known :]
    if not _has(fresh, Collected) or (status in _USAGE_ERRORS and not _has(fresh, Finished)):
        log = cell.job.folder / PYTEST_LOG
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        kind = UserError if status in _USAGE_ERRORS else InfraError
        raise kind(f"the tests of {cell.job.name} could not be collected ({log}):\n{tail}")
    seconds = sum_seconds(cell.events.events, until_s=time.time())
    return _make_outcome(cell.job, cell.events, seconds=seconds)


def _make_outcome(job: CellJob, events: EventFile, *, seconds: float) -> CellOutcome:
    junit = job.folder / JUNIT_FILE
    return CellOutcome(
        job=job,
        events=tuple(events.events),
        junit=junit.read_text(encoding="utf-8") if junit.exists() else None,
        seconds=seconds,
    )


def _has(events: Sequence[Event], kind: type[Event]) -> bool:
    return any(isinstance(event, kind) for event in events)
