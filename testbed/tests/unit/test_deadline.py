"""The deadline of a test."""

import signal
import threading
import time

import pytest

from testbed.host.guest_result import GuestTimeoutError
from testbed.pytest_plugin.deadline import limit_seconds


def test_a_wait_without_a_time_out_of_its_own_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(GuestTimeoutError, match=r"did not end within 0\.2 s"), limit_seconds(0.2):
        threading.Event().wait()
    assert time.monotonic() - began < 10


def test_what_ends_in_time_leaves_no_alarm_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with limit_seconds(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) is before


def test_the_alarm_is_gone_after_a_failure_too() -> None:
    with pytest.raises(KeyError), limit_seconds(60):
        raise KeyError
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
