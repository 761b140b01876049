"""Ranges of kernel versions."""

import pytest

from testbed.core.kernel_range import check_range, is_in_range


@pytest.mark.parametrize(
    ("release", "text", "expected"),
    [
        ("6.1.176-testbed", "<6.7", True),
        ("6.6.99", "<6.7", True),
        ("6.7.0", "<6.7", False),
        ("6.7.0-rc3", "<6.7", False),
        ("6.7", "<6.7", False),
        ("6.12.117", "<6.7", False),  # not as text: "6.12" < "6.7"
        ("6.12.117", ">=6.7", True),
        ("6.1.176", "<=6.1", True),
        ("6.2.0", "<=6.1", False),
        ("6.1.176", "==6.1", True),
        ("6.1.176", ">6.1", False),
        ("6.2.0-rc1", ">6.1", True),
        ("6.1.99", "<6.1.100", True),
        ("6.1.100", "<6.1.100", False),
        ("6.2", "<6.2.1", True),
        ("6.1.5", ">=6.1,<6.7", True),
        ("6.0.5", ">=6.1, <6.7", False),
        ("6.7.1", ">=6.1 , < 6.7", False),
        ("5.15.0", "<6.7", True),
        ("", "<6.7", False),
        ("next", "<6.7", False),
        ("6", "<6.7", False),
    ],
)
def test_a_release_lies_in_a_range_or_not(release: str, text: str, expected: bool) -> None:  # noqa: FBT001 - a column
    assert is_in_range(release, text) is expected


@pytest.mark.parametrize("text", ["", "6.7", "<6", "<6.7,", "<<6.7", "<6.7 >6.1", "~=6.7", "<six"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"'>=6\.1,<6\.7'"):
        check_range(text)


def test_blanks_do_not_count() -> None:
    assert check_range(" >= 6.1 , <6.7 ") == ">=6.1,<6.7"
