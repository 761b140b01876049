"""A deterministic run as a user starts it, and the same run again."""

from pathlib import Path

import pytest

from testbed.core.record import load_record
from testbed.host import proc
from testbed.host.builder import Kernel
from testbed.tests.vm.test_main_job import TESTBED

CASE = "move_pages.status_of_each_page"


@pytest.fixture(scope="module")
def folder(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one case was run with a seed."""
    folder = tmp_path_factory.mktemp("seeded")
    argv = [*TESTBED, "run", "--no-series", "-t", "two-nodes", "-k", CASE, "--seed", "5"]
    done = proc.run(argv, cwd=folder, check=False, timeout_s=300)
    assert done.returncode == 0, done.output
    return folder


def test_the_record_says_how_it_was_run(folder: Path) -> None:
    record = load_record((folder / "runs/latest/record.json").read_bytes())
    assert (record.mode, record.seed) == ("deterministic", 5)
    assert [len(cell.tests) for cell in record.cells] == [2]


def test_a_replay_is_the_same_bit_for_bit(folder: Path) -> None:
    done = proc.run([*TESTBED, "replay", "latest", CASE], cwd=folder, check=False, timeout_s=300)
    assert done.returncode == 0, done.output
    assert "the same as in the run, bit for bit: cells/base-two-nodes/" in done.output


def test_a_replay_that_is_not_the_same_is_told(folder: Path) -> None:
    (console,) = (folder / "runs/latest/cells/base-two-nodes").glob(f"*{CASE}*.console.log")
    console.write_bytes(console.read_bytes() + b"one more line\n")
    done = proc.run([*TESTBED, "replay", "latest", CASE], cwd=folder, check=False, timeout_s=300)
    assert done.returncode == 1, done.output
    assert "NOT the same as in the run" in done.output
