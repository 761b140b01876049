"""What is watched while a test runs: its deadline, its guest, the console, the taint.

A test is judged by all of them: an oops outranks every "ok" that was printed before it, and a guest
that goes away or hangs is questioned for the reason before it is ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from testbed.core.result import Crash, LogFile, Verdict
from testbed.core.text import make_file_name
from testbed.errors import GuestLostError
from testbed.host.guest_result import GuestCommandError, GuestOutputError, GuestTimeoutError
from testbed.host.vm import Vm
from testbed.host.watchdog import question
from testbed.pytest_plugin.cell import Cell, KernelCrashedError
from testbed.pytest_plugin.deadline import limit_seconds
from testbed.pytest_plugin.evidence import Evidence
from testbed.pytest_plugin.judge import CaseFailedError

_TAINTED: Final = "/proc/sys/kernel/tainted"
_ALIVE_WAIT_S: Final = 10.0


@contextmanager
def watch(cell: Cell, *, name: str, timeout_s: float, evidence: Evidence) -> Iterator[None]:
    """Run the block as the call of the test ``name``, at most ``timeout_s`` seconds long.

    Raises :class:`KernelCrashedError` for what the console shows, whatever else ended the block.
    """
    interrupted = False
    try:
        with limit_seconds(timeout_s):
            yield
    except (KeyboardInterrupt, SystemExit):
        interrupted = True
        raise
    except (GuestTimeoutError, GuestOutputError):
        _raise_crash(cell)
        _question(cell, name, evidence)
        raise
    except GuestLostError as err:
        if cell.running_vm is not None:
            _explain_loss(cell, cell.running_vm, err, name=name, evidence=evidence)
        raise
    finally:
        if not interrupted:
            _raise_crash(cell)


def check_taint(cell: Cell, taint: int) -> None:
    """Fail a test that tainted the kernel, whatever it printed."""
    if fresh := cell.find_new_taint(taint):
        bits = ", ".join(str(bit) for bit in range(fresh.bit_length()) if fresh >> bit & 1)
        raise CaseFailedError(
            Verdict.FAILED,
            f"the test tainted the kernel ({_TAINTED} is {taint}; new: bit {bits}, see "
            "Documentation/admin-guide/tainted-kernels.rst)",
        )


def read_taint(vm: Vm) -> int:
    """Return the taint bits of the running kernel (Documentation/admin-guide, 6.12)."""
    return int(vm.run(f"cat {_TAINTED}").stdout)


def _raise_crash(cell: Cell) -> None:
    crash = cell.take_new_crash()
    if crash is not None:
        raise KernelCrashedError(crash)


def _explain_loss(
    cell: Cell, vm: Vm, err: GuestLostError, *, name: str, evidence: Evidence
) -> NoReturn:
    """Say whose fault it is that the guest does not answer: QEMU's death alone is the host's."""
    vm.settle()
    _raise_crash(cell)
    if vm.has_ended_itself:
        title = "the guest ended without a word on its console"
        lines = vm.console.lines_since(0)
        raise KernelCrashedError(
            Crash(title=title, kind="reset", frames=(), excerpt="\n".join(lines[-40:]))
        ) from err
    if vm.console.is_closed:
        raise err
    try:
        vm.run("true", timeout_s=_ALIVE_WAIT_S)
    except (GuestTimeoutError, GuestLostError, GuestCommandError) as hung:
        _question(cell, name, evidence)
        raise GuestTimeoutError(f"the guest hangs: {err}") from hung
    raise CaseFailedError(
        Verdict.FAILED, f"the guest runs on, but its SSH server is gone: {err}"
    ) from err


def _question(cell: Cell, name: str, evidence: Evidence) -> None:
    """Attach what a hung guest does to the test; the guest is of no use afterwards."""
    if cell.running_vm is None:
        return
    lines = question(cell.running_vm)
    file = f"{make_file_name(name)}.dump.log"
    (cell.config.log_dir / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    evidence.logs.append(LogFile(kind="watchdog dump", path=file))
    cell.take_new_crash()  # the NMI's panic is our doing
