"""A run that is cut short, on real kernels: nothing of it lives on, and only the rest is run."""

import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from junitparser import JUnitXml

from testbed.core.assemble import find_finished
from testbed.core.events import BOOT_TEST, Begun, Collected, Event, Finished, Started, read_events
from testbed.core.record import load_record
from testbed.core.result import Verdict
from testbed.host import proc
from testbed.host.builder import Kernel

TESTBED = [sys.executable, "-m", "testbed"]
SELECT = "mbind.c or move_pages.c"
ENOUGH = 4  # tests that have ended when the run is cut short
MARK = "TESTBED_TEST_MARK"
PROGRESS = re.compile(rb"tests: (\d+) of \d+")


class CutRun:
    """A run on a terminal, whose progress line says when to cut it short."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"{MARK}={uuid.uuid4()}"
        self.said = b""
        self._terminal, slave = os.openpty()
        self.process = subprocess.Popen(
            [*TESTBED, "run", "--no-series", "-t", "two-nodes", "-k", SELECT],
            cwd=folder,
            env={**os.environ, "TERM": "xterm", MARK: self.mark.partition("=")[2]},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def wait_until_under_way(self) -> dict[int, str]:
        """Return the processes of the run once some tests have ended and a guest is running."""
        while self._read():
            ended = [int(number) for number in PROGRESS.findall(self.said)]
            processes = self.find_processes()
            if max(ended, default=0) >= ENOUGH and any("qemu" in p for p in processes.values()):
                return processes
        raise AssertionError(self.said.decode(errors="replace"))

    def find_processes(self) -> dict[int, str]:
        """Return the processes that have the run's mark in their environment, by pid."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = command.decode(errors="replace")
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
        return found

    def end(self) -> str:
        """Return all that the run said, once it has ended."""
        while self._read():
            continue
        self.process.wait(timeout=30)
        return self.said.decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)

    def _read(self) -> bool:
        """Wait for output; False where the last process of the run has let go of the terminal."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._terminal, selectors.EVENT_READ)
            assert selector.select(timeout=300), "the run says nothing"
        try:
            chunk = os.read(self._terminal, 1 << 16)
        except OSError:  # EIO: no slave is open any more, see pty(7) and tty_ldisc hangups
            return False
        self.said += chunk
        return bool(chunk)


@pytest.fixture
def cut_run(tmp_path: Path, kernel: Kernel) -> Iterator[CutRun]:
    run = CutRun(tmp_path)
    yield run
    run.close()


def assert_all_end(processes: dict[int, str]) -> None:
    """Fail if one of ``processes`` lives on for 10 s."""
    for pid, command in processes.items():
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            ended = selector.select(timeout=10)
        os.close(fd)
        assert ended, f"process {pid} lives on: {command}"


def read_parts(folder: Path) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Return the events of a cell before and after its run was resumed."""
    events = read_events((folder / "cells/base-two-nodes/events.jsonl").read_text().splitlines())
    starts = [index for index, event in enumerate(events) if isinstance(event, Begun)]
    assert len(starts) == 2
    return events[: starts[1]], events[starts[1] :]


def assert_only_the_rest_was_run(folder: Path) -> None:
    before, after = read_parts(folder)
    done = set(find_finished(before))
    planned = next(event.ids for event in before if isinstance(event, Collected))
    again = [event.id for event in after if isinstance(event, Started)]
    finished = [event.result.id for event in after if isinstance(event, Finished)]
    assert len(done) >= ENOUGH
    assert BOOT_TEST in done
    assert sorted(again) == sorted(finished) == sorted(set(planned) - done)
    assert again
    record = load_record((folder / "record.json").read_bytes())
    (cell,) = record.cells
    assert [test.id for test in cell.tests] == list(planned)
    assert {test.verdict for test in cell.tests} <= {Verdict.PASSED, Verdict.SKIPPED}
    assert 0 < cell.seconds <= record.seconds
    junit = JUnitXml.fromstring((folder / "junit.xml").read_bytes())
    assert sum(len(suite) for suite in junit) == len(planned)


def test_kill_9_leaves_no_process_and_resume_runs_the_rest(cut_run: CutRun) -> None:
    processes = cut_run.wait_until_under_way()
    assert any("pytest" in command for command in processes.values())
    cut_run.process.kill()
    cut_run.process.wait()
    assert_all_end(processes | cut_run.find_processes())
    assert cut_run.find_processes() == {}

    resume = [*TESTBED, "run", "--resume", "latest"]
    done = proc.run(resume, cwd=cut_run.folder, check=False, timeout_s=600)
    assert done.returncode == 0, done.output
    assert_only_the_rest_was_run(cut_run.folder / "runs/latest")

    again = proc.run(resume, cwd=cut_run.folder, check=False, timeout_s=60)
    assert again.returncode == 2
    assert "this run is finished" in again.output


def test_after_ctrl_c_the_command_that_it_names_runs_the_rest(
    cut_run: CutRun, tmp_path: Path
) -> None:
    processes = cut_run.wait_until_under_way()
    cut_run.process.send_signal(signal.SIGINT)
    said = cut_run.end()
    assert cut_run.process.returncode == 130
    assert_all_end(processes)
    named = re.search(r"`testbed (run --resume [^`]+)`", said.replace("\r\n", "\n"))
    assert named, said
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [*TESTBED, *shlex.split(named[1])]
    done = proc.run(command, cwd=elsewhere, check=False, timeout_s=600)
    assert done.returncode == 0, done.output
    assert_only_the_rest_was_run(cut_run.folder / "runs/latest")
