"""How a test ended, from the exception that ended it."""

from dataclasses import dataclass
from typing import Final

import pytest

from testbed.core.result import Crash, Verdict
from testbed.errors import InfraError
from testbed.host.guest_result import GuestTimeoutError
from testbed.pytest_plugin.cell import CellBootFailedError, KernelCrashedError


class CaseFailedError(AssertionError):
    """A test ended other than passed; ``verdict`` says how."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        self.verdict = verdict
        super().__init__(message)


# In order of precedence; whatever else a test raises is a failure of the test's kernel.
_VERDICTS: Final[tuple[tuple[type[BaseException], Verdict], ...]] = (
    (KernelCrashedError, Verdict.CRASHED),
    (CellBootFailedError, Verdict.BOOT_FAILED),
    (GuestTimeoutError, Verdict.TIMED_OUT),
    (InfraError, Verdict.LOST),
    (pytest.skip.Exception, Verdict.SKIPPED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The verdict on a test, in the words of what ended it."""

    verdict: Verdict
    message: str = ""
    crash: Crash | None = None


def judge_exception(error: BaseException, *, shown: str) -> Ending:
    """Return how a test ended that ``error`` ended; ``shown`` is pytest's text of it."""
    if isinstance(error, CaseFailedError):
        return Ending(verdict=error.verdict, message=str(error))
    if isinstance(error, KernelCrashedError | CellBootFailedError):
        verdict = next(v for kind, v in _VERDICTS if isinstance(error, kind))
        return Ending(verdict=verdict, message=error.crash.title, crash=error.crash)
    for kind, verdict in _VERDICTS:
        if isinstance(error, kind):
            return Ending(verdict=verdict, message=str(error))
    return Ending(verdict=Verdict.FAILED, message=shown)
