import importlib.util
from itertools import pairwise
from pathlib import Path

import pytest

from testbed.errors import InfraError
from testbed.host import debugger, proc
from testbed.host.debugger import build_drgn_argv, build_gdb_argv


def test_gdb_runs_on_to_the_first_stop_and_then_takes_the_users_words() -> None:
    argv = build_gdb_argv(
        vmlinux=Path("/k/vmlinux"),
        stub=Path("/t/stub"),
        break_at=["migrate_pages"],
        args=["--batch", "-ex", "bt"],
    )
    assert argv[:4] == ("gdb", "-q", "--batch", "/k/vmlinux")
    commands = [word for option, word in pairwise(argv) if option == "-ex"]
    assert commands[-6:] == [
        "target remote /t/stub",
        "hbreak panic",
        "hbreak __warn",
        "hbreak migrate_pages",
        "continue",
        "bt",
    ]


def test_drgn_looks_for_nothing_elsewhere() -> None:
    argv = build_drgn_argv(
        ["drgn"],
        vmcore=Path("/r/a.vmcore"),
        vmlinux=Path("/k/vmlinux"),
        vmcoreinfo=Path("/t/info"),
        args=["-e", "1"],
    )
    assert argv[:7] == (
        *("drgn", "-c", "/r/a.vmcore", "--vmcoreinfo", "/t/info"),
        *("-s", "/k/vmlinux"),
    )
    assert argv[7:] == ("--no-default-symbols", "-e", "1")


def test_a_debugger_that_is_missing_is_told_with_its_installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find_nothing(name: str) -> Path:
        raise InfraError(f"{name} is not installed")

    def find_no_spec(_name: str) -> None:
        return None

    monkeypatch.setattr(proc, "find_tool", find_nothing)
    monkeypatch.setattr(importlib.util, "find_spec", find_no_spec)
    with pytest.raises(InfraError, match=r"^gdb is not installed: `apt-get install gdb`") as gdb:
        debugger.find_gdb()
    assert gdb.value.exit_code == 69
    with pytest.raises(InfraError, match=r"^drgn is not installed: `.*pip install drgn`"):
        debugger.find_drgn()
