"""The shell command that runs one case of a C test in a guest, and what it tells besides KTAP."""

import shlex
from typing import Final

TAINT_LINE: Final = "# @taint "
# Not by the shell's read, which takes a byte at a time: a sysctl gives all at once or nothing.
_TELL_TAINT: Final = f'echo "{TAINT_LINE}$(cat /proc/sys/kernel/tainted)"'
_STATUS_OF_KILLED: Final = 137  # 128 + SIGKILL, as timeout(1) of busybox reports it


def make_case_command(program: str, case: str, *, slowness: int = 1) -> str:
    """Return the command for ``case``; it tells the kernel's taint before and after it.

    The case may take ``slowness`` times as long as the harness gives it (lib/harness.h), and its
    own deadlines say.
    """
    run = f"{shlex.quote(program)} -r {shlex.quote(case)}"
    whole = f"{_TELL_TAINT}; {run}; status=$?; echo; {_TELL_TAINT}; exit $status"
    return tell_slowness(whole, slowness)


def tell_slowness(command: str, slowness: int) -> str:
    """Return ``command`` with deadlines that are as many times as long (lib/deadline.h)."""
    return command if slowness == 1 else f"export TESTBED_SLOWNESS={slowness}; {command}"


def limit_guest_time(command: str, timeout_s: float) -> str:
    """Return ``command`` with an end after ``timeout_s`` seconds of the guest's own time."""
    return f"timeout -s KILL {timeout_s:g} sh -c {shlex.quote(command)}"


def is_past_limit(status: int | None) -> bool:
    """Whether ``status`` says that :func:`limit_guest_time` ended the command."""
    return status == _STATUS_OF_KILLED
