"""The plugin with real guests that misbehave: each has its verdict, the next test its chance."""

from pathlib import Path

import pytest

from testbed.core.events import BootFailed
from testbed.core.result import TestResult, Verdict
from testbed.host.accel import Accel
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage
from testbed.host.store import Store
from testbed.tests.vm.suite import Machine, SuiteRun, build_broken, run_suite

SUITE = """
import pytest


def test_a_healthy_guest(guest):
    assert guest.run("echo fine").stdout == "fine\\n"


def test_b_crashes(guest):
    guest.run("echo c > /proc/sysrq-trigger")


@pytest.mark.needs(timeout_s=5)
def test_c_hangs(vm, guest):
    vm.qmp.execute("stop")
    guest.run("true")


def test_d_command_overruns(guest):
    guest.run("sleep 60", timeout_s=1)


def test_f_fails_in_words(guest, report):
    report.metric("answer", 42, "pages")
    report.placement("a page", expected={1: 1}, seen={0: 1})


@pytest.mark.needs(features=["no-such-series"])
def test_g_needs_a_series(guest):
    raise AssertionError("not to be run")


@pytest.mark.needs(kconfig=["NO_SUCH_OPTION"])
def test_h_needs_an_option(guest):
    raise AssertionError("not to be run")


@pytest.mark.needs(nodes=40)
def test_i_needs_many_nodes(guest):
    raise AssertionError("not to be run")


def test_j_oom_kill_is_seen(vm, guest):
    # A kworker does it, later. The SSH server is the largest process, hence the victim: one that
    # is about to exit anyway would be left to it without a word.
    vm.run("echo f > /proc/sysrq-trigger")
    assert vm.console.wait_for(lambda line: "Killed process" in line, since=0, timeout_s=20)


def test_k_a_healthy_guest_again(guest):
    assert guest.run("cat /proc/sys/kernel/tainted").stdout == "0\\n"
"""

EXPECTED = {
    "boot": Verdict.PASSED,
    "test_a_healthy_guest": Verdict.PASSED,
    "test_b_crashes": Verdict.CRASHED,
    "test_c_hangs": Verdict.TIMED_OUT,
    "test_d_command_overruns": Verdict.TIMED_OUT,
    "test_f_fails_in_words": Verdict.FAILED,
    "test_g_needs_a_series": Verdict.SKIPPED,
    "test_h_needs_an_option": Verdict.FAILED,
    "test_j_oom_kill_is_seen": Verdict.CRASHED,
    "test_k_a_healthy_guest_again": Verdict.PASSED,
}


@pytest.fixture(scope="module")
def suite_run(
    kernel: Kernel, image: GuestImage, accel: Accel, tmp_path_factory: pytest.TempPathFactory
) -> SuiteRun:
    machine = Machine(kernel=kernel, image=image, accel=accel)
    folder = tmp_path_factory.mktemp("suite")
    options = ("-n", "2", "--vmcore", "yes")
    return run_suite(folder, {"test_suite.py": SUITE}, machine, options=options)


@pytest.fixture(scope="module")
def results(suite_run: SuiteRun) -> dict[str, TestResult]:
    return suite_run.results


def test_each_misbehaviour_has_its_verdict(results: dict[str, TestResult]) -> None:
    assert {name: result.verdict for name, result in results.items()} == EXPECTED


def test_a_crash_has_its_title_and_its_console(results: dict[str, TestResult]) -> None:
    crashed = results["test_b_crashes"]
    assert crashed.crash is not None
    assert crashed.crash.title == "Kernel panic: sysrq triggered crash"
    assert {log.kind for log in crashed.logs} == {"console", "whole console", "vmcore"}


def test_a_crash_and_a_time_out_leave_the_guests_memory(suite_run: SuiteRun) -> None:
    kept = {
        name: log.path
        for name, result in suite_run.results.items()
        for log in result.logs
        if log.kind == "vmcore"
    }
    ended_badly = {
        name
        for name, verdict in EXPECTED.items()
        if verdict in {Verdict.CRASHED, Verdict.TIMED_OUT}
    }
    assert set(kept) == ended_badly
    for path in kept.values():
        with (suite_run.logs / path).open("rb") as file:
            assert file.read(8) == b"KDUMP   "


def test_a_failure_keeps_what_was_measured_and_seen(results: dict[str, TestResult]) -> None:
    failed = results["test_f_fails_in_words"]
    assert [metric.name for metric in failed.metrics] == ["answer"]
    assert [placement.is_as_expected for placement in failed.placements] == [False]


def test_a_missing_option_names_the_way_out(results: dict[str, TestResult]) -> None:
    assert "CONFIG_NO_SUCH_OPTION" in results["test_h_needs_an_option"].message
    assert "kconfigs/" in results["test_h_needs_an_option"].message


HEALTHY = """
def test_one(vm):
    vm.run("true")


def test_two(guest):
    guest.run("true")
"""
TAINTING = """
def test_taints_once_more(vm):
    vm.run("echo 512 > /proc/sys/kernel/tainted")
"""


def run_with_cmdline(folder: Path, machine: Machine, *words: str, suite: str = HEALTHY) -> SuiteRun:
    """Run ``suite`` on two nodes whose kernel is booted with ``words``, by two workers."""
    topology = folder / "changed.yaml"
    topology.write_text(
        f"about: Two nodes and other words for the kernel.\n"
        f"nodes: [{{cpus: 1, memory_mib: 256}}, {{cpus: 1, memory_mib: 256}}]\n"
        f"cmdline: [{', '.join(words)}]\n"
    )
    changed = Machine(
        kernel=machine.kernel, image=machine.image, accel=machine.accel, topology=str(topology)
    )
    return run_suite(folder, {"test_suite.py": suite}, changed, options=("-n", "2"))


def list_verdicts(run: SuiteRun) -> dict[str, Verdict]:
    return {name: result.verdict for name, result in run.results.items()}


def test_a_taint_of_the_boot_is_not_held_against_the_tests(
    kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path
) -> None:
    machine = Machine(kernel=kernel, image=image, accel=accel)
    tainted = "sysctl.kernel.tainted=64"
    run = run_with_cmdline(tmp_path, machine, tainted, suite=HEALTHY + TAINTING)
    assert list_verdicts(run) == {
        "boot": Verdict.PASSED,
        "test_one": Verdict.PASSED,
        "test_two": Verdict.PASSED,
        "test_taints_once_more": Verdict.FAILED,
    }
    assert "tainted is 576; new: bit 9" in run.results["test_taints_once_more"].message


def test_a_warning_of_the_boot_is_the_boots_alone(
    store: Store, image: GuestImage, accel: Accel, tmp_path: Path
) -> None:
    machine = Machine(kernel=build_broken(store), image=image, accel=accel)
    run = run_with_cmdline(tmp_path, machine, "testbed_break.warn_at_boot=1")
    assert list_verdicts(run) == {
        "boot": Verdict.CRASHED,
        "test_one": Verdict.PASSED,
        "test_two": Verdict.PASSED,
    }
    crash = run.results["boot"].crash
    assert crash is not None
    assert crash.title == "WARNING in testbed_break_init"


def test_a_kernel_that_does_not_boot_is_booted_once_for_all_workers(
    kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path
) -> None:
    machine = Machine(kernel=kernel, image=image, accel=accel)
    many = "".join(f"def test_{number}(vm):\n    pass\n\n\n" for number in range(8))
    run = run_with_cmdline(tmp_path, machine, "rdinit=/nowhere", suite=many)
    (failed,) = [event for event in run.events if isinstance(event, BootFailed)]
    assert failed.crash.title.startswith("Kernel panic: VFS: Unable to mount root fs")
    results = [result for name, result in run.results.items() if name != "boot"]
    assert len(results) == 8
    assert {result.verdict for result in results} == {Verdict.BOOT_FAILED}
    assert {result.message for result in results} == {failed.crash.title}
    consoles = [path.name for path in run.logs.glob("*.console.log")]
    assert consoles == ["vm-boot.console.log"]
    said = (run.logs / "vm-boot.console.log").read_text(errors="replace")
    assert said.count("Linux version") == 1


DECLARED = """
import pytest

known = pytest.mark.known(kernels=">=2.6", why="a trial", commit="of nobody")


@known
def test_a_fails(vm):
    assert vm.run("echo 1").stdout == "2\\n"


@known
def test_b_crashes(vm):
    vm.run("echo c > /proc/sysrq-trigger")


@known
def test_c_taints(vm):
    vm.run("echo 64 > /proc/sys/kernel/tainted")
    raise AssertionError("and fails")


@known
def test_d_passes(vm):
    vm.run("true")


@known
@pytest.mark.needs(kconfig=["NO_SUCH_OPTION"])
def test_e_needs_an_option(vm):
    raise AssertionError("not to be run")


@pytest.mark.known(kernels="<2.6", why="a trial", commit="of nobody")
def test_f_fails_on_another_kernel(vm):
    assert vm.run("echo 1").stdout == "2\\n"


@known
@pytest.mark.quick
def test_g_fails_in_its_fixture(vm, request):
    request.addfinalizer(lambda: vm.run("echo c > /proc/sysrq-trigger"))
    raise AssertionError("first")
"""


def test_what_is_declared_is_known_and_excuses_nothing_else(
    kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path
) -> None:
    machine = Machine(kernel=kernel, image=image, accel=accel)
    suite_run = run_suite(tmp_path, {"test_suite.py": DECLARED}, machine, options=("-n", "2"))
    results = suite_run.results
    assert {name: result.verdict for name, result in results.items()} == {
        "boot": Verdict.PASSED,
        "test_a_fails": Verdict.KNOWN,
        "test_b_crashes": Verdict.CRASHED,
        "test_c_taints": Verdict.FAILED,
        "test_d_passes": Verdict.PASSED,
        "test_e_needs_an_option": Verdict.FAILED,
        "test_f_fails_on_another_kernel": Verdict.FAILED,
        "test_g_fails_in_its_fixture": Verdict.CRASHED,
    }
    failed, passed = results["test_a_fails"], results["test_d_passes"]
    assert failed.message.splitlines()[0] == "known: a trial (of nobody)"
    assert "assert '1\\n' == '2\\n'" in failed.message
    assert {result.known for result in (failed, passed)} == {"a trial (of nobody)"}
    assert passed.message == "passed, though it was expected to fail: a trial (of nobody)"
    assert {name for name, result in results.items() if result.known} == {
        "test_a_fails",
        "test_d_passes",
    }
    assert "3 xfailed, 3 errors" in suite_run.output  # two of the three end worse than known
