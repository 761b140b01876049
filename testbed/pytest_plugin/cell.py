"""The cell under test: one kernel on one topology, and the guest that tests share.

A guest serves tests until one of them fails in it: what failed may have harmed it, so the next
test gets a fresh one. A kernel that does not boot is not tried again.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.events import Booted, BootFailed, Event, Finished, dump_event
from testbed.core.result import Crash, LogFile, TestResult, Verdict
from testbed.core.topology import Topology
from testbed.host.guest_image import GuestImage
from testbed.host.vm import BootFailure, BootRequest, Vm, boot

BOOT_TEST: Final = "boot"
"""The id of the first test of every cell: that the kernel comes up without a splat."""

_TAINTED: Final = "/proc/sys/kernel/tainted"
_WARN_TAINT: Final = 1 << 9  # TAINT_WARN, include/linux/panic.h, 6.12


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
    log_dir: Path
    features: frozenset[str] = frozenset()
    kconfig: frozenset[str] | None = None


@dataclass(slots=True)
class EventSink:
    """Writes events to the cell's file and, for live progress, to an inherited descriptor."""

    path: Path
    fd: int | None = None

    def emit(self, event: Event) -> None:
        """Write ``event``; when this returns it survives a kill of the testbed."""
        line = dump_event(event).encode()
        with self.path.open("ab") as file:
            file.write(line)
        if self.fd is not None:
            os.write(self.fd, line)


@dataclass(slots=True)
class Cell:
    """Boots guests for the tests of one cell, one at a time."""

    config: CellConfig
    sink: EventSink
    _vm: Vm | None = None
    _boots: int = 0
    _seen_crashes: int = 0
    _boot_taint: int = 0
    _failure: BootFailure | None = None

    def get_vm(self) -> Vm:
        """Return the running guest, booting one where there is none.

        Raises :class:`CellBootFailedError`.
        """
        if self._failure is not None:
            raise CellBootFailedError(self._failure.crash)
        if self._vm is None:
            self._vm = self._boot()
        return self._vm

    @property
    def running_vm(self) -> Vm | None:
        """The running guest, if there is one."""
        return self._vm

    @property
    def console_log(self) -> str:
        """The name of the newest console log, relative to the cell's log folder."""
        return f"vm-{self._boots}.console.log"

    def take_new_crash(self) -> Crash | None:
        """Return the first crash since this was last asked, if any."""
        if self._vm is None:
            return None
        crashes = self._vm.crashes()
        fresh = crashes[self._seen_crashes :]
        self._seen_crashes = len(crashes)
        return fresh[0] if fresh else None

    def read_taint(self) -> int:
        """Return the taint bits of the running kernel (Documentation/admin-guide, 6.12)."""
        return int(self.get_vm().guest.read_file(_TAINTED))

    def has_warned(self, taint: int) -> bool:
        """Whether ``taint`` says that the kernel has warned since it booted."""
        return bool(taint & ~self._boot_taint & _WARN_TAINT)

    def discard_vm(self) -> None:
        """End the guest: the next test boots a fresh one."""
        if self._vm is not None:
            vm, self._vm = self._vm, None
            vm.close()

    def _boot(self) -> Vm:
        self._boots += 1
        config = self.config
        outcome = boot(
            BootRequest(
                kernel=config.kernel,
                initrd=config.image.initrd,
                topology=config.topology,
                accel=config.accel,
                log_dir=config.log_dir,
                log_name=f"vm-{self._boots}",
            )
        )
        if isinstance(outcome, BootFailure):
            self._failure = outcome
            self.sink.emit(BootFailed(crash=outcome.crash))
            raise CellBootFailedError(outcome.crash)
        crashes = outcome.crashes()
        self._seen_crashes = len(crashes)
        self._boot_taint = int(outcome.guest.read_file(_TAINTED))
        self.sink.emit(Booted(seconds=outcome.boot_seconds))
        if self._boots == 1:
            self.sink.emit(Finished(result=self._judge_boot(outcome, crashes)))
        return outcome

    def _judge_boot(self, vm: Vm, crashes: tuple[Crash, ...]) -> TestResult:
        """Return the result of the boot itself: what it splats is no later test's fault."""
        crash = crashes[0] if crashes else None
        return TestResult(
            id=BOOT_TEST,
            verdict=Verdict.CRASHED if crash else Verdict.PASSED,
            seconds=round(vm.boot_seconds, 3),
            message=f"while the kernel booted: {crash.title}" if crash else "",
            crash=crash,
            logs=(LogFile(kind="console", path=self.console_log),),
        )
