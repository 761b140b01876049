"""Guests that hang, die, lie or are killed under a test: none goes unseen, none is waited for.

Each misbehaviour is followed by a test that must pass in a fresh guest, on the same worker.
"""

import pytest

from testbed.core.result import TestResult, Verdict
from testbed.host.accel import Accel
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage
from testbed.host.store import Store
from testbed.host.watchdog import LIMIT_S
from testbed.tests.vm.suite import Machine, SuiteRun, build_broken, extend_image, run_suite

# From a test's deadline to its verdict: a crash that is half printed (5 s), the watchdog, the end.
BOUND_S = LIMIT_S + 10

HEAD = """
import os
import signal

import pytest

BREAK = "/sys/kernel/debug/testbed_break"
"""

NEXT = """

def test_after_{name}(vm):
    assert vm.run("cat /proc/sys/kernel/tainted").stdout == "0\\n"
    assert vm.crashes() == ()
"""

PYTHON = {
    "all_cpus_spin": """
@pytest.mark.needs(timeout_s=4)
def test_all_cpus_spin(guest):
    guest.run(f"echo 1 > {BREAK}/spin_all")
""",
    "cpu_0_spins": """
@pytest.mark.needs(timeout_s=4)
def test_cpu_0_spins(guest):
    guest.run(f"echo 0 > {BREAK}/spin_cpu; taskset 1 true")
""",
    "cpu_1_spins": """
@pytest.mark.needs(timeout_s=4)
def test_cpu_1_spins(guest):
    guest.run(f"echo 1 > {BREAK}/spin_cpu; taskset 2 true")
""",
    "ssh_server_ends": """
@pytest.mark.needs(timeout_s=20)
def test_ssh_server_ends(guest):
    guest.run("killall -9 dropbear")
""",
    "init_dies": """
OVERWRITE_INIT = '''
range=$(grep -m1 r-xp /proc/1/maps | cut -d" " -f1)
start=$((0x${range%-*} / 4096)) end=$((0x${range#*-} / 4096))
dd if=/dev/zero of=/proc/1/mem bs=4096 seek=$start count=$((end - start)) conv=notrunc
kill -9 $$
'''


@pytest.mark.needs(timeout_s=20)
def test_init_dies(vm):
    vm.run(OVERWRITE_INIT)  # it wakes up to zeros when its child, the shell of the port, dies
""",
    "powers_off": """
@pytest.mark.needs(timeout_s=20)
def test_powers_off(guest):
    guest.run("poweroff -f")
""",
    "resets": """
@pytest.mark.needs(timeout_s=20)
def test_resets(guest):
    guest.run("reboot -f")
""",
    "qemu_is_killed": """
@pytest.mark.needs(timeout_s=20)
def test_qemu_is_killed(vm, guest):
    os.kill(vm.pid, signal.SIGKILL)
    guest.run("true")
""",
    "qemu_is_killed_at_the_end": """
@pytest.mark.needs(timeout_s=20)
def test_qemu_is_killed_at_the_end(vm):
    os.kill(vm.pid, signal.SIGKILL)
""",
    "qemu_is_stopped": """
@pytest.mark.needs(timeout_s=2)
def test_qemu_is_stopped(vm, guest):
    os.kill(vm.pid, signal.SIGSTOP)
    guest.run("true")
""",
    "python_loops": """
@pytest.mark.needs(timeout_s=2)
def test_python_loops(vm):
    while True:
        pass
""",
    "python_takes_no_hint": """
@pytest.mark.needs(timeout_s=2)
def test_python_takes_no_hint(guest):
    for _ in range(3):
        try:
            guest.run("sleep 60")
        except BaseException:
            pass
""",
    "a_command_blocks": """
@pytest.mark.needs(timeout_s=2)
def test_a_command_blocks(guest):
    guest.run("sleep 600", timeout_s=600)
""",
    "a_fixture_blocks_at_its_end": """
@pytest.fixture
def blocking(guest):
    yield
    guest.run("sleep 600", timeout_s=600)


@pytest.mark.needs(timeout_s=2)
def test_a_fixture_blocks_at_its_end(blocking):
    pass
""",
    "a_fixture_warns_at_its_end": """
@pytest.fixture
def warning(vm):
    yield
    vm.run(f"echo 1 > {BREAK}/warn")


def test_a_fixture_warns_at_its_end(warning):
    pass
""",
    "it_warns_and_passes": """
def test_it_warns_and_passes(vm):
    vm.run(f"echo 1 > {BREAK}/warn")
""",
    "it_warns_and_fails": """
def test_it_warns_and_fails(vm):
    vm.run(f"echo 1 > {BREAK}/warn")
    raise AssertionError("in its own words")
""",
    "it_taints_and_passes": """
def test_it_taints_and_passes(vm):
    vm.run("echo 64 > /proc/sys/kernel/tainted")
""",
}

C_TEST = """
/*
 * Cases that say "ok", or nothing, and misbehave.
 *
 * testbed:
 *   nodes: 1
 *   timeout_s: 10
 *   cases:
 *     global.overruns: {timeout_s: 2}
 *     global.spins: {timeout_s: 4}
 */
#include <fcntl.h>
#include <unistd.h>

#include "harness.h"

#define BREAK "/sys/kernel/debug/testbed_break/"

static int write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));

	return written == (ssize_t)strlen(text) ? 0 : -1;
}

TEST(overruns)
{
	for (;;)
		pause();
}

TEST(after_overruns)
{
	EXPECT_EQ(0, access(BREAK, F_OK));
}

TEST(spins)
{
	EXPECT_EQ(0, write_to(BREAK "spin_all", "1"));
}

TEST(after_spins)
{
	EXPECT_EQ(0, access(BREAK, F_OK));
}

TEST(warns)
{
	EXPECT_EQ(0, write_to(BREAK "warn", "1"));
}

TEST(taints)
{
	EXPECT_EQ(0, write_to("/proc/sys/kernel/tainted", "64"));
}

TEST(after_taints)
{
	EXPECT_EQ(0, access(BREAK, F_OK));
}

TEST_HARNESS_MAIN
"""

FAILED, CRASHED, TIMED_OUT, LOST = (
    Verdict.FAILED,
    Verdict.CRASHED,
    Verdict.TIMED_OUT,
    Verdict.LOST,
)
# name -> verdict, and what its message has
EXPECTED = {
    "test_all_cpus_spin": (TIMED_OUT, "did not end within 4 s; it was in test_all_cpus_spin() at"),
    "test_cpu_0_spins": (TIMED_OUT, "did not end within 4 s"),
    "test_cpu_1_spins": (TIMED_OUT, "did not end within 4 s"),
    "test_ssh_server_ends": (FAILED, "the guest runs on, but its SSH server is gone"),
    "test_init_dies": (CRASHED, "Kernel panic: Attempted to kill init! exitcode=0x"),
    "test_powers_off": (CRASHED, "the guest powered itself off"),
    "test_resets": (CRASHED, "the guest reset itself without a word"),
    "test_qemu_is_killed": (LOST, "QEMU ended with status -9, which is not the guest's doing"),
    "test_qemu_is_killed_at_the_end": (LOST, "QEMU ended with status -9"),
    "test_qemu_is_stopped": (LOST, "QEMU itself does not answer"),
    "test_python_loops": (TIMED_OUT, "did not end within 2 s; it was in test_python_loops() at"),
    "test_python_takes_no_hint": (TIMED_OUT, "did not end within 2 s"),
    "test_a_command_blocks": (TIMED_OUT, "did not end within 2 s"),
    "test_a_fixture_blocks_at_its_end": (TIMED_OUT, "it was in blocking() at"),
    "test_a_fixture_warns_at_its_end": (CRASHED, "WARNING in testbed_warn_set"),
    "test_it_warns_and_passes": (CRASHED, "WARNING in testbed_warn_set"),
    "test_it_warns_and_fails": (CRASHED, "WARNING in testbed_warn_set"),
    "test_it_taints_and_passes": (FAILED, "the test tainted the kernel"),
    "global.overruns": (TIMED_OUT, "did not end within 2 s"),
    "global.spins": (TIMED_OUT, "did not end within 4 s"),
    "global.warns": (CRASHED, "WARNING in testbed_warn_set"),
    "global.taints": (FAILED, "new: bit 6"),
}
OTHERS = {"boot", "global.after_overruns", "global.after_spins", "global.after_taints"}
TIMEOUTS_S = {
    name: 4 if "spin" in name else 2 for name in EXPECTED if EXPECTED[name][0] is TIMED_OUT
}


@pytest.fixture(scope="module")
def broken(store: Store) -> Kernel:
    return build_broken(store)


@pytest.fixture(scope="module")
def machine(
    broken: Kernel, image: GuestImage, accel: Accel, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    folder = tmp_path_factory.mktemp("image")
    (folder / "breaking").mkdir()
    (folder / "breaking/cases.c").write_text(C_TEST)
    extended = extend_image(folder, image, broken, "breaking/cases.c")
    return Machine(kernel=broken, image=extended, accel=accel)


@pytest.fixture(scope="module")
def run(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> SuiteRun:
    parts = [text + NEXT.format(name=name) for name, text in PYTHON.items()]
    files = {
        "breaking/cases.c": C_TEST,
        "test_even.py": HEAD + "\n".join(parts[::2]),
        "test_odd.py": HEAD + "\n".join(parts[1::2]),
    }
    folder = tmp_path_factory.mktemp("hangs")
    return run_suite(folder, files, machine, options=("-n", "2", "--dist", "loadfile"))


def describe(result: TestResult) -> str:
    return f"{result.verdict}: {result.message}"


@pytest.mark.parametrize("name", EXPECTED)
def test_each_misbehaviour_has_its_verdict_and_its_reason(run: SuiteRun, name: str) -> None:
    verdict, words = EXPECTED[name]
    result = run.results[name]
    assert result.verdict is verdict, describe(result)
    assert words in result.message
    if verdict is CRASHED:
        assert result.crash is not None
        assert result.crash.title.startswith(words)


def test_the_next_test_passes_in_a_fresh_guest(run: SuiteRun) -> None:
    others = {f"test_after_{name}" for name in PYTHON} | OTHERS
    assert set(run.results) == others | set(EXPECTED)
    bad = {name: describe(r) for name, r in run.results.items() if r.verdict is not Verdict.PASSED}
    assert bad.keys() == EXPECTED.keys(), bad


@pytest.mark.parametrize("name", EXPECTED)
def test_none_outlives_its_deadline_by_much(run: SuiteRun, name: str) -> None:
    # What is seen at once, such as the death of QEMU, does not even come near its deadline.
    assert run.times_s[name] <= TIMEOUTS_S.get(name, 0) + BOUND_S


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_all_cpus_spin", ("sysrq wtmlh: no answer", "NMI: the guest ended", "testbed_spin+")),
        ("test_cpu_0_spins", ("testbed_spin+",)),
        ("test_cpu_1_spins", ("testbed_spin+",)),
        ("test_qemu_is_stopped", ("QEMU does not answer", "State:\tT (stopped)")),
        ("test_a_command_blocks", ("sysrq wtmlh: answered", "task:sleep", "Mem-Info")),
        ("global.overruns", ("sysrq wtmlh: answered", "task:cases")),
        ("global.spins", ("NMI: the guest ended", "testbed_spin+")),
    ],
)
def test_the_dump_says_where_it_hung(run: SuiteRun, name: str, words: tuple[str, ...]) -> None:
    dump = run.read_dump(name)
    assert [word for word in words if word not in dump] == []


def test_a_dump_has_the_registers_of_all_cpus(run: SuiteRun) -> None:
    dump = run.read_dump("test_all_cpus_spin")
    assert dump.count("RIP=ffffffff") == 2


def test_logs_that_are_named_are_there(run: SuiteRun) -> None:
    logs = [log.path for result in run.results.values() for log in result.logs]
    assert [path for path in logs if not (run.logs / path).stat().st_size] == []
