"""How a test ended, from the exception that ended it."""

from dataclasses import dataclass
from typing import Final

import pytest

from testbed.core.declared import Known
from testbed.core.result import Crash, Verdict
from testbed.errors import InfraError
from testbed.host.guest_result import GuestTimeoutError
from testbed.pytest_plugin.cell import CellBootFailedError, KernelCrashedError


class CaseFailedError(AssertionError):
    """A test ended other than passed; ``verdict`` says how.

    ``is_plain`` says that the test came to its end, and that what it checked did not hold.
    """

    def __init__(self, verdict: Verdict, message: str, *, is_plain: bool = False) -> None:
        self.verdict = verdict
        self.is_plain = is_plain
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


def excuse(ending: Ending, error: BaseException, known: Known | None) -> Ending:
    """Return ``ending``, or KNOWN where ``known`` declares that what the test checks does not hold.

    What nobody declares is not excused: a crash, a hang, a taint, a test that could not be run.
    """
    if known is None or ending.verdict is not Verdict.FAILED or not _is_plain(error):
        return ending
    return Ending(verdict=Verdict.KNOWN, message=f"known: {known}\n{ending.message}")


def _is_plain(error: BaseException) -> bool:
    if isinstance(error, CaseFailedError):
        return error.is_plain
    return isinstance(error, AssertionError | pytest.fail.Exception)
