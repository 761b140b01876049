"""A build's output: what failed first, and how much was compiled.

Formats: gcc 12, GNU binutils 2.40, clang and lld 16, GNU make 4.3, scripts/mod/modpost.c,
tools/objtool and scripts/kconfig of 6.12. Messages are looked for in the C locale or in UTF-8.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

from testbed.core.text import clean, shorten_middle

_MAX_LINE_CHARS: Final = 4000
_MAX_MESSAGE_CHARS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildError:
    """The first error of a build.

    ``file`` is empty and ``line`` None where the tool names none. ``is_host_fault`` tells that the
    machine, not the source, is to be mended; ``hint`` is then how, as far as that is known.
    """

    file: str
    line: int | None
    message: str
    is_host_fault: bool = False
    hint: str = ""

    def __str__(self) -> str:
        """Return ``file:line: message``, with the hint, in one line."""
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")


_LD: Final = r"\S*ld(?:\.\w+)?: "
_STOP: Final = r"\.?(?:\s+Stop\.)?$"

# What each tool prints for an error; the first that matches a line counts. All have ``message``.
_ERRORS: Final = tuple(
    re.compile(regex)
    for regex in (
        # gcc, clang, as: mm/migrate.c:12:5: error: ...; "Error" is the assembler's
        r"(?P<file>[^\s:][^:]*):(?P<line>\d+)(?::\d+)?: (?:fatal )?[Ee]rror: (?P<message>.*)",
        # without a line: <command-line>: fatal error: ...; x.s: Fatal error: ...
        r"(?P<file><[\w-]+>|[^\s:]+\.[csS]): (?:[Ff]atal )?error: (?P<message>.*)",
        r"(?P<message>cc1: out of memory .*|virtual memory exhausted: .*)",
        (
            r"(?:gcc|clang|cc1|as|collect2)(?:-\d+)?: "
            r"(?:fatal error|internal compiler error): (?P<message>.*)"
        ),
        # ld says "mm/migrate.o: in function ..." for context, then migrate.c:(.text+0x16): ...
        (
            rf"(?:{_LD})?(?P<file>[^\s:]+):(?:(?P<line>\d+)|\([^)]*\)): "
            r"(?P<message>(?:more )?undefined reference to .*|multiple definition of .*)"
        ),
        (
            rf"{_LD}(?:error: )?(?P<message>(?:cannot (?:find|open)|final link failed"
            r"|undefined symbol|duplicate symbol|required symbol|unrecognized option).*)"
        ),
        r"ERROR: (?P<message>modpost: .*)",
        r"(?:(?P<file>\S+): )?error: (?P<message>objtool: .*)",
        # scripts/kconfig: preprocess.c, parser.y, lexer.l; warnings look alike
        (
            r"(?P<file>\S*Kconfig[^\s:]*):(?P<line>\d+):"
            r"(?! ?warning)(?: ?error:)? ?(?P<message>.*)"
        ),
        rf"make(?:\[\d+\])?: \*\*\* (?P<message>No rule to make target .*?){_STOP}",
        # Makefiles that stop of themselves, by $(error ...)
        (
            r"(?P<file>\S*(?:Makefile|Kbuild)[^\s:]*):(?P<line>\d+): "
            rf"\*\*\* (?P<message>.*?){_STOP}"
        ),
        r"\*\*\* (?P<message>(?:Configuration file|The source tree is not clean).*)",
        r"\S*sh: (?:line )?(?:\d+: )?(?P<message>[\w.+-]+: (?:command )?not found)",
        r"\S*sh: (?:line )?\d+: (?P<message>Syntax error: .*)",
        r"(?:error|ERROR): (?P<message>.*)",
        r"(?P<message>.*: (?:No space left on device|Read-only file system|Disk quota ).*)",
    )
)
# What make says of a command that failed: the reason, if any was given, stands before it.
_CONSEQUENCE: Final = re.compile(
    r"make(?:\[\d+\])?: \*\*\* \[(?:[^\]]*: )?(?P<file>[^\]:]+)\] (?P<message>(?:Error \d+|\w.*))$"
)
_LINK_CONTEXT: Final = re.compile(r"(?:\S*ld(?:\.\w+)?: )?(?P<object>\S+\.[oa]): in function ")

# Headers that only the host's programs include. One of libc may as well be a slip in kernel code.
_HEADER_PACKAGES: Final = {
    "gelf.h": "libelf-dev",
    "libelf.h": "libelf-dev",
    "openssl/opensslv.h": "libssl-dev",
    "openssl/bio.h": "libssl-dev",
    "openssl/evp.h": "libssl-dev",
    "numa.h": "libnuma-dev",
    "numaif.h": "libnuma-dev",
    "zlib.h": "zlib1g-dev",
    "ncurses.h": "libncurses-dev",
}
_SAME_NAME: Final = [
    "flex",
    "bison",
    "bc",
    "cpio",
    "gawk",
    "gcc",
    "m4",
    "perl",
    "python3",
    "rsync",
    "openssl",
    "zstd",
    "lz4",
]
_PROGRAM_PACKAGES: Final = {
    **dict(zip(_SAME_NAME, _SAME_NAME, strict=True)),
    "ld": "binutils",
    "as": "binutils",
    "objcopy": "binutils",
    "xz": "xz-utils",
    "pahole": "dwarves",
}
_MISSING_HEADER: Final = re.compile(r"(?P<header>\S+\.h): No such file or directory")
_MISSING_PROGRAM: Final = re.compile(r"(?P<program>[\w.+-]+): (?:command )?not found")
_NAMED_PACKAGE: Final = re.compile(r"please install (?P<package>lib[\w-]+-dev)")
# Faults of the machine that need no table: the message, and what to do.
_HOST_FAULTS: Final = (
    (re.compile(r"No space left on device|Disk quota exceeded"), "free disk space, then run again"),
    (re.compile(r"Read-only file system"), "the build folder must be writable"),
    (
        re.compile(
            r"out of memory|Cannot allocate memory|memory exhausted|Killed signal|\[Killed\]"
        ),
        "free memory or build with fewer jobs",
    ),
)

# cmd_ lines of kbuild without V=1 ("quiet_cmd_cc_o_c = CC $(quiet_modtag)  $@" and the like,
# scripts/Makefile.build and Makefile.host, 6.12); tools/build prints them alike.
_COMPILE_LINE: Final = re.compile(r"  (?:HOST)?(?:CC|CXX|AS)(?: \[[MU]\])?\s+\S")


def find_first_error(lines: Iterable[str], *, tree: str = "") -> BuildError | None:
    """Return what went wrong first, None where nothing did.

    What make says of it afterwards counts only where the tool itself gave no reason. Paths below
    ``tree`` are made relative to it.
    """
    linked = ""
    consequence = None
    for raw in lines:
        line = clean(raw[:_MAX_LINE_CHARS]).rstrip()
        if context := _LINK_CONTEXT.match(line):
            linked = context["object"]
            continue
        error = _read_error(line)
        if error is not None:
            return _finish(_place_in_object(error, linked), tree)
        if consequence is None and (match := _CONSEQUENCE.match(line)):
            consequence = _make_error(match)
    return None if consequence is None else _finish(consequence, tree)


def is_compile_line(line: str) -> bool:
    """Whether a line of kbuild's output (without ``V=1``) announces a run of the compiler."""
    return _COMPILE_LINE.match(line) is not None


def count_compiled(lines: Iterable[str]) -> int:
    """Return how many runs of the compiler kbuild announces; linking is none."""
    return sum(map(is_compile_line, lines))


def _read_error(line: str) -> BuildError | None:
    match = next((match for regex in _ERRORS if (match := regex.match(line))), None)
    return None if match is None else _make_error(match)


def _make_error(match: re.Match[str]) -> BuildError:
    found = match.groupdict()
    number = found.get("line")
    return BuildError(
        file=found.get("file") or "",
        line=int(number[:9]) if number else None,
        message=shorten_middle(match["message"].strip(), width=_MAX_MESSAGE_CHARS),
    )


def _place_in_object(error: BuildError, linked: str) -> BuildError:
    """Give the source its folder back, which ld only tells with the object."""
    source, built = PurePosixPath(error.file), PurePosixPath(linked)
    is_same = source.parent == PurePosixPath() and source.stem == built.stem
    if error.line is not None or not linked or not is_same:
        return error
    return replace(error, file=str(built.with_suffix(source.suffix)))


def _finish(error: BuildError, tree: str) -> BuildError:
    """Make the path relative, and tell a fault of the machine from one of the source."""
    prefix = tree.rstrip("/") + "/"
    file = error.file.removeprefix(prefix) if tree else error.file
    hint = _find_host_hint(error.message)
    return replace(error, file=file, is_host_fault=hint is not None, hint=hint or "")


def _find_host_hint(message: str) -> str | None:
    if match := _MISSING_HEADER.search(message):
        package = _HEADER_PACKAGES.get(match["header"])
        return f"install the package {package}" if package else None
    if match := _MISSING_PROGRAM.search(message):
        package = _PROGRAM_PACKAGES.get(match["program"])
        return f"install the package {package}" if package else None
    if match := _NAMED_PACKAGE.search(message):
        return f"install the package {match['package']}"
    return next((hint for regex, hint in _HOST_FAULTS if regex.search(message)), None)
