from collections.abc import Sequence
from dataclasses import replace

import pytest

from testbed.core.compare import compare_cells
from testbed.core.exit_code import decide_exit
from testbed.core.record import CellRecord, Culprit, PatchRecord, Role, StepRecord
from testbed.core.result import Verdict
from testbed.core.steps import find_culprits
from testbed.tests.unit.records import BOOT_PANIC, TWO_NODES, make_cell, make_kernel, make_test

LETTERS = {
    "p": Verdict.PASSED,
    "f": Verdict.FAILED,
    "c": Verdict.CRASHED,
    "s": Verdict.SKIPPED,
    "l": Verdict.LOST,
}
FAILURE = "mm/migrate.c:2436:24: error: implicit declaration of function 'find_absent_status'"


def patches(count: int) -> tuple[PatchRecord, ...]:
    return tuple(
        PatchRecord(number=n, filename=f"{n:04}.patch", subject=f"mm: part {n}")
        for n in range(1, count + 1)
    )


def cell(letter: str, role: Role) -> CellRecord:
    """A cell with one test: not there for "-", in a kernel that does not boot for "x"."""
    if letter == "x":
        tests = [make_test("t", Verdict.BOOT_FAILED, crash=BOOT_PANIC)]
        return make_cell(tests, role=role, boot_crash=BOOT_PANIC)
    return make_cell([] if letter == "-" else [make_test("t", LETTERS[letter])], role=role)


def step(patch: PatchRecord, letter: str) -> StepRecord:
    """The kernel after ``patch``, which does not build for "b"."""
    if letter == "b":
        return StepRecord(patch=patch, kernel=make_kernel(Role.STEP, failure=FAILURE), cells=())
    kernel = make_kernel(Role.STEP)
    return StepRecord(patch=patch, kernel=kernel, cells=(cell(letter, Role.STEP),))


def find(chain: str) -> tuple[Culprit, ...]:
    """Find culprits where the test went as ``chain`` says, from the base to the last patch."""
    base, steps, patched, all_patches = lay_out(chain)
    return find_culprits(base, steps, patched, patches=all_patches)


def lay_out(
    chain: str,
) -> tuple[list[CellRecord], list[StepRecord], list[CellRecord], Sequence[PatchRecord]]:
    all_patches = patches(len(chain) - 1)
    return (
        [cell(chain[0], Role.BASE)],
        [step(patch, letter) for patch, letter in zip(all_patches, chain[1:-1], strict=False)],
        [cell(chain[-1], Role.PATCHED)],
        all_patches,
    )


@pytest.mark.parametrize(
    ("chain", "suspects", "mended_by"),
    [
        ("ppffff", [2], None),
        ("pf", [1], None),
        ("ppppf", [4], None),
        ("pffff", [1], None),
        ("pppcff", [3], None),  # the first failure counts, whatever kind it is
        ("ppbff", [2, 3], None),  # patch 2 does not build: it or 3
        ("ppxff", [2, 3], None),
        ("pplff", [2, 3], None),
        ("ppbbf", [2, 3, 4], None),
        ("ppffp", [2], 4),
        ("pfbpp", [1], 3),
        ("pfpf", [3], None),  # the last failure of several
        ("fffc", [3], None),  # worse than on the base
        ("--f", [2], None),  # the test is new with patch 2
        ("ppss", [2], None),  # no longer run
        ("pp--", [2], None),
    ],
)
def test_the_patch_that_made_a_test_fail_is_found(
    chain: str, suspects: list[int], mended_by: int | None
) -> None:
    (culprit,) = find(chain)
    assert [patch.number for patch in culprit.suspects] == suspects
    assert (culprit.mended_by.number if culprit.mended_by else None) == mended_by
    assert (culprit.test, culprit.topology) == ("t", TWO_NODES)


@pytest.mark.parametrize(
    ("alone", "suspects"),
    [("f", [4]), ("c", [4]), ("p", [2, 3, 4]), ("l", [2, 3, 4]), ("x", [2, 3, 4]), ("-", [4])],
)
def test_a_suspect_that_fails_without_the_others_is_the_culprit(
    alone: str, suspects: list[int]
) -> None:
    base, steps, patched, all_patches = lay_out("ppbbff")
    apart = replace(step(all_patches[3], alone), without=(2, 3))
    (culprit,) = find_culprits(base, [*steps, apart], patched, patches=all_patches)
    assert [patch.number for patch in culprit.suspects] == suspects
    code, _ = decide_exit([*base, *patched], (), steps=[*steps, apart])
    assert code == 3  # for patches 2 and 3 alone


@pytest.mark.parametrize("without", [(), (2,), (3,), (1,)])
def test_a_step_that_has_another_suspect_in_it_tells_nothing_apart(
    without: tuple[int, ...],
) -> None:
    base, steps, patched, all_patches = lay_out("ppbbff")
    apart = replace(step(all_patches[3], "f"), without=without)
    (culprit,) = find_culprits(base, [*steps, apart], patched, patches=all_patches)
    assert [patch.number for patch in culprit.suspects] == [2, 3, 4]


@pytest.mark.parametrize("chain", ["ppp", "fff", "ffp", "ssp", "--p", "pbp", "plp", "pp"])
def test_without_a_failure_of_its_own_a_series_has_no_culprit(chain: str) -> None:
    assert find(chain) == ()


def test_the_verdict_told_is_that_of_the_first_failure() -> None:
    (culprit,) = find("ppcf")
    assert culprit.verdict is Verdict.CRASHED


@pytest.mark.parametrize(
    ("chain", "code", "reason"),
    [
        ("ppbpp", 3, f"after patch 2 (mm: part 2) the kernel did not build ({FAILURE})"),
        (
            "pxp",
            3,
            (
                f"after patch 1 (mm: part 1) the kernel did not boot on {TWO_NODES} "
                f"({BOOT_PANIC.title})"
            ),
        ),
        ("ppfpp", 1, "1 test failed in the middle of the series"),
        ("ppff", 1, "1 test regressed"),
        ("pppp", 0, "nothing regressed: 1 still passing"),
    ],
)
def test_the_exit_code_knows_of_every_step(chain: str, code: int, reason: str) -> None:
    base, steps, patched, all_patches = lay_out(chain)
    culprits = find_culprits(base, steps, patched, patches=all_patches)
    comparison = compare_cells(base, patched)
    decided = decide_exit([*base, *patched], comparison, steps=steps, culprits=culprits)
    assert decided == (code, reason)
