"""Text for reports: made harmless, made short, made readable.

What a guest printed may be anything: escape sequences that would repaint the user's terminal,
characters that turn lines around, half a megabyte in a line. All of it passes through here.
"""

import math
import re
from collections.abc import Iterable
from typing import Final

from testbed.core.result import NodeCount
from testbed.core.text import shorten_middle, strip_escapes

# C0 and C1 controls, marks that reorder text (Unicode TR9), what is not seen at all and makes one
# name look like another, lone surrogates, noncharacters.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_NEWLINES: Final = re.compile(r"\r+\n?")
_WHOLE_FROM: Final = 1000
_PATH_CHARS: Final = 1000
_MINUTE_S: Final = 60


def clean_text(text: str) -> str:
    """Drop escape sequences; put U+FFFD for what else is not to be shown; keep tab and newline."""
    return _UNSEEN.sub("\ufffd", _NEWLINES.sub("\n", strip_escapes(text)))


def clip_text(text: str, limit: int) -> str:
    """Return at most about ``limit`` characters of ``text``: its beginning and its end."""
    if len(text) <= limit:
        return text
    head, tail = text[: limit * 2 // 3], text[len(text) - limit // 3 :]
    return f"{head}\n… {len(text) - len(head) - len(tail):,} characters left out …\n{tail}"


def clip_lines(text: str, limit: int) -> str:
    """Return the first ``limit`` lines of ``text``, and a line that counts the others."""
    lines = text.splitlines()
    if len(lines) <= limit:
        return "\n".join(lines)
    return "\n".join([*lines[:limit], f"… {len(lines) - limit:,} more lines"])


def tail_lines(text: str, limit: int) -> str:
    """Return the last ``limit`` lines of ``text``."""
    return "\n".join(text.rstrip().splitlines()[-limit:])


def is_inside(path: str) -> bool:
    """Whether ``path``, relative to a folder, can be of a file in it."""
    is_relative = bool(path) and not path.startswith("/") and ".." not in path.split("/")
    return is_relative and "\0" not in path and len(path) <= _PATH_CHARS


def join_line(text: str) -> str:
    """Return ``text`` as one line, with single blanks."""
    return " ".join(text.split())


def show_line(text: str, *, width: int) -> str:
    """Return ``text`` as one harmless line of at most ``width`` characters."""
    return shorten_middle(join_line(clean_text(text)), width=width)


def describe_node(node: int) -> str:
    """Return ``node 1``, or what the node -1 stands for."""
    return "not present" if node < 0 else f"node {node}"


def describe_counts(counts: Iterable[NodeCount]) -> str:
    """Return, say, ``node 0: 3 pages, node 1: 1 page``."""
    shown = sorted((c for c in counts if c.pages), key=lambda c: (c.node < 0, c.node))
    words = (f"{describe_node(c.node)}: {count(c.pages, 'page')}" for c in shown)
    return ", ".join(words) or "no pages"


def count(number: int, noun: str, *, plural: str = "") -> str:
    """Return, say, ``1 page`` or ``1,024 pages``; ``plural`` is for what takes more than an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def format_seconds(seconds: float) -> str:
    """Return a duration as a reader would say it: ``0.75 s``, ``31.5 s``, ``4 min 01 s``."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds >= _MINUTE_S:
        minutes, rest = divmod(round(seconds), _MINUTE_S)
        return f"{minutes} min {rest:02} s"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def format_number(value: float) -> str:
    """Return ``value`` with four digits that count, or all of a whole number."""
    if not math.isfinite(value):
        return "not a number"
    if abs(value) >= _WHOLE_FROM or value.is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}"
