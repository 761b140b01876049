"""The folder of a run, and the harness that its tests are built on."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from testbed.errors import InfraError, UserError
from testbed.host.harness import HEADERS, choose_harness, find_harness
from testbed.host.run_dir import RunDir
from testbed.host.store import Store

NOON = datetime(2026, 3, 14, 12, 0, 0, tzinfo=UTC)


def make_harness(folder: Path, options: str) -> Path:
    folder.mkdir()
    (folder / HEADERS[0]).write_text("/* kselftest.h */\n")
    (folder / HEADERS[1]).write_text(f'while ((opt = getopt(argc, argv, "{options}")) != -1) {{\n')
    return folder


def test_two_runs_in_one_second_have_a_folder_each(tmp_path: Path) -> None:
    first = RunDir.create(tmp_path / "runs", started=NOON, name="quick")
    second = RunDir.create(tmp_path / "runs", started=NOON, name="quick")
    assert first.path.name == "20260314-120000-quick"
    assert second.path.name == "20260314-120000-quick-2"


def test_latest_leads_to_the_newest_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        RunDir.create(tmp_path, started=NOON, name=name).point_latest()
    assert (tmp_path / "latest").resolve().name == "20260314-120000-two"
    assert [path.name for path in tmp_path.glob(".latest*")] == []


def test_what_is_written_is_whole_and_can_hold_a_guests_text(tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, started=NOON, name="x")
    run_dir.write("a/b.txt", "lone surrogate \udcff, nul \x00\n")
    assert run_dir.read("a/b.txt") == "lone surrogate ?, nul \x00\n"
    assert [path.name for path in (run_dir.path / "a").iterdir()] == ["b.txt"]
    assert run_dir.read("never/written") == ""


def test_a_folder_that_cannot_be_written_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfraError, match=r"file/runs: no run can be kept there: Not a directory"):
        RunDir.create(tmp_path / "file/runs", started=NOON, name="x")
    run_dir = RunDir.create(tmp_path, started=NOON, name="x")
    (run_dir.path / "blocked").write_text("")
    with pytest.raises(InfraError, match=r"blocked/log: cannot be written: "):
        run_dir.write("blocked/log", "text")


def test_a_full_disk_under_a_run_is_one_clear_message(tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path, started=NOON, name="x")
    (run_dir.path / ".record.json.new").symlink_to("/dev/full")
    with pytest.raises(InfraError, match=r"record\.json: cannot be written: No space left"):
        run_dir.write("record.json", "{}")


def test_a_harness_that_runs_one_case_is_used_as_it_is(tmp_path: Path) -> None:
    own = make_harness(tmp_path / "own", "hlF:f:V:v:t:T:r:")
    said: list[str] = []
    assert choose_harness(Store(tmp_path / "cache", say=print), own, say=said.append) == own
    assert said == []


def test_the_harness_comes_from_a_debian_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="write debian:X"):
        find_harness(Store(tmp_path / "cache", say=print), "tarball:6.12")
