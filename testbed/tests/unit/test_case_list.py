"""The list of cases that a kselftest_harness program prints."""

from testbed.core.case_list import parse_case_list

# Captured from a program of the 6.12 harness; the columns are padded as printf made them.
CAPTURED = [
    "# FIXTURE            VARIANT                   TEST",
    "global                                         plain",
    "                                               a_second_with_quite_a_long_name_indeed",
    "-" * 80,
    "a_fixture_with_a_rather_long_name private                   moves",
    "                     shared                    stays",
    "                     a_variant_that_is_longer_than_its_column ",
    "-" * 80,
    "both                                           first",
    "                                               second",
]


def test_variants_and_tests_are_crossed() -> None:
    assert parse_case_list(CAPTURED) == (
        "global.plain",
        "global.a_second_with_quite_a_long_name_indeed",
        "a_fixture_with_a_rather_long_name.private.moves",
        "a_fixture_with_a_rather_long_name.private.stays",
        "a_fixture_with_a_rather_long_name.shared.moves",
        "a_fixture_with_a_rather_long_name.shared.stays",
        "a_fixture_with_a_rather_long_name.a_variant_that_is_longer_than_its_column.moves",
        "a_fixture_with_a_rather_long_name.a_variant_that_is_longer_than_its_column.stays",
        "both.first",
        "both.second",
    )


def test_no_list_is_no_cases() -> None:
    assert parse_case_list([]) == ()
    assert parse_case_list(["# FIXTURE            VARIANT                   TEST"]) == ()
