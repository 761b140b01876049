"""From a test in a record to a debugger on it, or to the same test once more.

drgn opens the vmcore that a crash has left. gdb is for what can be run again without pytest: a C
case, in a guest restored from the same state, or the boot itself.
"""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from testbed.core.case_command import make_case_command
from testbed.core.events import BOOT_TEST
from testbed.core.find_test import FoundTest, find_test
from testbed.core.kasan_shadow import make_room_for_shadow
from testbed.core.plan import Mode
from testbed.core.record import Role, RunRecord, load_record
from testbed.core.request import RunRequest, parse_request
from testbed.core.slowness import find_slowness
from testbed.core.topology import Topology
from testbed.errors import TestbedError, UserError
from testbed.host import catalog, debugger, qemu
from testbed.host.accel import read_qemu_version
from testbed.host.admission import open_admission
from testbed.host.boot import BootFailure
from testbed.host.cells import CellJob, build_pytest_argv
from testbed.host.guest_image import GuestImage, load_guest_image
from testbed.host.guest_result import GuestOutputError, GuestTimeoutError
from testbed.host.kernel import KernelFiles, find_kernel_files
from testbed.host.qemu import BootRequest
from testbed.host.run_dir import LATEST, RECORD_FILE, REQUEST_FILE
from testbed.host.snapshot import Snapshots, name_parts
from testbed.host.store import Store
from testbed.host.vm import Vm
from testbed.host.vmlinux import has_debug_info, is_placed_at_random, make_vmcoreinfo
from testbed.pipeline.kernels import load_stack

VMCORE_LOG: Final = "vmcore"
TRANSCRIPT: Final = "transcript.log"
_FOREVER_S: Final = 1e6  # a debugger has all the time that its user has
_LIMIT_BYTES: Final = 64 << 20


class Tool(StrEnum):
    """What to debug with."""

    GDB = "gdb"
    DRGN = "drgn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A test of a run, with what it ran on, as far as the cache still has it.

    ``workdir`` is what relative names in the run's plan start at; ``vmcore`` is None where the
    test left none; ``features`` are those of the kernel's series.
    """

    run: Path
    found: FoundTest
    mode: Mode
    seed: int
    accel: str
    workdir: Path
    kernel: KernelFiles
    image: GuestImage
    features: tuple[str, ...]
    vmcore: Path | None

    @property
    def program(self) -> tuple[str, str] | None:
        """The path in the guest and the case's name, for a C test; None for any other."""
        file, separator, case = self.found.test.id.partition(".c::")
        return (f"/tests/{file}", case) if separator else None

    @property
    def kconfig(self) -> frozenset[str] | None:
        """The options of the kernel that are on; None where it came without its configuration."""
        config = self.kernel.config
        return catalog.read_enabled_options(config) if config.is_file() else None

    @property
    def slowness(self) -> int:
        """How many times as long as on a plain kernel the test may take."""
        return find_slowness(self.kconfig)


def find_target(runs_dir: Path, run: str, test: str, *, cell: str, store: Store) -> Target:
    """Return the test that the user names; raises :class:`UserError` where it is not there.

    ``run`` is ``latest``, a folder, or an id below ``runs_dir``; see :func:`find_test`.
    """
    folder = _find_run(runs_dir, run)
    record = _load(folder)
    found = find_test(record, test, cell=cell)
    request_file = folder / REQUEST_FILE
    saved = parse_request(request_file.read_text(encoding="utf-8"), filename=str(request_file))
    kernel = _find_entry(store, "kernels", found.cell.kernel.key)
    image = _find_entry(store, "guest-images", saved.footing.get("guest image", "unknown"))
    vmcores = [log.path for log in found.test.logs if log.kind == VMCORE_LOG]
    return Target(
        run=folder,
        found=found,
        mode=saved.request.plan.mode,
        seed=saved.request.plan.seed,
        accel=record.host.accel,
        workdir=Path(saved.request.workdir),
        kernel=find_kernel_files(kernel),
        image=load_guest_image(image),
        features=_list_features(saved.request, found),
        vmcore=folder / vmcores[0] if vmcores else None,
    )


def choose_tool(target: Target, asked: Tool | None) -> Tool:
    """Return the debugger that can do something for ``target``.

    Raises :class:`UserError` where ``asked``, or any, cannot, with what to do instead.
    """
    is_rerunnable = target.program is not None or target.found.test.id == BOOT_TEST
    if not target.kernel.vmlinux.is_file():
        raise UserError(
            f"{target.kernel.vmlinux} is missing: this kernel was built before its symbols were "
            "kept: remove its folder from the cache and run the plan again"
        )
    if is_placed_at_random(target.kernel.config):
        raise UserError(
            "this kernel picks its address at boot, so that no debugger finds its symbols: "
            "add a fragment with `# CONFIG_RANDOMIZE_BASE is not set` to the plan"
        )
    why_not_drgn = _explain_no_drgn(target)
    if asked is Tool.DRGN and why_not_drgn:
        raise UserError(why_not_drgn)
    if asked is Tool.DRGN or (asked is None and not why_not_drgn):
        return Tool.DRGN
    if not is_rerunnable:
        raise UserError(
            f"{target.found.test.id} is driven from the host by pytest: gdb can run only C cases "
            f"and the boot again. {why_not_drgn}"
        )
    return Tool.GDB


def open_drgn(target: Target, args: Sequence[str]) -> int:
    """Open the vmcore of ``target`` on the terminal; drgn's status."""
    if target.vmcore is None:
        raise UserError(_explain_no_drgn(target))
    drgn = debugger.find_drgn()
    release = target.found.cell.kernel.release
    with tempfile.NamedTemporaryFile("w", prefix="testbed-vmcoreinfo-") as info:
        info.write(make_vmcoreinfo(target.kernel.vmlinux, release=release))
        info.flush()
        argv = debugger.build_drgn_argv(
            drgn,
            vmcore=target.vmcore,
            vmlinux=target.kernel.vmlinux,
            vmcoreinfo=Path(info.name),
            args=args,
        )
        return debugger.run_debugger(argv)


def open_gdb(
    target: Target,
    args: Sequence[str],
    *,
    break_at: Sequence[str],
    store: Store,
    say: Callable[[str], None],
) -> int:
    """Run ``target`` again with gdb on the terminal, stopped where it first matters; gdb's status.

    The guest stops in panic(), at a warning, at a function of ``break_at``, or when the case has
    ended, which gdb shows as SIGINT.
    """
    debugger.find_gdb()
    log_dir = Path(tempfile.mkdtemp(prefix="testbed-debug-"))
    say(f"logs: {log_dir}; the guest stops at a panic, at a warning, or when the test has ended")
    topology = load_topology(target)
    request = BootRequest(
        kernel=target.kernel.image,
        initrd=target.image.initrd,
        topology=topology,
        accel=target.accel,
        log_dir=log_dir,
        admission=open_admission(store.root, say=say),
        slowness=target.slowness,
    )
    vm, work = _start(target, request, store=store, say=say)
    try:
        vm.qmp.execute("set-action", shutdown="pause")  # a guest that ends can be looked at
        vm.qmp.execute("stop")
        with _working(vm, work, log_dir / TRANSCRIPT), debugger.serve_gdb(vm.qmp) as stub:
            argv = debugger.build_gdb_argv(
                vmlinux=target.kernel.vmlinux, stub=stub, break_at=break_at, args=args
            )
            return debugger.run_debugger(argv)
    finally:
        vm.close()


def load_topology(target: Target) -> Topology:
    """Return the machine that the test ran on."""
    with contextlib.chdir(target.workdir):  # a topology may be a relative path
        topology = catalog.load_topology(target.found.cell.topology)
    return make_room_for_shadow(topology, target.kconfig)


def build_replay_argv(target: Target, *, log_dir: Path) -> tuple[str, ...]:
    """Return the pytest command line that runs the test once more, judged as in the run.

    In a restored guest of the same kernel, image and machine. Raises :class:`UserError` for the
    boot, which is no test of pytest's.
    """
    cell = target.found.cell
    if target.found.test.id == BOOT_TEST:
        raise UserError(
            f"the boot is run again by `testbed boot --kernel {target.kernel.image} "
            f"-t {cell.topology}`"
        )
    topology = target.workdir / cell.topology
    job = CellJob(
        name=cell.name,
        folder=log_dir,
        kernel=target.kernel.image,
        kernel_config=target.kernel.config,
        image=target.image,
        topology=str(topology) if topology.is_file() else cell.topology,
        accel=target.accel,
        features=target.features,
        tests=(target.found.test.id,),
        select="",
        mode=target.mode,
        seed=target.seed,
    )
    return build_pytest_argv(job)


def _find_run(runs_dir: Path, run: str) -> Path:
    for path in (Path(run).absolute(), runs_dir / run):
        if (path / RECORD_FILE).is_file():
            return path.resolve()
        if (path / REQUEST_FILE).is_file():
            raise UserError(
                f"{path} has no {RECORD_FILE} yet: `testbed run --resume {path}` brings the run "
                "to its end"
            )
    raise UserError(
        f"{run!r} is no run: give {LATEST!r}, a folder with a {RECORD_FILE}, or the name of one "
        f"below {runs_dir}"
    )


def _find_entry(store: Store, kind: str, key: str) -> Path:
    entry = store.find(kind, key)
    if entry is None:
        raise UserError(
            f"{kind}/{key}, which this run was made with, is not in the cache {store.root} any "
            "more: run the plan again, then debug the new run"
        )
    return entry


def _load(folder: Path) -> RunRecord:
    try:
        return load_record((folder / RECORD_FILE).read_bytes())
    except ValidationError as err:
        raise UserError(
            f"{folder / RECORD_FILE}: not as this version of the testbed writes it: run the plan "
            "again"
        ) from err


def _list_features(request: RunRequest, found: FoundTest) -> tuple[str, ...]:
    if found.cell.kernel.role is not Role.PATCHED:
        return ()
    with contextlib.chdir(request.workdir):
        stack = load_stack(request.plan)
    return tuple(name for series in stack for name in series.meta.provides)


def _explain_no_drgn(target: Target) -> str:
    """Return why there is nothing for drgn; empty where there is."""
    if target.vmcore is None:
        return (
            f"{target.found.test.id} left no vmcore: `testbed run --vmcore` keeps one of each "
            "test that crashes or hangs"
        )
    if not target.vmcore.is_file():
        return f"{target.vmcore} is not there any more"
    if not has_debug_info(target.kernel.config):
        return (
            f"{target.vmcore} is there, but drgn needs a kernel with debug info: add debug-info "
            "to the plan's kconfig and run it again"
        )
    return ""


def _start(
    target: Target, request: BootRequest, *, store: Store, say: Callable[[str], None]
) -> tuple[Vm, Callable[[Vm], bytes]]:
    """Return a guest and what is to be done in it; for the boot, one that has just begun."""
    if target.program is None:
        vm = Vm(qemu.start(request), request.topology, slowness=request.slowness)
        return vm, _await_boot
    program, case = target.program
    command = make_case_command(program, case, slowness=target.slowness)
    parts = name_parts(image=target.image.key, qemu_version=read_qemu_version(), accel=target.accel)
    snapshots = Snapshots(store, request, parts=parts, say=say)
    state = snapshots.get()
    if isinstance(state, BootFailure):
        raise UserError(f"the kernel does not boot: {state.crash.title}: debug `{BOOT_TEST}`")

    def run_case(vm: Vm) -> bytes:
        return vm.port.run(command, timeout_s=_FOREVER_S, limit_bytes=_LIMIT_BYTES).output

    return snapshots.restore(state, log_name="vm"), run_case


def _await_boot(vm: Vm) -> bytes:
    vm.port.wait_ready(_FOREVER_S)
    return b""


@contextmanager
def _working(vm: Vm, work: Callable[[Vm], bytes], transcript: Path) -> Iterator[None]:
    """Do ``work`` in a thread while the block runs, and stop the guest when it is done.

    The guest does nothing before gdb lets it run. At the end of the block QEMU is ended, and with
    it the work.
    """

    def do_it() -> None:
        try:
            transcript.write_bytes(work(vm))
            vm.qmp.execute("stop")
        except (
            TestbedError,
            GuestTimeoutError,
            GuestOutputError,
        ) as err:  # the guest crashed, or gdb has ended it
            transcript.write_text(f"{err}\n", encoding="utf-8")

    thread = threading.Thread(target=do_it, name="debugged test", daemon=True)
    thread.start()
    try:
        yield
    finally:
        vm.kill()
        thread.join()
