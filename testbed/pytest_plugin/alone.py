"""Deterministic mode: each C case has a boot of its own, and nothing is said to its guest.

All that a case is judged by is in what the run leaves behind: its output, its console, its end.
"""

from typing import Final

from testbed.core.capacity import need_of
from testbed.core.case_command import is_past_limit, limit_guest_time
from testbed.core.crash import scan_crashes
from testbed.core.events import BOOT_TEST, Finished
from testbed.core.needs import Needs
from testbed.core.result import Crash, LogFile, TestResult, Verdict
from testbed.core.seen_machine import FACTS_SCRIPT, compare_machine, parse_seen
from testbed.core.text import split_lines
from testbed.errors import InfraError
from testbed.host.boot import describe_difference
from testbed.host.deterministic import BEGIN_WORDS, AloneOutcome, AloneRequest, Ending, run_alone
from testbed.host.guest_result import GuestOutputError, GuestTimeoutError
from testbed.host.port import PortResult
from testbed.pytest_plugin.cell import Cell, CellBootFailedError, KernelCrashedError, judge_boot
from testbed.pytest_plugin.evidence import Evidence

# The host's clock bounds what hangs; how long a case may take is counted in the guest.
_HOST_TIMES: Final = 20
_BOOT_HOST_S: Final = 120.0
_LAST_LINES: Final = 40


def run_case(
    cell: Cell, command: str, *, needs: Needs, log_name: str, evidence: Evidence
) -> PortResult:
    """Run ``command`` in a guest that boots for it; what it printed and its status.

    Raises what a case in a restored guest would: :class:`KernelCrashedError`,
    :class:`GuestTimeoutError`, :class:`GuestOutputError`, :class:`CellBootFailedError`.
    """
    outcome = _run(
        cell,
        limit_guest_time(command, needs.timeout_s),
        log_name=log_name,
        timeout_s=_BOOT_HOST_S + _HOST_TIMES * needs.timeout_s,
    )
    evidence.logs.append(LogFile(kind="console", path=outcome.console_log.name))
    _raise_crash(outcome)
    if not outcome.has_begun:
        raise CellBootFailedError(_describe_silence(outcome))
    if outcome.ending is Ending.OVERFLOWED:
        raise GuestOutputError("the case printed more than is kept")
    if outcome.ending is Ending.TIMED_OUT or is_past_limit(outcome.status):
        raise GuestTimeoutError(f"no end after {needs.timeout_s:g} s of the guest's time")
    if outcome.status is None:
        raise KernelCrashedError(_describe_silence(outcome))
    return PortResult(output=outcome.output, status=outcome.status)


def announce_boot_alone(cell: Cell, *, is_reported: bool) -> None:
    """Boot once with no test, compare the machine, and tell how that went."""
    cell.forget_failure()
    try:
        outcome = _run(cell, FACTS_SCRIPT, log_name="vm-boot", timeout_s=_BOOT_HOST_S)
    except InfraError as err:  # each test will say so too: none is lost without a word
        lost = TestResult(id=BOOT_TEST, verdict=Verdict.LOST, seconds=0.0, message=str(err))
        cell.sink.emit(Finished(result=lost))
        return
    crash = next(iter(scan_crashes(split_lines(outcome.console))), None)
    failure = _find_boot_failure(cell, outcome, crash)
    if failure is not None:
        cell.note_failure(failure)
    elif not is_reported:
        result = judge_boot(crash, seconds=0.0, console=outcome.console_log.name)
        cell.sink.emit(Finished(result=result))


def _find_boot_failure(cell: Cell, outcome: AloneOutcome, crash: Crash | None) -> Crash | None:
    if not outcome.has_finished:
        return crash or _describe_silence(outcome)
    differences = compare_machine(cell.config.topology, parse_seen(split_lines(outcome.output)))
    return describe_difference(cell.config.topology, differences) if differences else None


def _run(cell: Cell, commands: str, *, log_name: str, timeout_s: float) -> AloneOutcome:
    config = cell.config
    with cell.admission.acquire(need_of(config.topology)):
        return run_alone(
            AloneRequest(
                kernel=config.kernel,
                initrd=config.image.initrd,
                topology=config.topology,
                commands=commands,
                log_dir=config.log_dir,
                log_name=log_name,
                seed=config.seed,
                timeout_s=timeout_s,
            )
        )


def _raise_crash(outcome: AloneOutcome) -> None:
    """Raise for what the console shows of the case: neither of the boot, nor of our own NMI."""
    lines = split_lines(outcome.console[: outcome.unasked_bytes])
    marks = [number for number, line in enumerate(lines) if BEGIN_WORDS in line]
    if crashes := scan_crashes(lines[marks[0] :] if marks else lines):
        raise KernelCrashedError(crashes[0])


def _describe_silence(outcome: AloneOutcome) -> Crash:
    lines = split_lines(outcome.console)
    last = next((line for line in reversed(lines) if line.strip()), "nothing at all")
    return Crash(
        title=f"the guest ended before the case did ({outcome.ending}); its last line: {last}",
        kind="reset" if outcome.has_begun else "no boot",
        frames=(),
        excerpt="\n".join(lines[-_LAST_LINES:]),
    )
