"""The main job as a user starts it: `testbed run`, on real kernels, with its exit codes."""

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from testbed.core.record import ChangeKind, Role, RunRecord, load_record
from testbed.core.result import Verdict
from testbed.host import proc
from testbed.host.builder import Kernel
from testbed.host.project import data_dir

TESTBED = [sys.executable, "-m", "testbed"]
SERIES = Path(__file__).parent.parent / "series"
FEW = (
    "(migrate_pages.c and one_to_one) or (mbind.c and private.move)"
    " or (move_pages.c and status_of_each_page)"
)


def run_testbed(folder: Path, *arguments: str) -> tuple[proc.Completed, RunRecord]:
    done = proc.run([*TESTBED, "run", *arguments], cwd=folder, check=False, timeout_s=1200)
    record = load_record((folder / "runs/latest/record.json").read_bytes())
    assert done.returncode == record.exit_code, done.output
    return done, record


def changes(record: RunRecord, kind: ChangeKind) -> set[str]:
    return {change.test for change in record.comparison if change.kind is kind}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, kernel: Kernel) -> tuple[Path, proc.Completed]:
    """The quick plan as ci/regress calls it, whole, in a folder with a space and an umlaut."""
    folder = tmp_path_factory.mktemp("Übung eins")
    done = proc.run([*TESTBED, "run"], cwd=folder, check=False, timeout_s=1800)
    return folder, done


@pytest.fixture(scope="module")
def record(quick: tuple[Path, proc.Completed]) -> RunRecord:
    return load_record((quick[0] / "runs/latest/record.json").read_bytes())


def test_the_quick_plan_is_green(quick: tuple[Path, proc.Completed], record: RunRecord) -> None:
    folder, done = quick
    assert done.returncode == 0, done.output
    assert done.output.rstrip().splitlines()[-1].endswith("/report.html")
    assert max(len(line) for line in done.output.splitlines()[:-1]) <= 200
    verdicts = {t.verdict for cell in record.cells for t in cell.tests}
    assert verdicts <= {Verdict.PASSED, Verdict.SKIPPED}
    assert len(record.cells) == 4
    for role in (Role.BASE, Role.PATCHED):  # each_test: once
        ids = [t.id for cell in record.cells if cell.kernel.role is role for t in cell.tests]
        assert sorted({one for one in ids if ids.count(one) > 1}) == ["boot"]
    assert (folder / "runs/latest").resolve().name == record.id


def test_the_record_is_valid_by_its_schema(quick: tuple[Path, proc.Completed]) -> None:
    schema = json.loads((data_dir() / "testbed/core/record.schema.json").read_text())
    value: dict[str, Any] = json.loads((quick[0] / "runs/latest/record.json").read_text())
    errors = jsonschema.Draft202012Validator(schema).iter_errors(value)
    assert [error.message for error in errors] == []


def test_every_log_that_the_record_names_is_there(
    quick: tuple[Path, proc.Completed], record: RunRecord
) -> None:
    root = quick[0] / "runs/latest"
    logs = [
        log.path
        for cell in record.cells
        for source in (cell.logs, cell.kernel.logs, *(test.logs for test in cell.tests))
        for log in source
    ]
    assert logs
    assert [path for path in logs if not (root / path).is_file()] == []
    for name in ("report.html", "junit.xml"):
        assert (root / name).stat().st_size > 0


def test_the_tests_of_the_series_ran_on_the_patched_kernel_alone(record: RunRecord) -> None:
    new = changes(record, ChangeKind.NEW)
    assert new
    assert all(name.startswith("series/migrate-reasons/") for name in new)
    assert changes(record, ChangeKind.STILL_PASSING)


def test_a_second_run_compiles_nothing(quick: tuple[Path, proc.Completed], tmp_path: Path) -> None:
    _, again = run_testbed(tmp_path, "-k", FEW)
    assert again.exit_code == 0, again.exit_reason
    ran = {test.id.rpartition(".")[2] for cell in again.cells for test in cell.tests}
    assert ran == {"boot", "one_to_one", "move", "move_part", "move_what_is_misplaced"} | {
        "move_skips_mapped_twice",
        "move_some_mapped_twice",
        "move_all_mapped_twice",
        "move_all_needs_sys_nice",
        "status_of_each_page",
    }
    assert [cell.kernel.compiled_files for cell in again.cells] == [0] * 4
    assert all(cell.kernel.is_cached for cell in again.cells)


def test_wrong_node_regresses_and_shows_both_placements(tmp_path: Path) -> None:
    done, record = run_testbed(tmp_path, "--series", "patches/selfcheck/wrong-node", "-k", FEW)
    assert done.returncode == 1, done.output
    assert changes(record, ChangeKind.LOST) == set()
    regressed = changes(record, ChangeKind.REGRESSED)
    assert {name.split("::")[0] for name in regressed} >= {
        "mempolicy/mbind.c",
        "migrate/migrate_pages.c",
        "migrate/move_pages.c",
    }
    for name in regressed:
        assert name.split("::")[1].rsplit(".", 1)[-1] in done.output
    wrong = [
        placement
        for cell in record.cells
        for test in cell.tests
        for placement in test.placements
        if not placement.is_as_expected
    ]
    assert wrong
    page = (tmp_path / "runs/latest/report.html").read_text()
    assert wrong[0].what in page
    assert "expected" in done.output
    assert "seen" in done.output


def test_a_kernel_that_panics_at_boot_exits_3_with_the_panic(tmp_path: Path) -> None:
    done, record = run_testbed(tmp_path, "--series", str(SERIES / "panic-at-boot"), "-k", FEW)
    assert done.returncode == 3, done.output
    crashes = {c.boot_crash.title for c in record.cells if c.boot_crash}
    assert crashes == {"kernel BUG in testbed_panic_at_boot"}
    assert "kernel BUG in testbed_panic_at_boot" in done.output


def test_a_kernel_that_does_not_compile_exits_3_with_the_first_error(tmp_path: Path) -> None:
    done, record = run_testbed(tmp_path, "--series", str(SERIES / "no-compile"), "-k", FEW)
    assert done.returncode == 3, done.output
    assert "mm/mempolicy.c:" in done.output
    assert "testbed_undeclared" in done.output
    failures = {c.kernel.failure for c in record.cells if c.kernel.failure}
    assert len(failures) == 1
    assert record.cells[0].tests == ()


@pytest.fixture
def interrupted(tmp_path: Path) -> Iterator["Interruptible"]:
    run = Interruptible(tmp_path)
    yield run
    run.end()


class Interruptible:
    """A run that can be stopped once its guests are up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*TESTBED, "run", "--series", "patches/selfcheck/wrong-node"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_for_guests(self) -> set[int]:
        """Return the QEMU processes of the run, once the first test of it has ended.

        Each test has a guest of its own: between two of them there is a moment without any.
        """
        runs = self.folder / "runs"
        with selectors.DefaultSelector() as selector:
            assert self.process.stdout is not None
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not (any(runs.rglob("*.ktap")) and (guests := find_qemus(self.folder))):
                assert self.process.poll() is None, self.process.stdout.read()
                if selector.select(timeout=0.02):
                    os.read(self.process.stdout.fileno(), 1 << 16)
        return guests

    def end(self) -> str:
        """Return what the run said since, once it has ended; one that lives on is killed."""
        try:
            out, _ = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return str(out, "utf-8", "replace")


def find_qemus(folder: Path) -> set[int]:
    """Return the processes that write into ``folder`` and are a QEMU."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            is_qemu = "qemu" in (entry / "comm").read_text()
            target = (entry / "fd/1").readlink() if is_qemu else Path()
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
        if is_qemu and folder in target.parents:
            found.add(int(entry.name))
    return found


def assert_all_end(processes: set[int]) -> None:
    """Fail if one of ``processes`` lives on for 10 s."""
    for pid in processes:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            ended = selector.select(timeout=10)
        os.close(fd)
        assert ended, f"process {pid} lives on"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_every_guest_and_says_what_is_kept(
    interrupted: Interruptible, kernel: Kernel, sig: signal.Signals
) -> None:
    guests = interrupted.wait_for_guests()
    assert guests
    interrupted.process.send_signal(sig)
    said = interrupted.end()
    assert interrupted.process.returncode == 130
    assert "interrupted: every guest and build was ended; kept:" in said
    assert_all_end(guests)


def test_kill_9_leaves_no_guest_and_keeps_what_had_ended(
    interrupted: Interruptible, kernel: Kernel
) -> None:
    guests = interrupted.wait_for_guests()
    assert guests
    interrupted.process.kill()
    interrupted.end()
    assert_all_end(guests)
    events = [
        json.loads(line)
        for path in (interrupted.folder / "runs").rglob("events.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert any(event["event"] == "finished" for event in events)


def test_two_runs_at_once_share_one_cache(tmp_path: Path, kernel: Kernel) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    runs = [
        subprocess.Popen(
            [*TESTBED, "run", "-k", "migrate_pages.c and one_to_one", "-t", "two-nodes"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for folder in folders
    ]
    said = [run.communicate(timeout=600)[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said


def test_every_item_of_the_contract_and_every_promise_has_tests(
    kernel: Kernel, tmp_path: Path
) -> None:
    argv = [*TESTBED, "list", "tests", "--coverage", "--json"]
    done = proc.run(argv, cwd=tmp_path, check=False, timeout_s=300)
    assert done.returncode == 0, done.output
    told = json.loads(done.output[done.output.index("{") :])
    assert told["contradictions"] == []
    assert len(told["contract"]) == 18
    assert [
        one["name"] for key in ("contract", "promises") for one in told[key] if not one["tests"]
    ] == []
    assert told["quick"] >= 60
