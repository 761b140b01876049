"""The deadline of a whole test: whatever it waits for, a dead guest does not hold up the run."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from testbed.host.guest import GuestTimeoutError


@contextmanager
def limit_seconds(timeout_s: float) -> Iterator[None]:
    """Raise :class:`GuestTimeoutError` in the block once ``timeout_s`` seconds have passed.

    By SIGALRM, hence in the main thread, which is where pytest runs tests; it ends also the waits
    of libraries that know no time-out (paramiko's for the answer to a request).
    """

    def expire(_number: int, _frame: FrameType | None) -> NoReturn:
        raise GuestTimeoutError(f"the test did not end within {timeout_s:g} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
