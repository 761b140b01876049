"""The first error of a build is found, and told from its consequences."""

import dataclasses
import json
from pathlib import Path

import pytest

from testbed.core.build_log import BuildError, count_compiled, find_first_error, is_compile_line
from testbed.core.text import split_lines

GOLDEN = Path(__file__).parent.parent / "golden" / "build_log"
LOGS = sorted(GOLDEN.glob("*.log"))


def first(*lines: str) -> BuildError:
    error = find_first_error(lines)
    assert error is not None
    return error


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_golden_log(log: Path) -> None:
    lines = split_lines(log.read_bytes())
    error = find_first_error(lines, tree="/src/linux")
    assert {
        "compiled": count_compiled(lines),
        "error": None if error is None else dataclasses.asdict(error),
    } == json.loads(log.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mm/migrate.c:12:5: error: no 'x'", "mm/migrate.c:12: no 'x'"),
        ("mm/migrate.c:12: error: unterminated #if", "mm/migrate.c:12: unterminated #if"),
        ("\x1b[1mmm/a.c:1:2: \x1b[31merror: \x1b[0mno", "mm/a.c:1: no"),
        ("path with spaces/é.c:1:2: error: no", "path with spaces/é.c:1: no"),
        (
            "arch/x86/a.S:7: Error: no such instruction: `x'",
            "arch/x86/a.S:7: no such instruction: `x'",
        ),
        ("ld.lld: error: undefined symbol: nosuch", "undefined symbol: nosuch"),
        (
            "ld: mm/migrate.c:12: undefined reference to `x'",
            "mm/migrate.c:12: undefined reference to `x'",
        ),
        ("ld: final link failed: bad value", "final link failed: bad value"),
        ('ERROR: modpost: "x" [fs/y.ko] undefined!', 'modpost: "x" [fs/y.ko] undefined!'),
        ("mm/a.o: error: objtool: f() falls through", "mm/a.o: objtool: f() falls through"),
        ("error: objtool: cannot open vmlinux.o", "objtool: cannot open vmlinux.o"),
        ("mm/Kconfig:9:error: recursive inclusion", "mm/Kconfig:9: recursive inclusion"),
        ("mm/Kconfig.debug:9: syntax error", "mm/Kconfig.debug:9: syntax error"),
        ("Makefile:778: *** missing separator.  Stop.", "Makefile:778: missing separator"),
        (
            "make: *** No rule to make target 'x', needed by 'y'.  Stop.",
            "No rule to make target 'x', needed by 'y'",
        ),
        ('*** Configuration file ".config" not found!', 'Configuration file ".config" not found!'),
        ('/bin/sh: 1: Syntax error: ")" unexpected', 'Syntax error: ")" unexpected'),
        ("gcc: internal compiler error: Segmentation fault", "Segmentation fault"),
        ("/bin/sh: 1: frobnicate: not found", "frobnicate: not found"),
        (
            "mm/a.c:1:10: fatal error: stdio.h: No such file or directory",
            "mm/a.c:1: stdio.h: No such file or directory",
        ),
    ],
)
def test_error_of_the_source(line: str, expected: str) -> None:
    error = first(
        "  CC      mm/a.o", line, "make: *** [Makefile:1: x] Error 1", "mm/z.c:1:1: error: later"
    )
    assert str(error) == expected
    assert not error.is_host_fault


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("a.h:10:10: fatal error: gelf.h: No such file or directory", "libelf-dev"),
        ("sign-file.c:1:10: fatal error: openssl/bio.h: No such file or directory", "libssl-dev"),
        ("a.c:1:10: fatal error: numa.h: No such file or directory", "libnuma-dev"),
        (
            "error: Cannot generate ORC metadata, please install libelf-dev, libelf-devel",
            "libelf-dev",
        ),
        ("/bin/sh: 1: bc: not found", "package bc"),
        ("bash: line 1: pahole: command not found", "package dwarves"),
        (
            "a.c:1:1: fatal error: error writing to /tmp/x.s: No space left on device",
            "free disk space",
        ),
        ("ld: final link failed: No space left on device", "free disk space"),
        ("cat: write error: No space left on device", "free disk space"),
        ("mkdir: cannot create directory 'x': Read-only file system", "writable"),
        ("cc1: out of memory allocating 65536 bytes", "fewer jobs"),
        ("collect2: fatal error: ld terminated with signal 9 [Killed]", "fewer jobs"),
    ],
)
def test_fault_of_the_host_has_a_hint(line: str, hint: str) -> None:
    error = first(line, "make: *** [Makefile:1: x] Error 1")
    assert error.is_host_fault
    assert hint in error.hint
    assert str(error).endswith(f"({error.hint})")


def test_make_alone_is_an_error_only_without_a_better_one() -> None:
    failed = "make[3]: *** [scripts/Makefile.build:229: mm/migrate.o] Error 1"
    outer = "make[2]: *** [scripts/Makefile.build:478: mm] Error 2"
    assert first(failed, outer) == BuildError(file="mm/migrate.o", line=None, message="Error 1")
    assert first(failed, "mm/x.c:1:2: error: no", outer).file == "mm/x.c"
    assert first("make: *** [Makefile:236: __sub-make] Interrupt").message == "Interrupt"


def test_linker_names_the_object_that_a_reference_is_in() -> None:
    context = "ld: mm/migrate.o: in function `migrate_pages_sync':"
    assert (
        first(context, "migrate.c:(.text+0x1f0): undefined reference to `x'").file == "mm/migrate.c"
    )
    assert first(context, "other.c:(.text+0x1f0): undefined reference to `x'").file == "other.c"
    assert (
        first(context, "a/migrate.c:(.text+0x1): undefined reference to `x'").file == "a/migrate.c"
    )
    assert first(context, "migrate.c:7: undefined reference to `x'").file == "migrate.c"
    assert (
        first("vmlinux.o:(.data+0x0): multiple definition of `x'; y.o: first").file == "vmlinux.o"
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "  CC      mm/error.o",
        "mm/migrate.c:12:5: warning: unused variable 'error' [-Wunused-variable]",
        "mm/migrate.c:12:5: note: in expansion of macro 'error'",
        "mm/Kconfig:9:warning: defaults for choice values not supported",
        "mm/a.o: warning: objtool: f() falls through to next function g()",
        "WARNING: modpost: vmlinux: section mismatch in reference",
        "make[1]: [Makefile:1: x] Error 1 (ignored)",
        "make[1]: *** Waiting for unfinished jobs....",
        "make[1]: Entering directory '/build'",
        "#  error: in a comment",
    ],
)
def test_what_is_no_error(line: str) -> None:
    assert find_first_error([line]) is None


def test_path_below_the_tree_is_made_relative() -> None:
    line = "/a/linux/mm/x.c:1:2: error: no"
    for tree, file in {
        "/a/linux": "mm/x.c",
        "/a/linux/": "mm/x.c",
        "/a/lin": "/a/linux/mm/x.c",
    }.items():
        error = find_first_error([line], tree=tree)
        assert error is not None
        assert error.file == file


def test_huge_lines_are_bounded() -> None:
    assert len(first("mm/x.c:1:2: error: " + "x" * 1_000_000).message) <= 300
    assert first("a: " * 300_000, "x" * 1_000_000, "mm/x.c:1:2: error: no").file == "mm/x.c"


@pytest.mark.parametrize(
    ("line", "is_compile"),
    [
        ("  CC      mm/migrate.o", True),
        ("  CC [M]  drivers/block/zram/zram_drv.o", True),
        ("  CC [U]  usr/x", True),
        ("  AS      arch/x86/lib/memcpy_64.o", True),
        ("  AS [M]  x.o", True),
        ("  HOSTCC  scripts/basic/fixdep", True),
        ("  HOSTCXX scripts/x.o", True),
        ("  CC      kernel/bounds.s", True),
        ("  CC      /build/tools/objtool/check.o", True),
        ("  LD      vmlinux.o", False),
        ("  HOSTLD  scripts/kconfig/conf", False),
        ("  AR      mm/built-in.a", False),
        ("  CALL    scripts/checksyscalls.sh", False),
        ("  CC", False),
        ("CC      mm/migrate.o", False),
        (" CC      mm/migrate.o", False),
        ("  CCC     mm/migrate.o", False),
        ("# CC      mm/migrate.o", False),
    ],
)
def test_is_compile_line(line: str, is_compile: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_compile_line(line) is is_compile
    assert count_compiled([line, "", line]) == 2 * is_compile
