"""What a guest does that no longer answers, in stages, each for guests that the last cannot reach.

1. sysrq over the serial line: blocked tasks, all tasks, memory, backtraces of the CPUs. Needs a CPU
   that takes interrupts (Documentation/admin-guide/sysrq.rst, 6.12).
2. The registers of all CPUs as QEMU has them, which needs nothing of the guest.
3. An NMI, which the kernel panics on (``unknown_nmi_panic``) and tells where it was. It reaches
   CPU 0 alone: Linux masks LINT1 on the others (``apic_extnmi``, kernel-parameters.txt, 6.12).
4. What the host knows of a QEMU that does not answer either.

It waits for the guest :data:`_WAIT_S` seconds in all, and for each answer of QEMU's monitor
:data:`_QMP_WAIT_S`: :data:`LIMIT_S` seconds at the most.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.errors import InfraError
from testbed.host.vm import Vm

_SYSRQ_KEYS: Final = "wtmlh"  # last the help, which shows that what was asked before is out
_SYSRQ_WAIT_S: Final = 5.0
_NMI_WAIT_S: Final = 10.0
_QMP_WAIT_S: Final = 5.0
_WAIT_S: Final = 20.0
LIMIT_S: Final = _WAIT_S + 3 * _QMP_WAIT_S
_STATUS_LINES: Final = ("State:", "VmRSS:", "Threads:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What came of asking.

    ``lines`` are the console's, QEMU's and those that say who answered; ``qemu_answers`` is False
    where QEMU itself does not, so that nothing is known of the guest.
    """

    lines: tuple[str, ...]
    qemu_answers: bool


def question(vm: Vm) -> Account:
    """Ask the guest of ``vm`` what it does. It is not to be used afterwards."""
    asked = _Questioning(vm)
    vm.qmp.timeout_s = _QMP_WAIT_S
    try:
        asked.run()
    except (InfraError, OSError) as err:
        asked.note(f"QEMU does not answer: {err}", *_read_status(vm.pid))
        return Account(lines=asked.lines, qemu_answers=False)
    return Account(lines=asked.lines, qemu_answers=True)


class _Questioning:
    """The stages, and the lines that came of them so far."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._since = vm.console.mark()
        self._notes: list[str] = []
        self._registers: tuple[str, ...] = ()
        self._deadline = time.monotonic() + _WAIT_S

    @property
    def lines(self) -> tuple[str, ...]:
        said = self._vm.console.lines_since(self._since)
        return (*self._notes, "", "The console:", *said, *self._registers)

    def note(self, *lines: str) -> None:
        self._notes += lines

    def run(self) -> None:
        status = self._vm.qmp.execute("query-status")
        if not status["running"]:  # then nobody in there hears a sysrq or an NMI
            self.note(f"QEMU does not run the guest, it is: {status['status']}")
            return
        answered = self._ask_sysrq()
        self.note(f"sysrq {_SYSRQ_KEYS}: {'answered' if answered else 'no answer'}")
        told = self._ask_monitor("info registers -a")
        self._registers = ("", "QEMU's registers of all CPUs:", *told.splitlines())
        if not answered:
            self._vm.qmp.execute("inject-nmi")
            ended = self._vm.console.wait_closed(self._left(_NMI_WAIT_S))
            self.note(f"NMI: {'the guest ended' if ended else 'no end of the guest'}")

    def _ask_sysrq(self) -> bool:
        console = self._vm.console
        for key in _SYSRQ_KEYS:
            begun = console.mark()
            self._ask_monitor("chardev-send-break console")
            console.write(key.encode())
            wait_s = self._left(_SYSRQ_WAIT_S)
            if not wait_s or not console.wait_for(
                lambda line: "sysrq:" in line, since=begun, timeout_s=wait_s
            ):
                return False
        return True

    def _ask_monitor(self, line: str) -> str:
        return str(self._vm.qmp.execute("human-monitor-command", command_line=line))

    def _left(self, wanted_s: float) -> float:
        return max(0.0, min(wanted_s, self._deadline - time.monotonic()))


def _read_status(pid: int) -> tuple[str, ...]:
    """Return what the host's kernel says of a process (proc_pid_status(5))."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError as err:
        return (f"its process {pid} is gone: {err}",)
    return tuple(line for line in text.splitlines() if line.startswith(_STATUS_LINES))
