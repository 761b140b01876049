import pytest

from testbed.core.compiler_warnings import CompilerMessage, find_new, parse_messages

GCC = "mm/migrate.c:12:5: warning: unused variable 'x' [-Wunused-variable]"
LOG = """\
  CC      mm/migrate.o
In file included from ./include/linux/mm.h:7,
                 from mm/migrate.c:4:
mm/migrate.c: In function 'migrate_page':
mm/migrate.c:12:5: warning: unused variable 'x' [-Wunused-variable]
   12 |         int x;
      |             ^
mm/migrate.c:14:5: note: each undeclared identifier is reported only once
make[3]: *** [scripts/Makefile.build:229: mm/migrate.o] Error 1
"""


def parse_one(line: str) -> CompilerMessage:
    (message,) = parse_messages([line])
    return message


def test_only_the_warning_is_taken_of_what_gcc_prints_around_it() -> None:
    assert parse_messages(LOG.splitlines()) == (
        CompilerMessage(
            file="mm/migrate.c",
            line=12,
            message="unused variable 'x'",
            flag="unused-variable",
            is_error=False,
        ),
    )


@pytest.mark.parametrize(
    ("line", "flag", "is_error"),
    [
        ("mm/a.c:1:2: warning: text [-Wunused-but-set-variable]", "unused-but-set-variable", False),
        ("mm/a.c:1:2: warning: text [-Wformat=]", "format=", False),
        ("mm/a.c:1:2: warning: text [-Wimplicit-fallthrough=5]", "implicit-fallthrough=5", False),
        ("mm/a.c:1:2: warning: text [-W#warnings]", "#warnings", False),
        ("mm/a.c:1:2: error: text [-Werror=unused-variable]", "unused-variable", True),
        ("mm/a.c:1:2: error: text [-Werror,-Wunused-variable]", "unused-variable", True),
        ("mm/a.c:1:2: fatal error: text", "", True),
        ("mm/a.c:1:2: warning: text", "", False),
        ("mm/a.c:1: warning: text", "kernel-doc", False),
        ("mm/a.o: warning: objtool: text", "objtool", False),
        ("mm/a.o: error: objtool: text", "objtool", True),
    ],
)
def test_each_tool_has_its_form(line: str, flag: str, *, is_error: bool) -> None:
    message = parse_one(line)

    assert (message.message, message.flag, message.is_error) == ("text", flag, is_error)
    assert message.file in ("mm/a.c", "mm/a.o")


@pytest.mark.parametrize(
    "line",
    [
        "mm/migrate.c:12:5: note: declared here",
        "scripts/Makefile.build:464: warning: overriding recipe for target 'mm/x.o'",
        ".config:12: warning: override: reassigning to symbol NUMA",
        "mm/Kconfig:3: warning: ignoring unsupported character",
        "WARNING: modpost: vmlinux: section mismatch",
        "  CC      mm/warning: x.o",
        "warning: text without a place",
    ],
)
def test_what_is_no_word_of_a_compiler_about_a_source_is_left_out(line: str) -> None:
    assert parse_messages([line]) == ()


def test_a_path_with_a_dot_before_it_is_the_same_file() -> None:
    assert parse_one(f"./{GCC}") == parse_one(GCC)


def test_one_place_that_several_objects_tell_of_counts_once() -> None:
    header = "include/linux/mm.h:5:1: warning: text [-Wpadded]"

    assert len(parse_messages([header, GCC, header])) == 2


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (GCC, "mm/migrate.c:12: unused variable 'x' [-Wunused-variable]"),
        ("mm/a.c:3: warning: text", "mm/a.c:3: kernel-doc: text"),
        ("mm/a.o: warning: objtool: f+0x1: text", "mm/a.o: objtool: f+0x1: text"),
        ("mm/a.c:3:1: error: text", "mm/a.c:3: error: text"),
    ],
)
def test_a_message_reads_as_a_compiler_prints_it(line: str, shown: str) -> None:
    assert str(parse_one(line)) == shown


def test_escapes_and_endless_lines_do_no_harm() -> None:
    number = "9" * 40
    message = parse_one(
        f"\x1b[1mmm/a.c:{number}:1: \x1b[35mwarning: \x1b[0mte\x1b]0;owned\x07xt{'x' * 9999}"
    )

    assert message.line == 999_999_999
    assert message.message.startswith("text")
    assert len(message.message) == 300


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (GCC, GCC.replace(":12:5:", ":99:7:")),
        ("a.c:1:1: warning: x declared at line 3", "a.c:2:1: warning: x declared at line 4"),
        (
            "a.c:1:1: warning: 'struct <unnamed at a.h:5:2>'",
            "a.c:1:1: warning: 'struct <unnamed at a.h:77:2>'",
        ),
        ("a.o: warning: objtool: f+0x1a: text", "a.o: warning: objtool: f+0x2c: text"),
    ],
)
def test_a_warning_that_moved_is_no_news(before: str, after: str) -> None:
    assert find_new(parse_messages([before]), parse_messages([after])) == ()


@pytest.mark.parametrize(
    "after",
    [
        GCC.replace("'x'", "'y'"),
        GCC.replace("migrate.c", "mempolicy.c"),
        GCC.replace("unused variable", "unused label"),
    ],
)
def test_another_text_or_file_is_news(after: str) -> None:
    new = parse_messages([after])

    assert find_new(parse_messages([GCC]), (*parse_messages([GCC]), *new)) == new


def test_numbers_that_are_no_lines_tell_warnings_apart() -> None:
    before = parse_messages(["a.c:1:1: warning: array subscript 4 is above 'int[4]'"])
    after = parse_messages(["a.c:1:1: warning: array subscript 5 is above 'int[4]'"])

    assert find_new(before, after) == after


def test_a_second_warning_of_the_same_text_is_news() -> None:
    twice = parse_messages([GCC, GCC.replace(":12:", ":20:")])

    new = find_new(parse_messages([GCC]), twice)

    assert [one.line for one in new] == [20]


def test_a_warning_that_is_gone_is_no_news() -> None:
    assert find_new(parse_messages([GCC]), ()) == ()
