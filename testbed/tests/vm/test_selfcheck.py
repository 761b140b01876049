"""Two mutants on real kernels: one that a test must kill, and one that no test can tell."""

import shutil
import sys
from pathlib import Path
from typing import Final

from testbed.core.selfcheck import Status, load_report
from testbed.host import proc
from testbed.host.builder import Kernel
from testbed.host.project import data_dir

PLAN: Final = """
kconfig: [base, numa, hotplug, swap, thp, hugetlb, trace, cgroup-v1, files, fault-injection]
topologies: [two-nodes]
tests: [migrate/move_pages.c]
select: status_of_each_page or mixed_destinations
"""
MUTANTS: Final = ("equivalent-no-eexist", "move-status-not-written")


def test_a_mutant_is_killed_and_an_equivalent_one_survives(tmp_path: Path, kernel: Kernel) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "mutants").mkdir()
    for name in MUTANTS:
        shutil.copy(data_dir() / f"patches/selfcheck/{name}.patch", tmp_path / "mutants")

    done = proc.run(
        [
            *(sys.executable, "-m", "testbed", "selfcheck", "--plan", "plan.yaml"),
            *("--mutants", "mutants", "--json", "report.json"),
        ],
        cwd=tmp_path,
        check=False,
        timeout_s=300,
    )

    assert done.returncode == 0, done.output
    report = load_report((tmp_path / "report.json").read_bytes())
    killed, equivalent = report.mutants  # those called equivalent come last
    assert (equivalent.status, killed.status) == (Status.EQUIVALENT, Status.KILLED)
    assert [kill.test.partition("::")[0] for kill in killed.kills] == ["migrate/move_pages.c"]
    assert equivalent.tests == equivalent.planned == report.base_tests
    assert (report.score, report.left_out) == (1.0, ())
    folder = Path(done.output.splitlines()[-1].removeprefix("report: ")).parent
    assert (folder / "selfcheck.txt").read_text().splitlines()[-1] in done.output
