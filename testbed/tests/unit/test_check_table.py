import io

import pytest
from rich.console import Console

from testbed.core.check import (
    CheckpatchCount,
    CheckReport,
    Finding,
    FindingKind,
    PatchCheck,
    Stage,
    StageTime,
    VariantCheck,
)
from testbed.report.check_table import render_check

GOOD = PatchCheck(
    number=1,
    filename="0001.patch",
    subject="mm/migrate: count why pages could not be migrated",
    applies=True,
    builds=True,
    warnings=0,
    checkpatch=CheckpatchCount(errors=0, warnings=0, checks=2),
    header_problems=0,
)
UNSEEN = PatchCheck(number=2, filename="0002.patch", subject="")


def make_report(
    *findings: Finding,
    patches: tuple[PatchCheck, ...] = (GOOD, UNSEEN),
    variants: tuple[VariantCheck, ...] = (),
    notes: tuple[str, ...] = (),
) -> CheckReport:
    return CheckReport(
        name="my-series",
        source="debian:6.12",
        patches=patches,
        variants=variants,
        findings=findings,
        notes=notes,
        stages=(StageTime(stage=Stage.APPLIES, seconds=0.25),),
    )


def show(report: CheckReport, *, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(render_check(report))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def find_line(lines: list[str], text: str) -> str:
    (line,) = (line for line in lines if text in line)
    return line


def test_a_clean_series_is_a_row_a_patch_and_a_verdict() -> None:
    lines = show(make_report())

    row = find_line(lines, "mm/migrate: ")
    assert row.split()[-6:] == ["yes", "yes", "none", "2", "checks", "none"]
    assert lines[-1] == "2 patches, nothing found in 0.25 s; exit 0"
    assert not any(line.startswith("found: ") for line in lines)


def test_what_was_not_looked_at_is_a_dash() -> None:
    row = find_line(show(make_report()), "0002.patch")

    assert row.split()[-5:] == ["-"] * 5


def test_findings_stand_below_their_patch_and_are_counted_in_the_last_line() -> None:
    lines = show(
        make_report(
            Finding(
                kind=FindingKind.WARNING,
                title="mm/a.c:1: unused",
                detail="at W=1",
                patch_number=1,
                patch="mm: one",
            ),
            Finding(kind=FindingKind.VARIANT, title="32-bit: text"),
            Finding(kind=FindingKind.VARIANT, title="!NUMA: text"),
            Finding(
                kind=FindingKind.CHECKPATCH,
                title="warning: X",
                patch_number=2,
                patch="mm: two",
                is_blocking=False,
            ),
        )
    )

    heads = [lines.index(one) for one in ("patch 1: mm: one", "patch 2: mm: two")]
    assert heads == sorted(heads)
    assert lines[heads[0] + 1] == "  new warning: mm/a.c:1: unused"
    assert lines[heads[0] + 2] == "    at W=1"
    assert lines.index("the series as a whole") > heads[1]
    assert lines[-2:] == [
        "found: 1 new warning, 2 findings in variants, 1 told that does not count",
        "2 patches, 3 findings in 0.25 s; exit 1",
    ]


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        (FindingKind.DOES_NOT_BUILD, 3, "1 patch that does not build"),
        (FindingKind.DOES_NOT_APPLY, 2, "1 patch that does not apply"),
    ],
)
def test_the_verdict_has_the_exit_code(kind: FindingKind, code: int, words: str) -> None:
    lines = show(make_report(Finding(kind=kind, title="t", patch_number=1, patch="p")))

    assert lines[-2:] == [f"found: {words}", f"2 patches, 1 finding in 0.25 s; exit {code}"]


def test_how_a_patch_was_applied_is_told() -> None:
    row = PatchCheck(
        number=1, filename="p", subject="mm: x", applies=True, notes=("mm/a.c: hunk 2, fuzz 1",)
    )

    lines = show(make_report(patches=(row,)))

    assert "not plainly" in find_line(lines, "mm: x")
    assert "patch 1: mm/a.c: hunk 2, fuzz 1" in lines
    assert lines[-1].startswith("1 patch, ")


def test_variants_tell_what_was_not_built_and_what_was_broken_before() -> None:
    lines = show(
        make_report(
            variants=(
                VariantCheck(name="!NUMA", files=2, known=1, not_built=("mm/mempolicy.c",)),
                VariantCheck(name="32-bit", files=0, trouble="the base cannot be configured"),
            ),
            notes=("checkpatch: the source has no scripts/checkpatch.pl",),
        )
    )

    assert "not built in this variant: mm/mempolicy.c" in find_line(lines, "!NUMA")
    assert "2 files" in find_line(lines, "!NUMA")
    assert "the base cannot be configured" in find_line(lines, "32-bit")
    assert "note: checkpatch: the source has no scripts/checkpatch.pl" in lines


def test_a_hundred_columns_hold_the_longest_of_everything() -> None:
    worst = PatchCheck(
        number=10,
        filename="p",
        subject="mm/migrate: " + "very long words " * 20,
        applies=True,
        notes=("n" * 300,),
        builds=False,
        warnings=12,
        checkpatch=CheckpatchCount(errors=12, warnings=12, checks=3),
        header_problems=3,
    )
    variant = VariantCheck(
        name="!MEMORY_HOTPLUG", files=12, not_built=tuple(f"drivers/{n}/x.c" for n in range(50))
    )
    finding = Finding(kind=FindingKind.WARNING, title="t" * 900, patch_number=1, patch="s" * 500)

    lines = show(make_report(finding, patches=(worst,), variants=(variant,)))

    assert max(map(len, lines)) <= 100
    row = find_line(lines, "12 errors, 12 warnings")
    assert "12 new" in row
    assert "3 wrong" in row


def test_a_subject_cannot_paint_the_terminal_or_speak_markup() -> None:
    evil = "[bold]x[/bold] \x1b[2Jgone\x07 \u202etxt"
    row = PatchCheck(number=1, filename="p", subject=evil)
    finding = Finding(kind=FindingKind.HEADER, title=evil, detail=evil, patch_number=1, patch=evil)

    text = "\n".join(show(make_report(finding, patches=(row,), notes=(evil,))))

    assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert text.count("[bold]x[/bold]") == 5


def test_a_flood_of_one_kind_is_cut_and_counted() -> None:
    findings = [
        Finding(kind=FindingKind.CHECKPATCH, title=f"error: {n}", patch_number=1, patch="p")
        for n in range(40)
    ]

    lines = show(make_report(*findings))

    assert sum("error: " in line for line in lines) == 12
    assert "  and 28 more of patch 1: checkpatch" in lines
    assert lines[-2] == "found: 40 checkpatch errors"
