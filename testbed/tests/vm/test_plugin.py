"""The plugin with real guests that misbehave: each has its verdict, the next test its chance."""

import sys

import pytest

from testbed.core.events import Finished, read_events
from testbed.core.result import TestResult, Verdict
from testbed.host import proc
from testbed.host.accel import Accel
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage

SUITE = """
import os
import signal

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


def test_e_qemu_is_killed(vm, guest):
    os.kill(vm.pid, signal.SIGKILL)
    guest.run("true")


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


def test_j_oom_kill_is_seen(guest):
    guest.run("echo f > /proc/sysrq-trigger")


def test_k_a_healthy_guest_again(guest):
    assert guest.run("cat /proc/sys/kernel/tainted").stdout == "0\\n"
"""

EXPECTED = {
    "boot": Verdict.PASSED,
    "test_a_healthy_guest": Verdict.PASSED,
    "test_b_crashes": Verdict.CRASHED,
    "test_c_hangs": Verdict.TIMED_OUT,
    "test_d_command_overruns": Verdict.TIMED_OUT,
    "test_e_qemu_is_killed": Verdict.LOST,
    "test_f_fails_in_words": Verdict.FAILED,
    "test_g_needs_a_series": Verdict.SKIPPED,
    "test_h_needs_an_option": Verdict.FAILED,
    "test_j_oom_kill_is_seen": Verdict.CRASHED,
    "test_k_a_healthy_guest_again": Verdict.PASSED,
}


@pytest.fixture(scope="module")
def results(
    kernel: Kernel, image: GuestImage, accel: Accel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, TestResult]:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "pytest.ini", "."]
    argv += ["--kernel", str(kernel.image), "--kernel-config", str(kernel.config)]
    argv += ["--guest-image", str(image.folder), "--topology", "two-nodes"]
    argv += ["--accel", accel.name, "--log-dir", str(folder / "logs")]
    argv += ["--junitxml", str(folder / "junit.xml")]
    done = proc.run(argv, cwd=folder, check=False, timeout_s=300)
    assert done.returncode == 1, done.output
    lines = (folder / "logs/events.jsonl").read_text().splitlines()
    found = [event.result for event in read_events(lines) if isinstance(event, Finished)]
    return {result.id.rpartition("::")[2]: result for result in found}


def test_each_misbehaviour_has_its_verdict(results: dict[str, TestResult]) -> None:
    assert {name: result.verdict for name, result in results.items()} == EXPECTED


def test_a_crash_has_its_title_and_its_console(results: dict[str, TestResult]) -> None:
    crashed = results["test_b_crashes"]
    assert crashed.crash is not None
    assert crashed.crash.title == "Kernel panic: sysrq triggered crash"
    assert {log.kind for log in crashed.logs} == {"console", "whole console"}


def test_a_failure_keeps_what_was_measured_and_seen(results: dict[str, TestResult]) -> None:
    failed = results["test_f_fails_in_words"]
    assert [metric.name for metric in failed.metrics] == ["answer"]
    assert [placement.is_as_expected for placement in failed.placements] == [False]


def test_a_missing_option_names_the_way_out(results: dict[str, TestResult]) -> None:
    assert "CONFIG_NO_SUCH_OPTION" in results["test_h_needs_an_option"].message
    assert "kconfigs/" in results["test_h_needs_an_option"].message
