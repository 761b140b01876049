"""A series of eight patches, four of them bad: check, run and bisect name exactly those.

Patch 3 brings a warning, 5 does not build without 6, 6 regresses move_pages(2)'s status of an
address where nothing is mapped, 8 has a malformed header.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Final

import pytest

from testbed.core.record import RunRecord, load_record
from testbed.host import catalog, proc
from testbed.host.builder import Kernel
from testbed.host.project import data_dir

TESTBED: Final = [sys.executable, "-m", "testbed"]
QUICK: Final = catalog.load_plan(data_dir() / "ci/plans/quick.yaml")
SERIES: Final = str(Path(__file__).parent.parent / "series" / "bad-eight")
# On the kernel of the quick plan: that is there already.
PLAN: Final = f"""
about: A few tests of move_pages(2).
kconfig: [{", ".join(QUICK.kconfig)}]
topologies: [two-nodes]
tests: [migrate/move_pages.c]
select: status_of_each_page or mixed_destinations
"""
REGRESSED: Final = "migrate/move_pages.c::move_pages.status_of_each_page"
UNBUILT: Final = "implicit declaration of function 'zero_page_status'"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipeline")
    (path / "plan.yaml").write_text(PLAN)
    return path


def call(folder: Path, *arguments: str) -> proc.Completed:
    return proc.run([*TESTBED, *arguments], cwd=folder, check=False, timeout_s=900)


@pytest.fixture(scope="module")
def checked(folder: Path, kernel: Kernel) -> proc.Completed:
    looks = ("builds", "warnings", "checkpatch", "header", "kconfig")
    only = [word for look in looks for word in ("--only", look)]
    return call(folder, "check", "--plan", "plan.yaml", "--series", SERIES, *only)


def test_check_finds_fault_with_three_patches_and_says_which(checked: proc.Completed) -> None:
    blamed = re.findall(r"^patch (\d): ", checked.output, flags=re.MULTILINE)
    found = dict.fromkeys(number for number in blamed if f"\npatch {number}: mm" in checked.output)
    assert list(found) == ["3", "5", "8"]
    assert checked.returncode == 3  # a patch does not build


def test_check_tells_the_warning_the_build_and_the_header(checked: proc.Completed) -> None:
    text = " ".join(checked.output.split())
    assert "variable 'is_zero' set but not used [-Wunused-but-set-variable]" in text
    assert "patch 5 does not build alone; with patch 6 it does" in text
    assert UNBUILT in text
    assert "header: no Signed-off-by" in text
    assert "header: Fixes: tag 'the policy rework'" in text
    assert "checkpatch: error: MISSING_SIGN_OFF" in text


def test_check_fits_the_screen_and_ends_with_its_verdict(checked: proc.Completed) -> None:
    lines = checked.output.splitlines()
    table = lines[next(n for n, line in enumerate(lines) if line.startswith("bad-eight on ")) :]
    assert max(len(line) for line in table if not line.endswith(".log")) <= 100
    assert [Path(line.strip()).is_file() for line in table if line.endswith(".log")] == [True]
    assert table[-1].endswith("exit 3")


@pytest.fixture(scope="module")
def record(folder: Path, checked: proc.Completed) -> RunRecord:
    done = call(folder, "run", "--plan", "plan.yaml", "--series", SERIES, "--each-patch")
    record = load_record((folder / "runs/latest/record.json").read_bytes())
    assert done.returncode == record.exit_code == 3, done.output
    return record


def test_run_finds_the_patch_that_does_not_build(record: RunRecord) -> None:
    unbuilt = [step for step in record.steps if step.kernel.failure]
    assert [step.without for step in record.steps if step.without] == [(5,)]
    assert [step.patch.number for step in unbuilt] == [5]
    assert UNBUILT in unbuilt[0].kernel.failure
    assert record.exit_reason.startswith("after patch 5 (mm/migrate: ask what to tell of a zero")


def test_run_finds_the_patch_that_regresses(record: RunRecord) -> None:
    (culprit,) = record.culprits
    assert culprit.test == REGRESSED
    assert [patch.number for patch in culprit.suspects] == [6]  # without 5, it does so too
    assert all(len(step.cells) == 1 for step in record.steps if not step.kernel.failure)


def test_bisect_names_the_patch_that_regresses(folder: Path, record: RunRecord) -> None:
    done = call(
        folder,
        *("bisect", "--plan", "plan.yaml", "--series", SERIES),
        *("--test", "move_pages.status_of_each_page"),
    )
    assert done.returncode == 0, done.output
    answer = done.output[done.output.index("\npatch 6 of 8: ") :].splitlines()
    assert "6: 0006-mm-migrate-say-what-to-tell-of-a-zero-page.patch" in answer[2]
    assert any("patches 1 to 6 without 5: 8 of 8 runs: failed" in line for line in answer)
    kernels = re.search(r"(\d+) kernels, (\d+) built", done.output)
    assert kernels is not None
    assert int(kernels[1]) <= 6
    assert (Path(answer[-1].removeprefix("account: ")) / "bisect.jsonl").is_file()


def test_a_kernel_that_was_built_elsewhere_is_tested_as_it_is(folder: Path, kernel: Kernel) -> None:
    image, config = folder / "vmlinuz", folder / f"config-{kernel.release}"
    shutil.copyfile(kernel.image, image)
    shutil.copyfile(kernel.config, config)
    done = call(folder, "run", "--plan", "plan.yaml", "--kernel", "vmlinuz")
    record = load_record((folder / "runs/latest/record.json").read_bytes())
    assert done.returncode == record.exit_code == 0, done.output
    (cell,) = record.cells
    assert cell.kernel.source_id.startswith("prebuilt-")
    assert cell.kernel.release == kernel.release
    assert len(cell.tests) == 3  # and the boot


def test_a_kernel_that_could_not_be_talked_to_is_refused_before_it_boots(
    folder: Path, kernel: Kernel
) -> None:
    text = kernel.config.read_text().replace("CONFIG_VIRTIO_CONSOLE=y", "CONFIG_VIRTIO_CONSOLE=m")
    (folder / "modular.config").write_text(text)
    done = call(
        folder,
        *("run", "--plan", "plan.yaml"),
        *("--kernel", str(kernel.image), "--config", "modular.config"),
    )
    assert done.returncode == 2
    assert "CONFIG_VIRTIO_CONSOLE=m, needs y (the command port)" in done.output
