"""Whatever the text, what is made of it can be shown, encoded and used as a file's name."""

import re
import string
import time
from pathlib import Path

import pytest

from testbed.core.case_list import MAX_CASES, parse_case_list
from testbed.core.crash import CrashScanner
from testbed.core.crash_patterns import PATTERNS
from testbed.core.ktap import parse_ktap
from testbed.core.text import clean, make_file_name, split_lines
from testbed.errors import UserError
from testbed.tests.unit.nasty import INVALID_UTF8, NASTY

LINE_CHARS = 16 * 1024
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
each_nasty = pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)


@each_nasty
def test_a_cleaned_text_is_harmless_and_stays_as_it_is(text: str) -> None:
    cleaned = clean(text)
    assert not HARMFUL.search(cleaned)
    assert clean(cleaned) == cleaned
    assert cleaned.encode().decode() == cleaned


def test_bytes_that_are_no_text_become_text() -> None:
    lines = split_lines(INVALID_UTF8 + b"\n" + INVALID_UTF8 * 70_000)
    assert len(lines) == 2
    assert not any(HARMFUL.search(line) for line in lines)


@each_nasty
def test_cleaning_whole_or_by_lines_is_the_same(text: str) -> None:
    whole = f"{text}\n{text}[0m\n\\{text}"
    data = whole.encode(errors="replace")
    lines = [clean(line) for line in data.decode().split("\n")]
    assert list(split_lines(data)) == (lines[:-1] if lines[-1] == "" else lines)


@each_nasty
def test_a_file_name_stays_in_its_folder(text: str, tmp_path: Path) -> None:
    name = make_file_name(text)
    assert re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+~-]*", name)
    path = tmp_path / f"{name}.test.console.log"
    path.write_bytes(b"")
    assert [p.resolve() for p in tmp_path.iterdir()] == [path.resolve()]
    assert make_file_name(text) == name


def test_two_texts_never_share_a_file_name() -> None:
    texts = {*NASTY.values(), "a/b", "a-b", "a:b", ".a-b", "-a-b", "n" * 150, "n" * 151, "n" * 152}
    texts |= {make_file_name(text) for text in texts}  # a name that was guessed beforehand
    assert len({make_file_name(text) for text in texts}) == len(texts)


def test_a_text_that_is_a_file_name_is_left_as_it_is() -> None:
    for text in ("vm-1", "mbind", "global.move_private", "a+b", "n" * 150):
        assert make_file_name(text) == text
    name = make_file_name("guest-tests/mempolicy/mbind.c::global.moves")
    assert name.startswith("guest-tests-mempolicy-mbind.c-global.moves~")


def crash_lines() -> list[str]:
    """Return long lines that begin as reports do and never come to their end."""
    begins = [re.sub(r"\\(.)", r"\1", p.regex.pattern.split("(")[0]) for p in PATTERNS]
    begins += ["", "Oops: ", "BUG: KASAN: a in ", "INFO: task ", "Uninit was ", "RIP: 0010:", " "]
    seeds = ("a", "0", " ", "-", "[", "a/", "a.", "1:", ":1", "a+0x0", " by task 1", "# ", "\x1b]")
    return [
        f"[    1.000000] {begin}{seed * (LINE_CHARS // len(seed))}"
        for begin in begins
        for seed in seeds
    ]


def test_long_lines_take_the_crash_scanner_no_time() -> None:
    for line in crash_lines():
        scanner = CrashScanner()
        began = time.process_time()
        scanner.feed(line)
        scanner.finish()
        assert time.process_time() - began < 0.25, line[:80]


@pytest.mark.parametrize(
    "seed", ["ok 1 ", "#", " #", "# SKIP ", " ", "1..1 ", '@metric {"', "# @metric {", "\x1b[", "{"]
)
@pytest.mark.parametrize(
    "begin", ["", "ok 1 a", "not ok 1 # ", "1..1 # SKIP", "# @metric ", "    "]
)
def test_long_lines_take_the_ktap_parser_no_time(begin: str, seed: str) -> None:
    line = begin + seed * (LINE_CHARS // len(seed))
    began = time.process_time()
    parse_ktap([line] * 10)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("text", [t for t in NASTY.values() if t.strip()])
def test_a_program_cannot_name_a_case_as_it_likes(text: str) -> None:
    first = text.split("\n", maxsplit=1)[0]
    for line in (first, f"{'global':46} {first}", f"{'f':20} {first:25} test"):
        try:
            names = parse_case_list([line])
        except UserError as err:
            said = str(err)
        else:
            allowed = {*string.ascii_letters, *string.digits, "_", "$", "."}
            assert all(set(name) <= allowed for name in names)
            said = ""
        assert not HARMFUL.search(said)
        assert len(said) < 1000


def test_a_program_cannot_have_cases_without_end() -> None:
    rows = [f"{'f' if not n else '':20} variant{n:<18} test{n}" for n in range(1000)]
    with pytest.raises(UserError, match=f"more than {MAX_CASES} cases"):
        parse_case_list(rows)
