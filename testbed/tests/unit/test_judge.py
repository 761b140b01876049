"""From what ended a test to its verdict, and from its needs to whether it can run."""

from pathlib import Path

import pytest

from testbed.core.applicability import (
    explain_unhosted,
    find_missing_features,
    find_missing_options,
)
from testbed.core.needs import Needs
from testbed.core.result import Crash, NodeCount, Verdict
from testbed.errors import GuestLostError, InfraError
from testbed.host import catalog
from testbed.host.guest_result import GuestCommandError, GuestResult, GuestTimeoutError
from testbed.pytest_plugin.cell import CellBootFailedError, KernelCrashedError
from testbed.pytest_plugin.evidence import Evidence, Reporter
from testbed.pytest_plugin.judge import CaseFailedError, judge_exception

CRASH = Crash(title="WARNING in foo", kind="warning", frames=("foo",), excerpt="WARNING: ...")
FAILED = GuestResult(command="x", stdout="", stderr="sh: x: not found\n", status=127)


@pytest.mark.parametrize(
    ("error", "verdict", "message"),
    [
        (CaseFailedError(Verdict.FAILED, "node 0"), Verdict.FAILED, "node 0"),
        (KernelCrashedError(CRASH), Verdict.CRASHED, "WARNING in foo"),
        (CellBootFailedError(CRASH), Verdict.BOOT_FAILED, "WARNING in foo"),
        (GuestTimeoutError("no end of 'x' after 1 s"), Verdict.TIMED_OUT, "no end of 'x'"),
        (GuestLostError("gone"), Verdict.LOST, "gone"),
        (InfraError("no QEMU"), Verdict.LOST, "no QEMU"),
        (pytest.skip.Exception("needs a series"), Verdict.SKIPPED, "needs a series"),
        (GuestCommandError(FAILED), Verdict.FAILED, "shown by pytest"),
        (AssertionError("1 == 2"), Verdict.FAILED, "shown by pytest"),
        (TypeError("a bug of the test"), Verdict.FAILED, "shown by pytest"),
    ],
)
def test_each_exception_has_its_verdict(
    error: BaseException, verdict: Verdict, message: str
) -> None:
    ending = judge_exception(error, shown="shown by pytest")
    assert ending.verdict is verdict
    assert ending.message.startswith(message)
    has_crash = isinstance(error, KernelCrashedError | CellBootFailedError)
    assert (ending.crash is CRASH) is has_crash


def test_a_topology_that_lacks_nodes_or_slots_is_told() -> None:
    two = catalog.load_topology("two-nodes")
    assert explain_unhosted(Needs(nodes=2, dimm_slots=1), two) == ""
    assert explain_unhosted(Needs(nodes=3), two) == ("needs 3 nodes with memory, two-nodes has 2")
    assert "DIMM slots" in explain_unhosted(Needs(dimm_slots=9), two)


def test_what_a_kernel_lacks_is_told_by_name() -> None:
    needs = Needs(features=("b", "a"), kconfig=("NUMA", "KSM"))
    assert find_missing_features(needs, {"b"}) == ("a",)
    assert find_missing_options(needs, {"NUMA"}) == ("KSM",)
    assert find_missing_options(needs, None) == ()


def test_a_wrong_placement_fails_and_is_kept(tmp_path: Path) -> None:
    evidence = Evidence()
    reporter = Reporter(evidence, name="a", folder=tmp_path)
    reporter.metric("move", 1.5, "us/page")
    reporter.placement("right", expected={1: 4, 0: 0}, seen={1: 4})
    with pytest.raises(AssertionError, match=r"wrong: expected node 1: 4 pages, seen node 0: 4"):
        reporter.placement("wrong", expected={1: 4}, seen={0: 4})
    assert [placement.is_as_expected for placement in evidence.placements] == [True, False]
    assert evidence.placements[1].seen == (NodeCount(node=0, pages=4),)
    assert evidence.metrics[0].unit == "us/page"


def test_a_text_of_a_test_is_kept_beside_the_other_logs(tmp_path: Path) -> None:
    evidence = Evidence()
    Reporter(evidence, name="a.py::test_it", folder=tmp_path).log("what/it said", ["one", "two"])
    (log,) = evidence.logs
    assert log.kind == "what/it said"
    assert (tmp_path / log.path).read_text() == "one\ntwo\n"
