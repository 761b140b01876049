"""What `testbed debug` finds of a run, and what it says where that is not enough."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.core.plan import Plan
from testbed.core.record import RunRecord, dump_record
from testbed.core.request import RunRequest, SavedRun, dump_request
from testbed.core.result import LogFile, TestResult, Verdict
from testbed.errors import UserError
from testbed.host.store import Store
from testbed.pipeline.debug import (
    Target,
    Tool,
    build_replay_argv,
    choose_tool,
    find_target,
    open_drgn,
)
from testbed.tests.unit.records import make_cell, make_run, make_test

C_CASE, PYTHON = "migrate/migrate_pages.c::migrate_pages.pairs_up", "hotplug/test_dimm.py::test_add"
VMCORE = LogFile(kind="vmcore", path="cells/base-one-node/a.vmcore")
PLAN = Plan(kconfig=("base",), topologies=("one-node",), tests=("migrate",))

Prepare = Callable[..., Target]


def with_vmcore(test: TestResult) -> TestResult:
    return replace(test, verdict=Verdict.CRASHED, logs=(*test.logs, VMCORE))


def write_run(folder: Path, record: RunRecord, *, image: str = "i1") -> None:
    folder.mkdir(parents=True)
    request = RunRequest(plan=PLAN, plan_name="p", command=("testbed",), workdir=str(folder))
    saved = SavedRun(
        request=request, started="now", part_began_s=1.0, footing={"guest image": image}
    )
    (folder / "request.json").write_text(dump_request(saved))
    (folder / "record.json").write_text(dump_record(record))


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Make a run with one test and a cache with what it ran on; find the test."""

    def make(test: TestResult, *, config: str = "", has_vmlinux: bool = True) -> Target:
        cell = make_cell([test], topology="one-node")
        write_run(tmp_path / "runs/r1", make_run([cell]))
        vmcore = tmp_path / "runs/r1" / VMCORE.path
        vmcore.parent.mkdir(parents=True)
        vmcore.write_bytes(b"KDUMP")
        kernel = tmp_path / "cache/kernels" / cell.kernel.key
        image = tmp_path / "cache/guest-images/i1"
        for folder in (kernel, image):
            folder.mkdir(parents=True)
        (image / "initrd.cpio").touch()
        (kernel / "config").write_text(config)
        if has_vmlinux:
            (kernel / "vmlinux").touch()
        store = Store(tmp_path / "cache", say=print)
        return find_target(tmp_path / "runs", "r1", test.id, cell="", store=store)

    return make


def test_a_c_case_is_for_gdb(prepare: Prepare) -> None:
    target = prepare(make_test(C_CASE))
    assert target.program == ("/tests/migrate/migrate_pages", "migrate_pages.pairs_up")
    assert target.vmcore is None
    assert choose_tool(target, None) is Tool.GDB
    with pytest.raises(UserError, match=r"left no vmcore: `testbed run --vmcore`"):
        choose_tool(target, Tool.DRGN)
    with pytest.raises(UserError, match="left no vmcore"):
        open_drgn(target, ())


def test_a_vmcore_of_a_kernel_with_debug_info_is_for_drgn(prepare: Prepare, tmp_path: Path) -> None:
    target = prepare(with_vmcore(make_test(PYTHON)), config="CONFIG_DEBUG_INFO=y\n")
    assert target.vmcore == tmp_path / "runs/r1" / VMCORE.path
    assert choose_tool(target, None) is Tool.DRGN
    with pytest.raises(UserError, match="gdb can run only C cases and the boot again"):
        choose_tool(target, Tool.GDB)


def test_a_vmcore_of_a_kernel_without_debug_info_names_the_fragment(prepare: Prepare) -> None:
    target = prepare(with_vmcore(make_test(PYTHON)))
    with pytest.raises(UserError, match="add debug-info to the plan's kconfig"):
        choose_tool(target, None)


def test_a_c_case_with_such_a_vmcore_is_still_for_gdb(prepare: Prepare) -> None:
    target = prepare(with_vmcore(make_test(C_CASE)))
    assert choose_tool(target, None) is Tool.GDB


def test_a_vmcore_that_was_removed_is_missed(prepare: Prepare) -> None:
    target = prepare(with_vmcore(make_test(PYTHON)), config="CONFIG_DEBUG_INFO=y\n")
    assert target.vmcore is not None
    target.vmcore.unlink()
    with pytest.raises(UserError, match="is not there any more"):
        choose_tool(target, Tool.DRGN)


def test_the_boot_is_run_again_by_gdb(prepare: Prepare) -> None:
    target = prepare(make_test("boot"))
    assert choose_tool(target, None) is Tool.GDB
    with pytest.raises(UserError, match=r"testbed boot --kernel .*/bzImage -t one-node"):
        build_replay_argv(target, log_dir=Path("/logs"))


def test_symbols_must_be_there_and_where_they_say(prepare: Prepare) -> None:
    moved = prepare(make_test(C_CASE), config="CONFIG_RANDOMIZE_BASE=y\n", has_vmlinux=True)
    with pytest.raises(UserError, match="# CONFIG_RANDOMIZE_BASE is not set"):
        choose_tool(moved, None)
    moved.kernel.vmlinux.unlink()
    with pytest.raises(UserError, match="before its symbols were kept"):
        choose_tool(moved, None)


def test_a_replay_runs_that_test_alone(prepare: Prepare) -> None:
    target = prepare(make_test(PYTHON))
    argv = build_replay_argv(target, log_dir=Path("/logs"))
    assert argv[-1].endswith(f"guest-tests/{PYTHON}")
    options = dict(zip(argv[5::2], argv[6::2], strict=False))
    assert options["--kernel"] == str(target.kernel.image)
    assert options["--topology"] == "one-node"
    assert options["--log-dir"] == "/logs"


def test_what_the_cache_has_forgotten_is_told(prepare: Prepare, tmp_path: Path) -> None:
    prepare(make_test(C_CASE))
    empty = Store(tmp_path / "other", say=print)
    with pytest.raises(UserError, match=r"kernels/\w+, which this run was made with, is not in"):
        find_target(tmp_path / "runs", "r1", C_CASE, cell="", store=empty)


def test_a_run_must_be_there_and_at_its_end(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", say=print)
    with pytest.raises(UserError, match=r"'r1' is no run: give 'latest', a folder"):
        find_target(tmp_path / "runs", "r1", "x", cell="", store=store)
    write_run(tmp_path / "runs/r1", make_run([]))
    (tmp_path / "runs/r1/record.json").write_text("{}")
    with pytest.raises(UserError, match="not as this version of the testbed writes it"):
        find_target(tmp_path / "runs", "r1", "x", cell="", store=store)
    (tmp_path / "runs/r1/record.json").unlink()
    with pytest.raises(UserError, match=r"`testbed run --resume .*/r1` brings"):
        find_target(tmp_path / "runs", "r1", "x", cell="", store=store)
