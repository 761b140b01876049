"""Text from a guest or a compiler, made safe to keep and to show.

Consoles and test programs may print anything: escape sequences that would repaint the reader's
terminal, bytes that are no UTF-8, characters that XML (JUnit) does not allow.
"""

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
_UNENCODABLE: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")


def strip_escapes(text: str) -> str:
    """Return ``text`` without terminal escape sequences."""
    return _ESCAPES.sub("", text)


def clean(text: str) -> str:
    """Return ``text`` without escape sequences and control characters other than tab and newline.

    Lone surrogates (what ``errors="surrogateescape"`` leaves of bytes that are no UTF-8) become
    U+FFFD, so that the result can be encoded and can be put into XML.
    """
    text = _CONTROLS.sub("", strip_escapes(text))
    return _UNENCODABLE.sub(_REPLACEMENT, text)


def split_lines(data: bytes) -> tuple[str, ...]:
    r"""Return the lines of a program's output, cleaned, each without its end.

    Only ``\n`` ends a line: :meth:`str.splitlines` would split at form feeds and U+2028 too.
    """
    lines = data.decode(errors="replace").split("\n")
    if lines[-1] == "":
        lines.pop()
    return tuple(clean(line) for line in lines)


def shorten_middle(text: str, *, width: int) -> str:
    """Return ``text`` in at most ``width`` characters; the middle goes, the end says more."""
    if len(text) <= width:
        return text
    if width <= len(_ELLIPSIS):
        return _ELLIPSIS[: max(width, 0)]
    head = (width - len(_ELLIPSIS)) // 3
    tail = width - len(_ELLIPSIS) - head
    return f"{text[:head]}{_ELLIPSIS}{text[len(text) - tail :]}"
