"""Debuggers on real guests: vmcores of crashes and hangs, gdb on a case that is run again."""

import contextlib
import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from testbed.core.record import CellRecord
from testbed.core.topology import Topology
from testbed.errors import GuestLostError
from testbed.host import catalog, debugger, proc
from testbed.host.accel import Accel, read_qemu_version
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage
from testbed.host.guest_result import GuestTimeoutError
from testbed.host.qemu import BootRequest
from testbed.host.snapshot import SavedState, Snapshots, name_parts
from testbed.host.store import Store
from testbed.host.vm import Vm
from testbed.host.vmcore import MAX_KEPT, VmcoreKeeper
from testbed.host.vmlinux import make_vmcoreinfo
from testbed.pipeline.debug import Tool, choose_tool, find_target, open_gdb
from testbed.tests.unit.records import make_cell, make_run, make_test
from testbed.tests.unit.test_debug_target import write_run

TOPOLOGY: Final = "two-nodes"
CASE: Final = "migrate/migrate_pages.c::migrate_pages.one_to_one"
CRASH: Final = "echo c > /proc/sysrq-trigger"
# In the guest's memory alone: the command that puts it there does not hold it in one piece.
WORDS: Final = b"kept in the guest's memory: 8b1ed84c"
PUT_WORDS: Final = "printf 'kept in %s memory: 8b1%s' \"the guest's\" ed84c > /dev/shm/words; "

Restore = Callable[[], Vm]


@pytest.fixture
def restore(
    store: Store, kernel: Kernel, image: GuestImage, accel: Accel, tmp_path: Path
) -> Iterator[Restore]:
    request = BootRequest(
        kernel=kernel.image,
        initrd=image.initrd,
        topology=catalog.load_topology(TOPOLOGY),
        accel=accel.name,
        log_dir=tmp_path / "logs",
    )
    parts = name_parts(image=image.key, qemu_version=read_qemu_version(), accel=accel.name)
    snapshots = Snapshots(store, request, parts=parts, say=print)
    with contextlib.ExitStack() as stack:

        def restore_one() -> Vm:
            state = snapshots.get()
            assert isinstance(state, SavedState), state
            vm = snapshots.restore(state, log_name="vm")
            stack.callback(vm.close)
            return vm

        yield restore_one


class Kdump:
    """A kdump file, as crash(8) and drgn read it (makedumpfile's diskdump_mod.h)."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.signature = self.data[:8]
        names = [self.data[12 + n * 65 :][:65].rstrip(b"\0").decode() for n in range(5)]
        self.sysname, _, self.release, self.version, self.machine = names
        numbers = struct.unpack_from("<10I", self.data, 424)
        _status, self.block_bytes, self._sub_blocks, self._bitmap_blocks = numbers[:4]
        self.cpus = numbers[9]

    def pages(self) -> Iterator[bytes]:
        start = (1 + self._sub_blocks) * self.block_bytes
        bitmaps = self.data[start : start + self._bitmap_blocks * self.block_bytes]
        dumped = bitmaps[len(bitmaps) // 2 :]
        at = start + len(bitmaps)
        for _ in range(int.from_bytes(dumped).bit_count()):
            offset, size, flags = struct.unpack_from("<qII", self.data, at)
            at += 24
            page = self.data[offset : offset + size]
            yield zlib.decompress(page) if flags & 1 else page


def check_vmcore(path: Path, kernel: Kernel, topology: Topology) -> None:
    dump = Kdump(path)
    assert (dump.signature, dump.machine) == (b"KDUMP   ", "x86_64")
    assert dump.release == kernel.release
    assert dump.cpus == topology.cpus
    pages = list(dump.pages())
    assert len(pages) > topology.boot_memory_mib * 256 * 0.9
    assert all(len(page) == dump.block_bytes for page in pages)
    assert sum(page.startswith(WORDS) for page in pages) == 1


def test_a_crash_leaves_its_memory_and_ends_the_waits(
    restore: Restore, kernel: Kernel, tmp_path: Path
) -> None:
    vm = restore()
    keeper = VmcoreKeeper(vm, tmp_path / "a.vmcore", kernel=kernel.image)
    with pytest.raises(GuestLostError):
        vm.port.run(PUT_WORDS + CRASH, timeout_s=60)
    vm.settle()
    assert [crash.title for crash in vm.crashes()] == ["Kernel panic: sysrq triggered crash"]
    assert vm.own_end == "guest-reset"
    path = keeper.take()
    assert path is not None, keeper.problem
    keeper.close()
    check_vmcore(path, kernel, vm.topology)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.vmcore", "logs"]


def test_a_guest_that_hangs_is_stopped_for_its_memory(
    restore: Restore, kernel: Kernel, tmp_path: Path
) -> None:
    vm = restore()
    keeper = VmcoreKeeper(vm, tmp_path / "a.vmcore", kernel=kernel.image)
    with pytest.raises(GuestTimeoutError):
        vm.port.run(PUT_WORDS + "cat /dev/zero > /dev/null", timeout_s=1)
    path = keeper.take()
    assert path is not None, keeper.problem
    check_vmcore(path, kernel, vm.topology)
    assert vm.qmp.execute("query-status")["running"] is False
    keeper.close()


def test_where_no_vmcore_can_be_the_crash_is_seen_all_the_same(
    restore: Restore, kernel: Kernel, tmp_path: Path
) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    for number in range(MAX_KEPT):
        (folder / f"{number}.vmcore").touch()
    vm = restore()
    keeper = VmcoreKeeper(vm, folder / "a.vmcore", kernel=kernel.image)
    with pytest.raises(GuestLostError):
        vm.port.run(CRASH, timeout_s=60)
    vm.settle()
    assert len(vm.crashes()) == 1
    assert keeper.take() is None
    assert keeper.problem == (
        f"no vmcore: {folder} has {MAX_KEPT} already, which is as many as are kept"
    )
    keeper.close()


def test_a_keeper_whose_guest_is_fine_ends_with_it(
    restore: Restore, kernel: Kernel, tmp_path: Path
) -> None:
    vm = restore()
    keeper = VmcoreKeeper(vm, tmp_path / "a.vmcore", kernel=kernel.image)
    assert vm.run("echo fine").stdout == "fine\n"
    keeper.close()
    assert keeper.take() is None
    assert not list(tmp_path.glob("*.vmcore"))


def test_the_memory_of_an_earlier_guest_stays(
    restore: Restore, kernel: Kernel, tmp_path: Path
) -> None:
    earlier = tmp_path / "a.vmcore"
    earlier.write_text("earlier")
    vm = restore()
    keeper = VmcoreKeeper(vm, earlier, kernel=kernel.image)
    assert keeper.take() == tmp_path / "a.2.vmcore"
    keeper.close()
    assert earlier.read_text() == "earlier"


def test_the_boot_is_debugged_from_its_first_function(
    store: Store,
    kernel: Kernel,
    image: GuestImage,
    accel: Accel,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cell = make_cell([make_test("boot")], topology=TOPOLOGY)
    record = make_run([_on_kernel(cell, kernel)])
    record = replace(record, host=replace(record.host, accel=accel.name))
    write_run(tmp_path / "runs/r1", record, image=image.key)
    target = find_target(tmp_path / "runs", "r1", "boot", cell="", store=store)
    status = open_gdb(
        target, ["--batch", "-ex", "bt"], break_at=["start_kernel"], store=store, say=print
    )
    assert re.search(r"^#0 .* in start_kernel \(\)$", capfd.readouterr().out, re.MULTILINE)
    assert status == 0


def test_drgn_reads_the_memory_by_the_kernels_own_names(
    restore: Restore, kernel: Kernel, tmp_path: Path
) -> None:
    vm = restore()
    keeper = VmcoreKeeper(vm, tmp_path / "a.vmcore", kernel=kernel.image)
    with pytest.raises(GuestLostError):
        vm.port.run(CRASH, timeout_s=60)
    vmcore = keeper.take()
    assert vmcore is not None, keeper.problem
    keeper.close()
    symbols = proc.run(["nm", str(kernel.vmlinux)]).output
    (banner,) = [line.split()[0] for line in symbols.splitlines() if line.endswith(" linux_banner")]
    info = tmp_path / "vmcoreinfo"
    info.write_text(make_vmcoreinfo(kernel.vmlinux, release=kernel.release))
    argv = debugger.build_drgn_argv(
        debugger.find_drgn(),
        vmcore=vmcore,
        vmlinux=kernel.vmlinux,
        vmcoreinfo=info,
        args=["-q", "-e", f"print(prog.read(0x{banner}, 32))"],
    )
    assert f"b'Linux version {kernel.release} " in proc.run(argv).output


def test_gdb_shows_the_way_to_a_panic(restore: Restore, kernel: Kernel) -> None:
    vm = restore()
    vm.qmp.execute("stop")
    with debugger.serve_gdb(vm.qmp) as stub:
        assert stub.parent.stat().st_mode & 0o777 == 0o700
        break_at = ["sysrq_handle_crash"]
        # The port's far end is the guest's shell: it reads this when gdb lets it run.
        vm.port._connection.sendall(f"{CRASH}\n".encode())  # noqa: SLF001 - a command without end
        args = ["--batch", "-ex", "continue", "-ex", "bt"]
        argv = debugger.build_gdb_argv(
            vmlinux=kernel.vmlinux, stub=stub, break_at=break_at, args=args
        )
        said = proc.run(argv, check=False, timeout_s=60).output
    way = ["panic", "sysrq_handle_crash", "__handle_sysrq", "write_sysrq_trigger"]
    way += ["proc_reg_write", "vfs_write", "ksys_write", "do_syscall_64"]
    frames = [line.split() for line in said.splitlines() if line.startswith("#")]
    assert [words[3] for words in frames[: len(way)]] == way, said
    assert not stub.exists()


def test_a_case_of_a_run_is_debugged_from_the_function_that_matters(
    store: Store,
    kernel: Kernel,
    image: GuestImage,
    accel: Accel,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    cell = make_cell([make_test(CASE)], topology=TOPOLOGY)
    record = make_run([_on_kernel(cell, kernel)])
    record = replace(record, host=replace(record.host, accel=accel.name))
    write_run(tmp_path / "runs/r1", record, image=image.key)
    target = find_target(tmp_path / "runs", "r1", "one_to_one", cell="", store=store)
    assert choose_tool(target, None) is Tool.GDB
    said = io.StringIO()
    status = open_gdb(
        target,
        ["--batch", "-ex", "bt", "-ex", "delete", "-ex", "continue"],
        break_at=["migrate_pages_batch"],
        store=store,
        say=lambda line: print(line, file=said),
    )
    out = capfd.readouterr().out
    way = re.findall(r"^#\d+ +0x\w+ in (\w+) \(\)$", out, re.MULTILINE)
    assert way[0] == "migrate_pages_batch"
    assert way[way.index("do_migrate_pages") :][1:3] == ["__x64_sys_migrate_pages", "do_syscall_64"]
    assert "SIGINT" in out  # the case has ended
    assert status == 0
    logs = Path(said.getvalue().removeprefix("logs: ").partition(";")[0])
    assert "ok 1 migrate_pages.one_to_one" in (logs / "transcript.log").read_text()


def _on_kernel(cell: CellRecord, kernel: Kernel) -> CellRecord:
    return replace(cell, kernel=replace(cell.kernel, key=kernel.key, release=kernel.release))
