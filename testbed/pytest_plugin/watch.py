"""What is watched while a test runs: its deadline, its guest, the console, the taint.

A test is judged by all of them: an oops outranks every "ok" that was printed before it, and a guest
that goes away or hangs is questioned for the reason before it is ended.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import pytest

from testbed.core.result import Crash, LogFile, Verdict
from testbed.core.text import make_file_name
from testbed.errors import GuestLostError, InfraError
from testbed.host.guest_result import GuestCommandError, GuestOutputError, GuestTimeoutError
from testbed.host.vm import Vm
from testbed.host.watchdog import question
from testbed.pytest_plugin.cell import Cell, KernelCrashedError
from testbed.pytest_plugin.deadline import limit_seconds
from testbed.pytest_plugin.evidence import Evidence
from testbed.pytest_plugin.judge import CaseFailedError

_TAINTED: Final = "/proc/sys/kernel/tainted"
_ALIVE_WAIT_S: Final = 10.0
_LAST_LINE: Final = "testbed: the test has ended"
_OUTCOMES: Final = (pytest.skip.Exception, pytest.fail.Exception)
_UNANSWERED: Final = (GuestTimeoutError, GuestOutputError, GuestCommandError)
_OWN_ENDS: Final = {
    "guest-reset": ("reset", "the guest reset itself without a word on its console"),
    "guest-shutdown": ("poweroff", "the guest powered itself off"),
}


@contextmanager
def watch(
    cell: Cell,
    *,
    name: str,
    evidence: Evidence,
    timeout_s: float | None = None,
    hears_out: bool = True,
) -> Iterator[None]:
    """Run the block as part of the test ``name``, at most ``timeout_s`` seconds long.

    Raises :class:`KernelCrashedError` for what the console shows, whatever else ended the block;
    with ``hears_out`` all that the kernel has said by then is waited for. Without ``timeout_s``
    the block has deadlines of its own.
    """
    is_judged = False
    try:
        with limit_seconds(timeout_s) if timeout_s is not None else contextlib.nullcontext():
            yield
        if hears_out:
            _hear_out(cell)
    except (KeyboardInterrupt, SystemExit):
        is_judged = True
        raise
    except (GuestTimeoutError, GuestOutputError) as err:
        _raise_crash(cell)
        is_judged = True  # what the console says from now on is our doing: the NMI's panic
        if cell.running_vm is not None and cell.running_vm.own_end:
            _explain_end(cell, cell.running_vm, err, evidence)
        _question(cell, name, evidence)
        raise
    except InfraError as err:
        if cell.running_vm is not None and _is_lost(cell.running_vm, err):
            is_judged = True
            _explain_loss(cell, cell.running_vm, err, name=name, evidence=evidence)
        raise
    except (Exception, *_OUTCOMES):
        if hears_out:  # whatever ended the test, the kernel may have spoken
            with contextlib.suppress(CaseFailedError, InfraError, *_UNANSWERED):
                _hear_out(cell)
        raise
    finally:
        if not is_judged:
            _raise_crash(cell)


def check_taint(*, before: int, after: int) -> None:
    """Fail a test that tainted the kernel, whatever it printed."""
    if fresh := after & ~before:
        bits = ", ".join(str(bit) for bit in range(fresh.bit_length()) if fresh >> bit & 1)
        raise CaseFailedError(
            Verdict.FAILED,
            f"the test tainted the kernel ({_TAINTED} is {after}; new: bit {bits}, see "
            "Documentation/admin-guide/tainted-kernels.rst)",
        )


def read_taint(vm: Vm) -> int:
    """Return the taint bits of the running kernel (Documentation/admin-guide, 6.12)."""
    return int(vm.run(f"cat {_TAINTED}").stdout)


def _hear_out(cell: Cell) -> None:
    """Wait for all that the kernel has said so far: the console comes on another way than answers.

    Raises what :meth:`Vm.run` raises, and :class:`CaseFailedError` for a console that is silent.
    """
    vm = cell.running_vm
    if vm is None:
        return
    mark = vm.console.mark()
    vm.run(f"echo {_LAST_LINE} >/dev/kmsg", timeout_s=_ALIVE_WAIT_S, shown="the end of the test")
    if vm.console.wait_for(lambda line: _LAST_LINE in line, since=mark, timeout_s=_ALIVE_WAIT_S):
        return
    if vm.console.is_closed:
        raise GuestLostError("the guest went away when the test had ended")
    raise CaseFailedError(
        Verdict.FAILED,
        f"the guest's console has been silent for {_ALIVE_WAIT_S:g} s: a crash would go unseen",
    )


def _raise_crash(cell: Cell) -> None:
    crash = cell.take_new_crash()
    if crash is not None:
        raise KernelCrashedError(crash)


def _is_lost(vm: Vm, err: InfraError) -> bool:
    return isinstance(err, GuestLostError) or vm.console.is_closed or vm.qmp.is_closed


def _explain_loss(
    cell: Cell, vm: Vm, err: InfraError, *, name: str, evidence: Evidence
) -> NoReturn:
    """Say whose fault it is that the guest does not answer: QEMU's death alone is the host's."""
    try:
        vm.run("true", timeout_s=_ALIVE_WAIT_S)
    except GuestLostError as lost:
        _explain_end(cell, vm, lost, evidence)
    except _UNANSWERED as hung:
        _raise_crash(cell)
        _question(cell, name, evidence)
        raise GuestTimeoutError(f"the guest hangs: {err}") from hung
    _raise_crash(cell)
    raise CaseFailedError(
        Verdict.FAILED, f"the guest runs on, but its SSH server is gone: {err}"
    ) from err


def _explain_end(cell: Cell, vm: Vm, lost: Exception, evidence: Evidence) -> NoReturn:
    """Say why QEMU ended."""
    vm.settle()
    _raise_crash(cell)
    if own := vm.own_end:
        kind, title = _OWN_ENDS.get(own, ("reset", f"the guest ended itself: {own}"))
        excerpt = "\n".join(vm.console.lines_since(0)[-40:])
        raise KernelCrashedError(
            Crash(title=title, kind=kind, frames=(), excerpt=excerpt)
        ) from lost
    if vm.qemu_log.stat().st_size:
        evidence.logs.append(LogFile(kind="QEMU's log", path=vm.qemu_log.name))
    raise GuestLostError(
        f"QEMU ended with status {vm.exit_status}, which is not the guest's doing"
    ) from lost


def _question(cell: Cell, name: str, evidence: Evidence) -> None:
    """Attach what a hung guest does to the test; the guest is of no use afterwards.

    Raises :class:`GuestLostError` where not even QEMU answers.
    """
    if cell.running_vm is None:
        return
    account = question(cell.running_vm)
    file = f"{make_file_name(name)}.dump.log"
    text = "\n".join(account.lines) + "\n"
    (cell.config.log_dir / file).write_text(text, encoding="utf-8")
    evidence.logs.append(LogFile(kind="watchdog dump", path=file))
    if not account.qemu_answers:
        raise GuestLostError(f"QEMU itself does not answer; {file} has what is known of it")
