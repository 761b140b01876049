"""How a command in the guest ended, over SSH or over the command port."""

from dataclasses import dataclass


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
        super().__init__(
            f"status {result.status} from {result.command!r} in the guest\n"
            f"{result.stdout}{result.stderr}".rstrip()
        )


class GuestTimeoutError(AssertionError):
    """A command in the guest did not end within its deadline."""


class GuestOutputError(AssertionError):
    """A command in the guest printed more than anybody will keep."""
