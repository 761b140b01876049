"""Text from a guest or a compiler, made safe to keep and to show.

Consoles and test programs may print anything: escape sequences that would repaint the reader's
terminal, bytes that are no UTF-8, characters that XML (JUnit) does not allow.
"""

import hashlib
import re
from typing import Final

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_ELLIPSIS: Final = "…"

# ECMA-48, 5th edition: 5.4 control sequences (CSI), 5.6 control strings (OSC, DCS, SOS, PM, APC;
# xterm ends an OSC with BEL too), and the other two- and three-character escapes of ECMA-35.
# A control string that never ends loses its introducer only: it must not hide what follows.
_ESCAPES: Final = re.compile(
    r"""
    (?: \x1b\[ | \x9b ) [0-?]* [ -/]* [@-~]
    | (?: \x1b[\]PX^_] | [\x90\x98\x9d-\x9f] )
      [^\x07\x1b\x90\x98\x9c-\x9f\n]* (?: \x07 | \x1b\\ | \x9c )
    | \x1b [ -/]* [0-~]
    """,
    re.VERBOSE,
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Lone surrogates cannot be encoded; U+FFFE and U+FFFF are no characters of XML 1.0 (2.2, Char).
# U+2028 and U+2029 end a line for some readers and not for others. The rest turns text around, so
# that it reads as what it is not (Unicode TR9, 2: explicit directional formatting).
_MISLEADING: Final = re.compile(
    "[\ud800-\udfff\ufffe\uffff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)

_FILE_NAME_CHARS: Final = 150  # a caller's suffix still fits into NAME_MAX (255 bytes, limits.h)
_DIGEST_CHARS: Final = 12
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9._+-]+")


def strip_escapes(text: str) -> str:
    """Return ``text`` without terminal escape sequences."""
    if text.isprintable():  # most text is; the look is ten times cheaper than the search
        return text
    return _ESCAPES.sub("", text)


def clean(text: str) -> str:
    """Return ``text`` without escape sequences and control characters other than tab and newline.

    Lone surrogates (what ``errors="surrogateescape"`` leaves of bytes that are no UTF-8) become
    U+FFFD, so that the result can be encoded and can be put into XML; so do the characters that
    reorder text and the line ends of Unicode.
    """
    if text.isprintable():
        return text
    text = _CONTROLS.sub("", strip_escapes(text))
    return _MISLEADING.sub(_REPLACEMENT, text)


def split_lines(data: bytes) -> tuple[str, ...]:
    r"""Return the lines of a program's output, cleaned, each without its end.

    Only ``\n`` ends a line: :meth:`str.splitlines` would split at form feeds and U+2028 too.
    """
    lines = clean(data.decode(errors="replace")).split("\n")
    if lines[-1] == "":
        lines.pop()
    return tuple(lines)


def shorten_middle(text: str, *, width: int) -> str:
    """Return ``text`` in at most ``width`` characters; the middle goes, the end says more."""
    if len(text) <= width:
        return text
    if width <= len(_ELLIPSIS):
        return _ELLIPSIS[: max(width, 0)]
    head = (width - len(_ELLIPSIS)) // 3
    tail = width - len(_ELLIPSIS) - head
    return f"{text[:head]}{_ELLIPSIS}{text[len(text) - tail :]}"


def make_file_name(text: str) -> str:
    """Return a file name for ``text``: one of its own for each text, the same every time.

    It has at most 163 characters, all of them letters, digits and ``._+-~`` of ASCII, and begins
    with a letter, a digit, ``_`` or ``+``: it is no hidden file, no option and no other folder.
    A text that is no such name itself becomes one, with a digest behind a ``~``, which no text
    that is left as it is has: two texts never share a name.
    """
    name = _NOT_IN_FILE_NAMES.sub("-", text).lstrip(".-")
    if len(name) > _FILE_NAME_CHARS:
        name = shorten_middle(name, width=_FILE_NAME_CHARS).replace(_ELLIPSIS, "-")
    if name and name == text:
        return name
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    return f"{name or 'unnamed'}~{digest}"
