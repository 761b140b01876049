import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from testbed.host.facts import (
    count_cores,
    read_available_mib,
    read_boot_id,
    read_memory_limit_mib,
    read_total_mib,
)

MIB = 1024 * 1024


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path / "proc"


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


def limit(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text + "\n")


def test_a_machine_has_no_less_memory_than_is_available() -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    assert read_total_mib() == os.sysconf("SC_PHYS_PAGES") * page // MIB
    assert 0 < read_available_mib() <= read_total_mib()


def test_only_the_cpus_that_a_process_may_run_on_are_counted() -> None:
    code = (
        "import os; from testbed.host.facts import count_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(count_cores())"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert printed.stdout == b"1\n"
    assert count_cores() >= 1


def test_the_boot_id_is_a_uuid_that_stays() -> None:
    assert str(UUID(read_boot_id())) == read_boot_id()


def test_the_least_limit_above_a_process_holds(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text("0::/user.slice/job/leaf\n")
    limit(cgroups / "user.slice/job/leaf", "memory.max", "max")
    limit(cgroups / "user.slice/job", "memory.max", str(3000 * MIB))
    limit(cgroups / "user.slice", "memory.max", str(4000 * MIB))
    assert read_memory_limit_mib(proc, cgroups) == 3000


def test_a_limit_of_cgroup_v1_holds_also_at_the_top_of_a_container(
    proc: Path, cgroups: Path
) -> None:
    (proc / "self/cgroup").write_text("4:cpu,memory:/docker/of-the-host\n1:pids:/a\n0::/\n")
    limit(cgroups / "memory", "memory.limit_in_bytes", str(512 * MIB))
    limit(cgroups / "pids", "memory.limit_in_bytes", "1")
    assert read_memory_limit_mib(proc, cgroups) == 512


def test_without_a_limit_there_is_none(proc: Path, cgroups: Path) -> None:
    (proc / "self/cgroup").write_text("0::/\n")
    assert read_memory_limit_mib(proc, cgroups) is None
    limit(cgroups, "memory.max", "max")
    assert read_memory_limit_mib(proc, cgroups) is None
