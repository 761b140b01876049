"""The folder of a run, and the harness that its tests are built on."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from testbed.errors import InfraError, UserError
from testbed.host.harness import HEADERS, choose_harness, find_harness
from testbed.host.run_dir import RECORD_FILE, REQUEST_FILE, RunDir
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


def make_run(runs_dir: Path, minute: int) -> RunDir:
    run_dir = RunDir.create(runs_dir, started=NOON.replace(minute=minute), name="quick")
    run_dir.write(REQUEST_FILE, "{}")
    return run_dir


def test_a_run_is_found_by_its_folder_its_id_or_as_the_latest_that_was_started(
    tmp_path: Path,
) -> None:
    first, second = make_run(tmp_path, 1), make_run(tmp_path, 2)
    first.write(RECORD_FILE, "{}")
    first.point_latest()
    assert RunDir.find(tmp_path, str(first.path)) == first
    assert RunDir.find(tmp_path, first.path.name) == first
    assert RunDir.find(tmp_path, "latest") == second
    assert RunDir.find(tmp_path, str(tmp_path / "latest")) == first
    assert (first.is_finished, second.is_finished) == (True, False)


@pytest.mark.parametrize("name", ["latest", "20260314-120000-quick", "/nowhere"])
def test_a_run_that_is_not_there_is_one_clear_message(name: str, tmp_path: Path) -> None:
    (tmp_path / "20260314-120000-quick").mkdir()  # of a testbed that kept no request
    with pytest.raises(UserError, match=r"no run to resume: .*request\.json") as caught:
        RunDir.find(tmp_path, name)
    assert "\n" not in str(caught.value)


def test_a_run_is_held_by_one_testbed_and_by_none_after_its_death(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, 1)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from testbed.host.run_dir import RunDir\n"
        "with RunDir(Path(sys.argv[1])).hold():\n"
        "    print('held', flush=True)\n"
        "    signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(run_dir.path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match="another testbed is at work"), run_dir.hold():
            pass
        holder.kill()
        holder.wait()
        with run_dir.hold():
            pass


def test_the_last_sign_of_life_is_the_newest_file(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, 1)
    run_dir.write("cells/a/log", "text")
    for path in (run_dir.path, *run_dir.path.rglob("*")):
        os.utime(path, (1000, 1000))
    os.utime(run_dir.path / "cells/a/log", (2000, 2000))
    assert run_dir.last_write_s() == 2000


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
