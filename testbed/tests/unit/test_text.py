"""Text from outside is safe to keep, to encode and to show."""

import itertools
from xml.etree import ElementTree as ET

import pytest

from testbed.core.text import clean, shorten_middle, split_lines


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[?25l\x1b[2K\x1b[38:5:12mx", "x"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a/\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice control\x1b\\x", "x"),
        ("\x1b]0;never ends", "0;never ends"),
        ("\x1b]0;never ends\nnext", "0;never ends\nnext"),
        ("\x1b(B\x1b=\x1b>\x1bMx", "x"),
        ("\x1b", ""),
        ("\x1b\x1b[0m[31mx", "[31mx"),
        ("a\r\nb\x00\x08\x7f\x85c", "a\nbc"),
        ("\ud800 \udcff \uffff", "\ufffd \ufffd \ufffd"),
        ("é ü 漢 🙂", "é ü 漢 🙂"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


ALPHABET = ("\x1b", "[", "]", "\\", "\x07", "\x9c", "0", "m", "\n", "\ud800", "x")


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_whatever_comes_the_result_is_clean_and_stays_so(length: int) -> None:
    for chars in itertools.product(ALPHABET, repeat=length):
        text = clean("".join(chars))
        assert clean(text) == text
        assert text.encode().count(b"\x1b") == 0
        assert text.count("\n") == chars.count("\n")
        ET.fromstring(f"<x>{text}</x>")  # noqa: S314 - the XML is this test's own


@pytest.mark.parametrize("char", ["\x1b", "\x1b[", "\x1b]", "\x9d", "\x1b]a\n", "\x07"])
def test_clean_takes_time_by_the_length_only(char: str) -> None:
    assert "\x1b" not in clean(char * 500_000)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", ()),
        (b"\n", ("",)),
        (b"a", ("a",)),
        (b"a\n", ("a",)),
        (b"a\r\nb\r\n", ("a", "b")),
        (b"a\n\nb", ("a", "", "b")),
        (b"a\x0cb\xe2\x80\xa8c\x1cd\n", ("ab\ufffdcd",)),
        (b"\xff\xc3\xa9\n", ("\ufffdé",)),
    ],
)
def test_split_lines(data: bytes, lines: tuple[str, ...]) -> None:
    assert split_lines(data) == lines


@pytest.mark.parametrize("length", range(40))
@pytest.mark.parametrize("width", range(30))
def test_shorten_middle_keeps_the_width_and_both_ends(length: int, width: int) -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(length))
    short = shorten_middle(text, width=width)
    assert len(short) == min(length, width)
    if length <= width:
        assert short == text
    elif width:
        head, tail = short.split("…")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(tail) >= len(head)
