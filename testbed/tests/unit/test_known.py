"""A failure that is declared is known; nothing else is excused by a declaration."""

from pathlib import Path

import pytest

from testbed.core.declared import Known
from testbed.core.ktap import parse_ktap
from testbed.core.plain_failure import is_plain_failure
from testbed.core.result import Crash, Verdict
from testbed.errors import GuestLostError
from testbed.host.bzimage import find_release
from testbed.host.guest_result import GuestTimeoutError
from testbed.pytest_plugin.cell import CellBootFailedError, KernelCrashedError
from testbed.pytest_plugin.judge import CaseFailedError, excuse, judge_exception
from testbed.tests.unit.test_prebuilt import make_image

KNOWN = Known(kernels="<6.7", why="the status is another", commit="5d4af6195c87")
CRASH = Crash(title="WARNING in foo", kind="warning", frames=("foo",), excerpt="WARNING: ...")
EXPECTED = "# a.c:12:moves:Expected 16 (16) == moved (3)"
MISPLACED = '# @placement {"what": "anon", "expected": {"1": 16}, "seen": {"0": 16}}'
NOT_OK = "not ok 1 global.x"


def run_of(*lines: str) -> list[str]:
    return ["TAP version 13", "1..1", "#  RUN           global.x ...", *lines]


@pytest.mark.parametrize(
    ("error", "is_excused"),
    [
        (CaseFailedError(Verdict.FAILED, "shown", is_plain=True), True),
        (AssertionError("1 == 2"), True),
        (pytest.fail.Exception("no"), True),
        (CaseFailedError(Verdict.FAILED, "the test tainted the kernel"), False),
        (CaseFailedError(Verdict.CRASHED, "shown", is_plain=True), False),
        (TypeError("a bug of the test"), False),
        (KernelCrashedError(CRASH), False),
        (CellBootFailedError(CRASH), False),
        (GuestTimeoutError("no end"), False),
        (GuestLostError("gone"), False),
        (pytest.skip.Exception("needs a series"), False),
    ],
)
def test_what_a_declaration_excuses(error: BaseException, *, is_excused: bool) -> None:
    ending = judge_exception(error, shown="shown")
    excused = excuse(ending, error, KNOWN)
    assert (excused.verdict is Verdict.KNOWN) is is_excused
    if is_excused:
        assert excused.message == "known: the status is another (5d4af6195c87)\nshown"
    else:
        assert excused == ending
    assert excuse(ending, error, None) == ending


@pytest.mark.parametrize(
    ("lines", "exit_status", "is_plain"),
    [
        ([EXPECTED, NOT_OK], 1, True),
        ([MISPLACED, NOT_OK], 1, True),
        ([EXPECTED, "# x: Test terminated by assertion", NOT_OK], 1, True),
        ([EXPECTED, "# x: Test terminated by timeout", NOT_OK], 1, False),
        ([EXPECTED, "# x: Test terminated unexpectedly by signal 11", NOT_OK], 1, False),
        ([EXPECTED, "# x: Test ended in some other way [127]", NOT_OK], 1, False),
        ([EXPECTED, NOT_OK], 139, False),
        ([NOT_OK], 1, False),
        ([EXPECTED, "ok 1 global.x"], 0, False),
        ([EXPECTED, "ok 1 global.x # SKIP no"], 0, False),
        ([EXPECTED, f"{NOT_OK} # XPASS"], 1, True),
        ([EXPECTED, f"{NOT_OK} # TIMEOUT 30 seconds"], 1, False),
        ([EXPECTED], 1, False),
        ([EXPECTED, NOT_OK, "not ok 2 global.y"], 1, False),
        ([EXPECTED, "# @metric {}", NOT_OK], 1, False),
        ([EXPECTED, "Bail out! no"], 1, False),
    ],
)
def test_a_plain_failure_is_one_of_what_a_case_checks(
    lines: list[str], exit_status: int, *, is_plain: bool
) -> None:
    run = parse_ktap(run_of(*lines))
    assert is_plain_failure(run, "global.x", exit_status=exit_status) is is_plain


def test_the_release_is_what_the_image_says(tmp_path: Path) -> None:
    image = tmp_path / "bzImage"
    image.write_bytes(make_image(b"6.1.176-testbed (a@b) #1\0"))
    assert find_release(image) == "6.1.176-testbed"


@pytest.mark.parametrize("content", [b"", b"ELF", b"\0" * 0x1000])
def test_of_another_file_the_release_is_not_known(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(content)
    assert find_release(tmp_path / "vmlinux") == ""
    assert find_release(tmp_path / "none") == ""
