"""Which kernels are slow, and what a case's command says of it."""

import pytest

from testbed.core.case_command import make_case_command
from testbed.core.slowness import find_slowness


@pytest.mark.parametrize("option", ["KASAN", "PROVE_LOCKING"])
def test_a_kernel_with_a_slow_checker_is_slow(option: str) -> None:
    assert find_slowness({"NUMA", option}) == 4
    assert find_slowness({"NUMA", "DEBUG_VM"}) == 1
    assert find_slowness(None) == 1


def test_the_harness_is_told_of_a_slow_kernel_only() -> None:
    plain = make_case_command("/tests/a", "b.c")
    told = make_case_command("/tests/a", "b.c", slowness=4)
    assert told == f"export TESTBED_SLOWNESS=4; {plain}"
    assert "SLOWNESS" not in plain
