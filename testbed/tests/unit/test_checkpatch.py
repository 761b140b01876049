import pytest

from testbed.core.checkpatch import CheckpatchMessage, parse_checkpatch


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "mm/migrate.c:12: ERROR:CODE_INDENT: code indent should use tabs where possible",
            ("ERROR", "CODE_INDENT", "mm/migrate.c", 12),
        ),
        (
            "mm/migrate.c:12: WARNING:LONG_LINE: line length of 104 exceeds 100 columns",
            ("WARNING", "LONG_LINE", "mm/migrate.c", 12),
        ),
        ("mm/migrate.c:3: CHECK:SPACING: spaces", ("CHECK", "SPACING", "mm/migrate.c", 3)),
        ("WARNING:COMMIT_LOG_LONG_LINE: text", ("WARNING", "COMMIT_LOG_LONG_LINE", "", None)),
        # The place of the last line read is printed, but it is of the mail.
        (
            "mm/migrate.c:1235: ERROR:MISSING_SIGN_OFF: text",
            ("ERROR", "MISSING_SIGN_OFF", "", None),
        ),
    ],
)
def test_each_line_has_level_type_and_place(
    line: str, expected: tuple[str, str, str, int | None]
) -> None:
    (message,) = parse_checkpatch([line])

    assert (message.level, message.type, message.file, message.line) == expected


def test_other_lines_are_left_out() -> None:
    lines = ["", "total: 1 errors", "No structs that should be const will be found", "ERROR: x: y"]

    assert parse_checkpatch(lines) == ()


def test_what_it_prints_is_cleaned_and_shortened() -> None:
    (message,) = parse_checkpatch([f"a.c:1: ERROR:X: \x1b[2Jte\x07xt{'y' * 5000}"])

    assert message.message.startswith("text")
    assert len(message.message) == 300


@pytest.mark.parametrize(
    ("file", "line", "shown"),
    [("mm/a.c", 7, "LONG_LINE: mm/a.c:7: too long"), ("", None, "LONG_LINE: too long")],
)
def test_a_message_reads_in_one_line(file: str, line: int | None, shown: str) -> None:
    message = CheckpatchMessage(
        level="WARNING", type="LONG_LINE", file=file, line=line, message="too long"
    )

    assert str(message) == shown
