"""Deterministic runs, as far as they need no guest."""

import shlex
from pathlib import Path

import pytest

from testbed.errors import UserError
from testbed.host import catalog
from testbed.host.deterministic import AloneRequest, run_alone, start_alone, write_script


def make_request(tmp_path: Path, **changes: object) -> AloneRequest:
    fields: dict[str, object] = {
        "kernel": tmp_path / "bzImage",
        "initrd": tmp_path / "initrd",
        "topology": catalog.load_topology("two-nodes"),
        "commands": "true",
        "log_dir": tmp_path / "logs",
    }
    return AloneRequest(**{**fields, **changes})  # type: ignore[arg-type]


def test_without_a_seed_the_commands_run_undisturbed() -> None:
    assert write_script("echo 'a b'\n", seed=0) == {"run-at-boot": "echo 'a b'\n"}


def test_with_a_seed_they_run_under_jitter_unchanged() -> None:
    files = write_script("echo 'a b'\n", seed=42)
    words = shlex.split(files.pop("run-at-boot"))
    assert words[:4] == ["exec", "/tools/jitter", "42", "sh"]
    assert files == {words[4].removeprefix("/"): "echo 'a b'\n"}


def test_swap_disks_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    request = make_request(tmp_path, topology=catalog.load_topology("swap"))
    with pytest.raises(UserError, match="mode deterministic: topology swap has swap disks"):
        run_alone(request)
    assert not request.log_dir.exists()


def test_a_folder_for_the_debugger_that_is_not_there_is_the_users_to_mend(tmp_path: Path) -> None:
    for name in ("bzImage", "initrd"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match="no socket for gdb at "):
        start_alone(make_request(tmp_path, gdb=tmp_path / "nowhere/gdb"))
