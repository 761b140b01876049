"""A run and its resumption from end to end, with kernels and guests that are made up."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.core.events import Event, Finished, Started
from testbed.core.plan import Plan
from testbed.core.record import Role, load_record
from testbed.core.request import RunRequest
from testbed.core.result import Verdict
from testbed.errors import UserError
from testbed.host import cells
from testbed.host.accel import Accel
from testbed.host.builder import BuildFailure, Kernel
from testbed.host.cells import CellJob
from testbed.host.guest_image import GuestImage
from testbed.host.run_dir import RunDir
from testbed.host.store import Store
from testbed.pipeline import run as full_run
from testbed.pipeline.kernels import BuiltKernel

SCRIPT = """\
import os
import sys
from pathlib import Path

from testbed.core.events import Collected, Finished, Started, dump_event
from testbed.core.result import TestResult, Verdict

events, wake, finished = sys.argv[1:]
done = Path(finished).read_text().split()
ids = ("boot", "a", "b", "c")


def emit(event):
    for path, text in ((events, dump_event(event)), (wake, "!")):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK)
        os.write(fd, text.encode())
        os.close(fd)


emit(Collected(ids=ids))
for name in ids:
    if name not in done:
        emit(Started(id=name))
        emit(Finished(result=TestResult(id=name, verdict=Verdict.PASSED, seconds=0.1)))
"""


class Watcher:
    """An observer that keeps what it is told and ends the run at an event of its choice."""

    def __init__(self, is_end: Callable[[str, Event], bool] = lambda *_: False) -> None:
        self.events: list[tuple[str, Event]] = []
        self.lines: list[str] = []
        self._is_end = is_end

    def say(self, line: str) -> None:
        self.lines.append(line)

    def building(self, what: str, compiled: int, line: str) -> None:
        raise AssertionError(f"nothing is built here: {what}, {compiled} files, {line}")

    def cell_event(self, cell: str, event: Event) -> None:
        self.events.append((cell, event))
        if self._is_end(cell, event):
            raise KeyboardInterrupt


class Bench:
    """A host on which kernels come out of nowhere; ``key`` is the one of the next build."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.key = "k1"
        self.does_build = True
        self.built_in: list[Path] = []
        image = GuestImage(key="i1", folder=folder)
        for name, value in (
            ("read_qemu_version", "7.2"),
            ("build_kernels", None),
            ("choose_harness", folder),
            ("build_guest_image", image),
            ("choose_accel", Accel(name="tcg", reason="the test says so")),
        ):
            stand_in = self._build if value is None else _always(value)
            monkeypatch.setattr(full_run, name, stand_in)
        monkeypatch.setattr(cells, "build_pytest_argv", self._build_argv)
        monkeypatch.setattr("testbed.pipeline.recording.read_compiler", _always("gcc"))
        (folder / "script.py").write_text(SCRIPT)
        (folder / "nothing").write_text("")

    def run(self, watcher: Watcher) -> Path:
        request = RunRequest(
            plan=Plan(kconfig=("base",), topologies=("two-nodes",), tests=("migrate",), parallel=1),
            plan_name="quick",
            command=("testbed", "run"),
            workdir=str(Path.cwd()),
        )
        store = Store(self.folder / "cache", say=print)
        return full_run.run(request, runs_dir=self.folder / "runs", store=store, observer=watcher)[
            1
        ]

    def resume(self, watcher: Watcher) -> Path:
        run_dir = RunDir.find(self.folder / "runs", "latest")
        store = Store(self.folder / "cache", say=print)
        return full_run.resume(run_dir, store=store, observer=watcher)[1]

    def _build(self, *_: object, **__: object) -> tuple[BuiltKernel, ...]:
        self.built_in.append(Path.cwd())
        return tuple(
            BuiltKernel(role=role, series=(), outcome=self._make_outcome(role))
            for role in (Role.BASE, Role.PATCHED)
        )

    def _make_outcome(self, role: Role) -> Kernel | BuildFailure:
        identity: dict[str, Any] = {
            "key": f"{self.key}-{role}",
            "source_id": "s",
            "source_title": "s",
            "patch_ids": (),
            "fragments": ("base",),
            "kconfig_hash": "h",
            "toolchain": "t",
        }
        if not self.does_build:
            return BuildFailure(
                **identity,
                stage="make",
                error="mm/x.c:1: no",
                first_error=None,
                log=self.folder / "nothing",
                build_seconds=1.0,
                compiled_files=1,
            )
        return Kernel(
            **identity,
            image=self.folder / "bzImage",
            vmlinux=self.folder / "vmlinux",
            config=self.folder / "config",
            log=self.folder / "nothing",
            harness_dir=self.folder,
            release="6.12",
            build_seconds=1.0,
            phases=(),
            compiled_files=0,
            is_cached=True,
        )

    def _build_argv(self, job: CellJob, *, wake: Path | None = None) -> tuple[str, ...]:
        finished = job.folder / "finished.txt" if job.finished else self.folder / "nothing"
        paths = (self.folder / "script.py", job.folder / "events.jsonl", wake, finished)
        return (sys.executable, *map(str, paths))


def _always(value: object) -> Callable[..., object]:
    return lambda *_, **__: value


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def ends(cell: str, name: str) -> Callable[[str, Event], bool]:
    """Return a test for the end of the test ``name`` on ``cell``."""
    return lambda where, event: (
        where == cell and isinstance(event, Finished) and event.result.id == name
    )


def cut_short(bench: Bench, cell: str, name: str) -> Path:
    with pytest.raises(full_run.RunInterruptedError) as caught:
        bench.run(Watcher(ends(cell, name)))
    folder = caught.value.folder
    assert (folder / "request.json").is_file()
    assert not (folder / "record.json").exists()
    return folder


def drop_events(path: Path, *, after: str, torn: str) -> None:
    """Leave of the events what a kill right after the end of a test would have left."""
    lines = path.read_text().splitlines(keepends=True)
    last = next(i for i, one in enumerate(lines) if f'"id":"{after}","verdict"' in one)
    path.write_text("".join(lines[: last + 1]) + torn)


def test_a_run_that_is_not_cut_short_has_its_record(bench: Bench) -> None:
    folder = bench.run(Watcher())
    record = load_record((folder / "record.json").read_bytes())
    assert record.exit_code == 0, record.exit_reason
    assert [cell.name for cell in record.cells] == ["base-two-nodes", "patched-two-nodes"]
    with pytest.raises(UserError, match="this run is finished"):
        bench.resume(Watcher())


def test_a_run_that_was_cut_short_is_gone_on_with(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = cut_short(bench, "patched-two-nodes", "a")
    drop_events(folder / "cells/patched-two-nodes/events.jsonl", after="a", torn='{"id":"b","ev')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    watcher = Watcher()
    assert bench.resume(watcher) == folder
    assert bench.built_in == [tmp_path, tmp_path]
    assert Path.cwd() == elsewhere
    patched = [event for cell, event in watcher.events if cell == "patched-two-nodes"]
    assert [e.id for e in patched if isinstance(e, Started)] == ["boot", "a", "b", "c"]
    assert [e.result.id for e in patched if isinstance(e, Finished)] == ["boot", "a", "b", "c"]
    log = folder / "cells/base-two-nodes/events.jsonl"
    assert log.read_text().count('"event":"begun"') == 1  # it was whole
    record = load_record((folder / "record.json").read_bytes())
    assert record.exit_code == 0, record.exit_reason
    assert {test.verdict for cell in record.cells for test in cell.tests} == {Verdict.PASSED}
    assert [len(cell.tests) for cell in record.cells] == [4, 4]


def test_a_run_can_be_cut_short_more_than_once(bench: Bench) -> None:
    folder = cut_short(bench, "base-two-nodes", "boot")
    with pytest.raises(full_run.RunInterruptedError):
        bench.resume(Watcher(ends("patched-two-nodes", "boot")))
    assert bench.resume(Watcher()) == folder
    record = load_record((folder / "record.json").read_bytes())
    assert [len(cell.tests) for cell in record.cells] == [4, 4]


@pytest.mark.parametrize("does_build", [True, False])
def test_a_run_is_not_gone_on_with_on_another_kernel(bench: Bench, *, does_build: bool) -> None:
    folder = cut_short(bench, "base-two-nodes", "a")
    before = {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    bench.key, bench.does_build = "k2", does_build
    with pytest.raises(UserError, match="another base kernel, patched kernel: start it anew"):
        bench.resume(Watcher())
    assert {path: path.read_bytes() for path in folder.rglob("*.jsonl")} == before
    assert not (folder / "record.json").exists()
    bench.key, bench.does_build = "k1", True
    assert bench.resume(Watcher()) == folder


def test_the_folder_that_names_are_relative_to_must_be_there(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    cut_short(bench, "base-two-nodes", "a")
    monkeypatch.chdir(tmp_path)
    gone.rmdir()
    with pytest.raises(UserError, match="gone, where the run was started, is not there any more"):
        bench.resume(Watcher())


def test_a_run_that_another_testbed_works_on_is_left_alone(bench: Bench) -> None:
    folder = cut_short(bench, "base-two-nodes", "a")
    with RunDir(folder).hold(), pytest.raises(UserError, match="another testbed is at work"):
        bench.resume(Watcher())
