"""What compilers say of sources: gcc, clang, sparse, kernel-doc and objtool, in a log of kbuild.

Formats: gcc 12 and clang 16 (``file:line:col: warning: text [-Wflag]``), sparse 0.6.4 (the same,
without a flag), scripts/kernel-doc of 6.12 at W=1 (no column, no flag), tools/objtool of 6.12
(the object instead of a file).
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from testbed.core.text import clean, shorten_middle

OBJTOOL: Final = "objtool"
KERNEL_DOC: Final = "kernel-doc"

_MAX_LINE_CHARS: Final = 4000
_MAX_MESSAGE_CHARS: Final = 300
_MAX_DIGITS: Final = 9

_MESSAGE: Final = re.compile(
    r"(?P<file>[^\s:][^:]*):(?P<line>\d+)(?P<column>:\d+)?: "
    r"(?P<grade>warning|(?:fatal )?error): (?P<message>.*)"
)
_OBJTOOL: Final = re.compile(
    r"(?P<file>[^\s:]+\.o): (?P<grade>warning|error): objtool: (?P<message>.*)"
)
_FLAG: Final = re.compile(r" \[(?:-Werror[=,])?(?:-Werror,)?-?W?(?P<flag>[\w+=#-]+)\]$")
_NO_SOURCE: Final = re.compile(r"(?:.*/)?(?:Makefile|Kbuild|Kconfig)[^/]*|.*\.config|\.config")
# What changes when lines move: "defined at mm/x.c:12:3", "struct <unnamed at x.c:5>", "in line 7".
_PLACE: Final = re.compile(r"(?<=:)\d+(?::\d+)?\b|(?<=\bline )\d+")
_OFFSET: Final = re.compile(r"\+0x[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilerMessage:
    """A warning, or an error; the notes below it are left out.

    ``line`` is None where the tool names none. ``flag`` is what turns a warning off, without
    ``-W``; ``kernel-doc`` and ``objtool`` for theirs, empty where none is told.
    """

    file: str
    line: int | None
    message: str
    flag: str
    is_error: bool

    @property
    def place(self) -> str:
        """Return ``file:line``, or the file."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @property
    def key(self) -> tuple[str, str]:
        """What stays the same when lines are added above."""
        text = _PLACE.sub("N", self.message)
        return self.file, _OFFSET.sub("+N", text) if self.flag == OBJTOOL else text

    def __str__(self) -> str:
        """Return it as a compiler prints it, in one line."""
        grade = "error: " if self.is_error else ""
        flag = f" [-W{self.flag}]" if self.flag not in ("", OBJTOOL, KERNEL_DOC) else ""
        tool = f"{self.flag}: " if self.flag in (OBJTOOL, KERNEL_DOC) else ""
        return f"{self.place}: {tool}{grade}{self.message}{flag}"


def parse_messages(lines: Iterable[str]) -> tuple[CompilerMessage, ...]:
    """Return the warnings and errors of a log, each place once: many files include a header."""
    found: dict[CompilerMessage, None] = {}
    for raw in lines:
        message = _parse(clean(raw[:_MAX_LINE_CHARS]).strip())
        if message is not None:
            found[message] = None
    return tuple(found)


def find_new(
    before: Iterable[CompilerMessage], after: Iterable[CompilerMessage]
) -> tuple[CompilerMessage, ...]:
    """Return what ``after`` has and ``before`` has not, in its order.

    Both are compared as multisets of (file, text without line numbers): a warning that only moved
    is no news, a second one of the same text is.
    """
    known = Counter(message.key for message in before)
    new = []
    for message in after:
        if known[message.key]:
            known[message.key] -= 1
        else:
            new.append(message)
    return tuple(new)


def _parse(line: str) -> CompilerMessage | None:
    if match := _OBJTOOL.fullmatch(line):
        return _make(match, flag=OBJTOOL, number=None)
    match = _MESSAGE.fullmatch(line)
    if match is None or _NO_SOURCE.fullmatch(match["file"]):
        return None
    number = int(match["line"][:_MAX_DIGITS])
    if match["column"] is None:
        return _make(match, flag=KERNEL_DOC, number=number)
    return _make(match, flag="", number=number)


def _make(match: re.Match[str], *, flag: str, number: int | None) -> CompilerMessage:
    text = match["message"]
    told = _FLAG.search(text) if not flag else None
    if told:
        text = text[: told.start()]
    return CompilerMessage(
        file=match["file"].removeprefix("./"),
        line=number,
        message=shorten_middle(text.strip(), width=_MAX_MESSAGE_CHARS),
        flag=told["flag"] if told else flag,
        is_error=match["grade"] != "warning",
    )
