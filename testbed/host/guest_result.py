"""How a command in the guest ended, over SSH or over the command port."""

from dataclasses import dataclass
from typing import Final

from testbed.core.text import clean, shorten_middle

_SHOWN_COMMAND_CHARS: Final = 400
_SHOWN_CHARS: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestResult:
    """What a command in the guest printed, and its exit status."""

    command: str
    stdout: str
    stderr: str
    status: int


class GuestCommandError(AssertionError):
    """A command that a test relies on failed in the guest."""

    def __init__(self, result: GuestResult) -> None:
        self.result = result
        command = shorten_middle(result.command, width=_SHOWN_COMMAND_CHARS)
        said = shorten_middle(clean(result.stdout + result.stderr), width=_SHOWN_CHARS)
        super().__init__(f"status {result.status} from {command!r} in the guest\n{said}".rstrip())


class GuestTimeoutError(AssertionError):
    """A command in the guest did not end within its deadline."""


class GuestOutputError(AssertionError):
    """A command in the guest printed more than anybody will keep."""


GUEST_FAULTS: Final = (GuestCommandError, GuestTimeoutError, GuestOutputError)
