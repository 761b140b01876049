"""The cell under test: one kernel on one topology, and the guests that its tests get.

Every test gets a guest of its own, restored from the state that one boot was saved in, unless it
asks for another: a cold boot, or one guest for all tests of its file. What a test does to its guest
thus never reaches another test. A kernel that does not boot is not tried again.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from testbed.core.events import (
    BOOT_TEST,
    Booted,
    BootFailed,
    Event,
    Finished,
    dump_event,
)
from testbed.core.needs import Start
from testbed.core.plan import Mode
from testbed.core.result import Crash, LogFile, TestResult, Verdict
from testbed.core.slowness import find_slowness
from testbed.core.topology import Topology
from testbed.errors import InfraError
from testbed.host.admission import Admission, open_admission
from testbed.host.boot import BootFailure, boot, find_guest_fault
from testbed.host.gcov import COUNTERS_DIR, Counters
from testbed.host.guest_image import GuestImage
from testbed.host.guest_result import GUEST_FAULTS
from testbed.host.qemu import BootRequest
from testbed.host.snapshot import (
    RestoredCrashError,
    SavedState,
    Snapshots,
    StateUnusableError,
    name_parts,
)
from testbed.host.store import Store, write_atomically
from testbed.host.vm import Vm
from testbed.host.vmcore import SUFFIX, VmcoreKeeper

_BOOT_LOG: Final = "vm-boot"
_FAILURE_FILE: Final = "boot-failed.json"
_CRASH: Final[TypeAdapter[Crash]] = TypeAdapter(Crash)


class CellBootFailedError(Exception):
    """The kernel did not boot on this cell; every test of it ends as ``boot_failed``."""

    def __init__(self, crash: Crash) -> None:
        self.crash = crash
        super().__init__(crash.title)


class KernelCrashedError(AssertionError):
    """The console shows a splat that the test brought about."""

    def __init__(self, crash: Crash) -> None:
        self.crash = crash
        super().__init__(f"{crash.title}\n{crash.excerpt}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellConfig:
    """What to boot and what it offers.

    ``kconfig`` holds the names of the options that are on, without ``CONFIG_``, or is None where
    the kernel came without its configuration.
    """

    kernel: Path
    image: GuestImage
    topology: Topology
    accel: str
    qemu_version: str
    log_dir: Path
    features: frozenset[str] = frozenset()
    kconfig: frozenset[str] | None = None
    mode: Mode = "normal"
    seed: int = 0
    keeps_vmcore: bool = False
    gcov: tuple[str, ...] = ()

    @property
    def slowness(self) -> int:
        """How many times as long as on a plain kernel a test may take."""
        return find_slowness(self.kconfig)


@dataclass(slots=True)
class EventSink:
    """Appends events to the cell's file; ``wake`` is a FIFO whose reader follows the file."""

    path: Path
    wake: Path | None = None

    def emit(self, event: Event) -> None:
        """Write ``event``; when this returns it survives a kill of the testbed."""
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(fd, dump_event(event).encode())
        finally:
            os.close(fd)
        if self.wake is not None:
            self._knock(self.wake)

    def _knock(self, wake: Path) -> None:
        try:
            fd = os.open(wake, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # nobody reads: the file has it all
            return
        try:
            os.write(fd, b"\0")
        except BlockingIOError:  # the reader has been woken often enough
            pass
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The guest that a test asks for; tests of one ``owner`` share it."""

    owner: str
    log_name: str
    start: Start = Start.RESTORED


@dataclass(slots=True)
class Cell:
    """Gives guests to the tests of one cell, one at a time."""

    config: CellConfig
    sink: EventSink
    store: Store
    say: Callable[[str], None]
    admission: Admission = field(init=False)
    _snapshots: Snapshots = field(init=False)
    _state: SavedState | None = None
    _vm: Vm | None = None
    is_expired: bool = False
    """Whether the running guest is not to be used for another test."""
    _keeper: VmcoreKeeper | None = None
    _owner: str = ""
    _log_name: str = ""
    _seen_crashes: int = 0
    _boot_taint: int = 0
    _failure: Crash | None = None

    def __post_init__(self) -> None:
        self.admission = open_admission(self.store.root, say=self.say)
        parts = name_parts(
            image=self.config.image.key,
            qemu_version=self.config.qemu_version,
            accel=self.config.accel,
        )
        self._snapshots = Snapshots(self.store, self._request(_BOOT_LOG), parts=parts, say=self.say)

    def announce_boot(self, *, is_reported: bool) -> None:
        """Boot, or find the state of an earlier boot, and tell how that went.

        One process of a cell calls this before any test is run; the others learn of a failure from
        the file that it leaves. ``is_reported`` says that an earlier part of the run has told it.
        """
        self.forget_failure()
        try:
            outcome = self._snapshots.get()
        except InfraError as err:  # each test will say so too: none is lost without a word
            lost = TestResult(id=BOOT_TEST, verdict=Verdict.LOST, seconds=0.0, message=str(err))
            self.sink.emit(Finished(result=lost))
            return
        if isinstance(outcome, BootFailure):
            self.note_failure(outcome.crash)
            return
        self._state = outcome
        console = f"{_BOOT_LOG}.console.log"
        with contextlib.suppress(FileNotFoundError):  # another run has just removed the state
            shutil.copyfile(outcome.console, self.config.log_dir / console)
        if not is_reported:
            self.sink.emit(Booted(seconds=outcome.boot_seconds))
            crash = next(iter(outcome.crashes), None)
            result = judge_boot(crash, seconds=outcome.boot_seconds, console=console)
            self.sink.emit(Finished(result=result))

    def lend_vm(self, wish: Wish) -> Vm:
        """Return a guest for ``wish``. Raises :class:`CellBootFailedError`."""
        if self._vm is not None and self._owner != wish.owner:
            self.discard_vm()
        if self._vm is None:
            self._vm = self._start(wish)
            self._owner, self._log_name = wish.owner, wish.log_name
            if self.config.keeps_vmcore:
                path = self.config.log_dir / f"{wish.log_name}{SUFFIX}"
                self._keeper = VmcoreKeeper(self._vm, path, kernel=self.config.kernel)
        return self._vm

    @property
    def running_vm(self) -> Vm | None:
        """The running guest, if there is one."""
        return self._vm

    @property
    def console_log(self) -> str:
        """The name of the running guest's console log, relative to the cell's log folder."""
        return f"{self._log_name}.console.log"

    def take_new_crash(self) -> Crash | None:
        """Return the first crash since this was last asked, if any."""
        if self._vm is None:
            return None
        crashes = self._vm.crashes()
        fresh = crashes[self._seen_crashes :]
        self._seen_crashes = len(crashes)
        return fresh[0] if fresh else None

    @property
    def boot_taint(self) -> int:
        """The taint bits that the running guest's kernel had when it had booted."""
        return self._boot_taint

    @property
    def is_deterministic(self) -> bool:
        """Whether each test has a boot of its own, to which nothing is said."""
        return self.config.mode == "deterministic"

    def read_failure(self) -> Crash | None:
        """Return why the kernel does not boot, where some process of the cell found that out."""
        try:
            return _CRASH.validate_json(self._failure_file.read_bytes())
        except FileNotFoundError:
            return None

    def forget_failure(self) -> None:
        """Forget what an earlier run in this folder, or a part of this one, found out."""
        self._failure_file.unlink(missing_ok=True)

    def note_failure(self, crash: Crash) -> CellBootFailedError:
        """Tell that the kernel does not boot, to the user and to the cell's other processes."""
        self._failure = crash
        write_atomically(self._failure_file, _CRASH.dump_json(crash).decode())
        self.sink.emit(BootFailed(crash=crash))
        return CellBootFailedError(crash)

    def add_counters(self, process: str) -> None:
        """Add the guest's gcov counters to those of ``process``; a guest that is gone has none."""
        if not self.config.gcov or self._vm is None:
            return
        counters = Counters(
            folder=self.config.log_dir / COUNTERS_DIR / process, paths=self.config.gcov
        )
        try:
            counters.add(self._vm.port)
        except (InfraError, *GUEST_FAULTS) as err:
            self.say(f"{self._log_name}: its gcov counters are missing: {err}")

    def take_vmcore(self) -> str:
        """Return the name of the guest's vmcore, empty without one; the guest is done with then."""
        if self._keeper is None:
            return ""
        path = self._keeper.take()
        if path is None:
            self.say(self._keeper.problem)
        return path.name if path else ""

    def discard_vm(self) -> None:
        """End the guest: the next test gets a fresh one."""
        self.is_expired = False
        if self._vm is not None:
            vm, self._vm = self._vm, None
            keeper, self._keeper = self._keeper, None
            try:
                if keeper is not None:
                    keeper.close()
            finally:
                vm.close()
            if vm.console.log_gap:
                self.say(f"{self.console_log}: {vm.console.log_gap}")

    def _start(self, wish: Wish) -> Vm:
        failure = self._failure or self.read_failure()
        if failure is not None:
            raise CellBootFailedError(failure)
        self._seen_crashes = 0
        if wish.start is Start.COLD:
            return self._boot(wish.log_name)
        state = self._get_state()
        try:
            vm, state = self._restore(state, wish.log_name)
        except RestoredCrashError as err:
            raise KernelCrashedError(err.crash) from err
        self._boot_taint = state.taint
        return vm

    def _restore(self, state: SavedState, log_name: str) -> tuple[Vm, SavedState]:
        """Restore ``state``, or where it does not load a new one."""
        try:
            return self._snapshots.restore(state, log_name=log_name), state
        except StateUnusableError as err:
            self._snapshots.drop(state, reason=str(err))
        self._state = None
        state = self._get_state()
        return self._snapshots.restore(state, log_name=log_name), state

    def _boot(self, log_name: str) -> Vm:
        outcome = boot(self._request(log_name))
        if isinstance(outcome, BootFailure):
            raise CellBootFailedError(outcome.crash)  # of this test alone: the cell has booted
        try:
            self._boot_taint = int(outcome.run("cat /proc/sys/kernel/tainted").stdout)
        except (InfraError, *GUEST_FAULTS) as err:
            failure = find_guest_fault(outcome, err)
            outcome.close()
            if failure is None:
                raise
            raise KernelCrashedError(failure.crash) from err
        self._seen_crashes = len(outcome.crashes())
        return outcome

    def _get_state(self) -> SavedState:
        if self._state is None:
            outcome = self._snapshots.get()
            if isinstance(outcome, BootFailure):
                raise self.note_failure(outcome.crash)
            self._state = outcome
        return self._state

    @property
    def _failure_file(self) -> Path:
        return self.config.log_dir / _FAILURE_FILE

    def _request(self, log_name: str) -> BootRequest:
        config = self.config
        return BootRequest(
            kernel=config.kernel,
            initrd=config.image.initrd,
            topology=config.topology,
            accel=config.accel,
            log_dir=config.log_dir,
            log_name=log_name,
            admission=self.admission,
            slowness=config.slowness,
        )


def judge_boot(crash: Crash | None, *, seconds: float, console: str) -> TestResult:
    """Return the result of the boot itself: what it splats is no later test's fault."""
    return TestResult(
        id=BOOT_TEST,
        verdict=Verdict.CRASHED if crash else Verdict.PASSED,
        seconds=seconds,
        message=f"while the kernel booted: {crash.title}" if crash else "",
        crash=crash,
        logs=(LogFile(kind="console", path=console),),
    )
