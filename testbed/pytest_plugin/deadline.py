"""The deadline of a whole test: whatever it waits for, it does not hold up the run."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from testbed.host.guest_result import GuestTimeoutError

_AGAIN_S: Final = 1.0  # for a test that takes the deadline for another error and goes on
# pytest's own unwinding of fixtures knows nothing of a BaseException: so that is the last resort.
_MILD_HITS: Final = 3


class _DeadlineError(Exception):
    """The deadline is over."""


class _LastDeadlineError(BaseException):
    """The deadline is long over, and ``except Exception`` did not end the test."""


@contextmanager
def limit_seconds(timeout_s: float) -> Iterator[None]:
    """Raise :class:`GuestTimeoutError` from the block once ``timeout_s`` seconds have passed.

    By SIGALRM, hence in the main thread, which is where pytest runs tests; it ends also the waits
    of libraries that know no time-out (paramiko's for the answer to a request). A block that goes
    on all the same is hit again every second, and fails even if it then ends well.
    """
    place = ""
    hits = 0
    is_running = True

    def expire(_number: int, frame: FrameType | None) -> None:
        nonlocal place, hits
        if is_running:
            place = place or _find_place(frame)
            hits += 1
            raise _DeadlineError if hits <= _MILD_HITS else _LastDeadlineError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, timeout_s, _AGAIN_S)
    try:
        yield
    except (Exception, _LastDeadlineError) as err:
        is_running = False
        if not place:
            raise
        raise GuestTimeoutError(_describe(timeout_s, place)) from err
    finally:
        is_running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if place:
        raise GuestTimeoutError(_describe(timeout_s, place))


def _describe(timeout_s: float, place: str) -> str:
    return f"the test did not end within {timeout_s:g} s; it was {place}"


def _find_place(frame: FrameType | None) -> str:
    """Return where a test is: in its own file, or where there is none, in the innermost call."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    own = (f for f in frames if Path(f.f_code.co_filename).name.startswith("test_"))
    found = next(own, frames[0] if frames else None)
    if found is None:
        return "nowhere in Python"
    code = found.f_code
    return f"in {code.co_name}() at {Path(code.co_filename).name}:{found.f_lineno}"
