"""The deadline of a test."""

import contextlib
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


def test_it_is_told_where_the_test_was() -> None:
    where = r"in test_it_is_told_where_the_test_was\(\) at test_deadline\.py:\d+"
    with pytest.raises(GuestTimeoutError, match=where), limit_seconds(0.2):
        threading.Event().wait()


@pytest.mark.parametrize("swallowed", [Exception, BaseException])
def test_a_block_that_takes_the_deadline_for_its_own_error_fails_all_the_same(
    swallowed: type[BaseException],
) -> None:
    with pytest.raises(GuestTimeoutError), limit_seconds(0.2), contextlib.suppress(swallowed):
        threading.Event().wait()


def wait_whatever_comes() -> None:
    while True:
        with contextlib.suppress(Exception):
            threading.Event().wait()


def test_a_block_that_never_minds_an_exception_is_ended() -> None:
    with pytest.raises(GuestTimeoutError), limit_seconds(0.2):
        wait_whatever_comes()


def test_an_error_of_the_block_in_time_stays_what_it_is() -> None:
    with pytest.raises(KeyError, match="mine"), limit_seconds(60):
        raise KeyError("mine")


def expect_the_time_out_of_a_command() -> None:
    with pytest.raises(GuestTimeoutError, match="no end of"):
        threading.Event().wait()


def test_a_deadline_is_not_the_time_out_that_a_test_expects() -> None:
    with pytest.raises(GuestTimeoutError, match="the test did not end"), limit_seconds(0.2):
        expect_the_time_out_of_a_command()
