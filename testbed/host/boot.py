"""Booting a guest, up to the point where it takes commands."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.result import Crash
from testbed.core.seen_machine import FACTS_SCRIPT, compare_machine, parse_seen
from testbed.core.text import split_lines
from testbed.core.topology import Topology
from testbed.errors import GuestLostError
from testbed.host import qemu
from testbed.host.guest_result import GUEST_FAULTS, GuestOutputError, GuestTimeoutError
from testbed.host.qemu import BootRequest
from testbed.host.vm import Vm

_FACTS_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFailure:
    """The kernel did not come up, or not as asked: its fault, hence a value and no exception."""

    crash: Crash
    console: Path


def boot(request: BootRequest) -> Vm | BootFailure:
    """Boot a guest until it takes commands.

    Returns :class:`BootFailure` when the kernel panics, does not get to answer within the
    topology's ``boot_timeout_s``, or sees another machine than the topology. Raises
    :class:`InfraError` when QEMU itself does not start.
    """
    began = time.monotonic()
    started = qemu.start(request)
    vm = Vm(started, request.topology, slowness=request.slowness)
    try:
        failure = _await_ready(vm) or _check_machine(vm)
        waited_s = started.ticket.waited_s if started.ticket else 0.0
        vm.boot_seconds = time.monotonic() - began - waited_s
    except BaseException:
        vm.close()
        raise
    if failure is not None:
        vm.close()
        return failure
    return vm


def _await_ready(vm: Vm) -> BootFailure | None:
    timeout_s = vm.topology.boot_timeout_s
    try:
        vm.port.wait_ready(timeout_s)
    except GuestLostError:
        return _describe_failure(vm, reason="the guest ended during boot")
    except GuestTimeoutError:
        return _describe_failure(vm, reason=f"no answer from the guest after {timeout_s:g} s")
    except GuestOutputError as err:
        return _describe_failure(vm, reason=str(err))
    return None


def _check_machine(vm: Vm) -> BootFailure | None:
    """Compare the machine that the guest sees with the one that was asked for.

    A test on a machine other than its topology says nothing, whatever it prints.
    """
    try:
        told = vm.port.run(FACTS_SCRIPT, timeout_s=_FACTS_TIMEOUT_S)
    except (GuestLostError, GuestTimeoutError, GuestOutputError) as err:
        return _describe_failure(vm, reason=f"the guest does not tell its machine: {err}")
    differences = compare_machine(vm.topology, parse_seen(split_lines(told.output)))
    if not differences:
        return None
    crash = describe_difference(vm.topology, differences)
    return BootFailure(crash=crash, console=vm.console.log)


def describe_difference(topology: Topology, differences: Sequence[str]) -> Crash:
    """Return why a guest on another machine than ``topology`` is of no use, all of it."""
    title = f"the guest sees another machine than {topology.name}: {differences[0]}"
    if len(differences) > 1:
        title += f" (and {len(differences) - 1} more)"
    return Crash(title=title, kind="machine", frames=(), excerpt="\n".join(differences))


def find_guest_fault(vm: Vm, error: BaseException) -> BootFailure | None:
    """Return the guest's part in ``error``, which ended a talk with it; None if it has none.

    A crash on its console, an end of its own making, or an answer that did not come.
    """
    vm.settle()
    if vm.console.crashes() or vm.own_end or isinstance(error, GUEST_FAULTS):
        return _describe_failure(vm, reason=str(error))
    return None


def _describe_failure(vm: Vm, *, reason: str) -> BootFailure:
    if vm.console.crashes():
        vm.settle()
    lines = vm.console.lines_since(0)
    crash = next(iter(vm.console.crashes()), None)
    if crash is None:
        said = [line for line in lines if line.startswith("testbed:")]  # by the guest's init
        said = said or [line for line in lines if line.strip()] or ["nothing at all"]
        crash = Crash(
            title=f"no boot: {reason}; the console's last line: {said[-1]}",
            kind="no boot",
            frames=(),
            excerpt="\n".join(lines[-40:]),
        )
    return BootFailure(crash=crash, console=vm.console.log)
