"""`testbed check` on the toy: each kind of finding, and that nothing else is found."""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.core.check import (
    CheckpatchCount,
    FindingKind,
    Stage,
    VariantCheck,
    decide_exit,
)
from testbed.core.events import Event
from testbed.errors import KconfigError, UserError
from testbed.host.catalog import load_plan
from testbed.pipeline.check import ALL_STAGES, check_bench
from testbed.pipeline.check import check as check_series
from testbed.tests.fake_linux.check_rig import (
    RENAME,
    UNUSED_VARIABLE,
    check,
    mail,
    make_bench,
    only_finding,
    write,
)
from testbed.tests.fake_linux.rig import (
    REPO,
    TREE,
    Rig,
    diff,
    edit,
    fingerprint,
)


def test_a_clean_series_has_nothing_found(rig: Rig, tmp_path: Path) -> None:
    series = write(tmp_path / "s", mail("mm/migrate: say it otherwise", RENAME))

    report = check(rig, series)

    assert report.findings == ()
    assert decide_exit(report) == 0
    (row,) = report.patches
    assert (row.number, row.applies, row.builds, row.warnings) == (1, True, True, 0)
    assert row.checkpatch == CheckpatchCount(errors=0, warnings=0, checks=0)
    assert row.header_problems == 0
    assert report.variants == (
        VariantCheck(name="!NUMA", files=1),
        VariantCheck(name="32-bit", files=1),
    )
    assert [one.stage for one in report.stages] == [s for s in Stage if s is not Stage.SPARSE]


def test_the_source_is_as_it_was_and_the_base_recompiles_nothing(rig: Rig, tmp_path: Path) -> None:
    rig.build()
    before = fingerprint(rig.work / "src")

    check(rig, write(tmp_path / "s", mail("mm/mempolicy: x", UNUSED_VARIABLE)))
    rig.store.remove("kernels")
    rig.build()

    assert rig.compiled == []
    assert fingerprint(rig.work / "src") == before
    assert not (rig.work / "journal").exists()


def test_the_same_check_again_compiles_nothing(rig: Rig, tmp_path: Path) -> None:
    series = write(tmp_path / "s", mail("mm/mempolicy: x", UNUSED_VARIABLE))
    first = check(rig, series)

    again = check(rig, series)

    assert rig.compiled == []
    assert replace(again, stages=()) == replace(first, stages=())


def test_a_patch_that_does_not_apply_ends_it(rig: Rig, tmp_path: Path) -> None:
    late = RENAME.replace("return page->nid >= 0;", "return page->nid == 9;")
    series = write(
        tmp_path / "s",
        mail("mm/mempolicy: fine", UNUSED_VARIABLE),
        mail("mm/migrate: late", late),
        mail("mm/migrate: never reached", RENAME),
    )

    report = check(rig, series)

    finding = only_finding(report)
    assert finding.kind is FindingKind.DOES_NOT_APPLY
    assert (finding.patch_number, finding.patch) == (2, "mm/migrate: late")
    assert "0002.patch" in finding.title
    assert "page->nid == 9" in finding.detail
    assert [row.applies for row in report.patches] == [True, False, None]
    assert [row.builds for row in report.patches] == [None, None, None]
    assert decide_exit(report) == 2
    assert rig.compiled == []


def test_how_a_patch_was_applied_is_noted(rig: Rig, tmp_path: Path) -> None:
    moved = RENAME.replace("@@ -3,7 +3,7 @@", "@@ -9,7 +9,7 @@")
    assert moved != RENAME

    report = check(rig, write(tmp_path / "s", mail("mm/migrate: x", moved)), only=())

    (row,) = report.patches
    assert row.applies
    assert row.notes
    assert "mm/migrate.c" in row.notes[0]


def test_a_patch_that_only_builds_with_the_next_is_named(rig: Rig, tmp_path: Path) -> None:
    use = edit("mm/migrate.c", "page->nid >= 0;", "page->nid >= lowest_nid();")
    declare = edit(
        "include/linux/mm.h",
        "int policy_node(int nid);",
        "int policy_node(int nid);\nstatic inline int lowest_nid(void)\n{\n\treturn 0;\n}",
    )
    broken = use.replace("lowest_nid()", "lowest_nid")
    series = write(
        tmp_path / "s",
        mail("mm: harmless", edit("init/main.c", "return 0;", "return 00;")),
        mail("mm: use", broken),
        mail("mm: mend", mend(broken), declare),
    )

    report = check(rig, series, only={Stage.BUILDS, Stage.WARNINGS})

    finding = only_finding(report)
    assert finding.kind is FindingKind.DOES_NOT_BUILD
    assert finding.patch_number == 2
    assert finding.title.startswith(
        "patch 2 does not build alone; with patch 3 it does: mm/migrate.c:6: "
    )
    assert Path(finding.detail.removeprefix("log:\n")).is_file()
    assert [row.builds for row in report.patches] == [True, False, True]
    assert [row.warnings for row in report.patches] == [0, None, 0]
    assert any(note.startswith("warnings: not compared after patch 2") for note in report.notes)
    assert decide_exit(report) == 3


def mend(broken: str) -> str:
    """Return the patch that makes a call of what ``broken`` left undeclared."""
    before = (TREE / "mm/migrate.c").read_text()
    bad = before.replace("page->nid >= 0;", "page->nid >= lowest_nid;")
    assert "+\treturn page->nid >= lowest_nid;" in broken
    return diff("mm/migrate.c", bad, bad.replace("lowest_nid;", "lowest_nid();"))


def test_a_patch_that_is_never_mended_is_blamed_for_all_that_follow(
    rig: Rig, tmp_path: Path
) -> None:
    broken = edit("mm/migrate.c", "page->nid = nid;", "page->nid = nod;")
    series = write(
        tmp_path / "s",
        mail("mm: break", broken),
        mail("mm: more", edit("init/main.c", "return 0;", "return 00;")),
    )

    report = check(rig, series, only={Stage.BUILDS})

    assert only_finding(report).title.startswith("patch 1 does not build: mm/migrate.c:11: ")
    assert [row.builds for row in report.patches] == [False, False]


def test_a_base_that_does_not_build_is_not_blamed_on_the_series(
    rig: Rig, tmp_path: Path, tree: Path
) -> None:
    (tree / "init/main.c").write_text("int start_kernel(void)\n{\n\treturn nothing;\n}\n")
    series = write(tmp_path / "s", mail("mm/migrate: x", RENAME))

    report = check(rig, series, only={Stage.BUILDS, Stage.WARNINGS}, tree=tree)

    finding = only_finding(report)
    assert finding.patch_number is None
    assert finding.title.startswith("the base does not build, without any patch: init/main.c:3: ")
    assert report.patches[0].builds is None
    assert decide_exit(report) == 3


def test_an_option_of_the_plan_that_does_not_land_on_the_base_is_the_users(
    rig: Rig, tmp_path: Path
) -> None:
    bench = make_bench(rig, write(tmp_path / "s", mail("mm/migrate: x", RENAME)))
    request = replace(bench.request, fragments=(("odd", "CONFIG_NOTHING=y\n"),))

    with pytest.raises(KconfigError, match="CONFIG_NOTHING=y did not land"):
        check_bench(replace(bench, request=request), only={Stage.BUILDS})


def test_a_patch_that_makes_an_option_fall_away_does_not_build(rig: Rig, tmp_path: Path) -> None:
    lost = edit("Kconfig", "\tdepends on SMP\n", "\tdepends on MODULES\n")

    report = check(rig, write(tmp_path / "s", mail("Kconfig: lose it", lost)), only={Stage.BUILDS})

    finding = only_finding(report)
    assert finding.kind is FindingKind.DOES_NOT_BUILD
    assert "CONFIG_NUMA=y did not land" in finding.title


def test_checkpatch_of_the_tree_is_run_on_each_patch(rig: Rig, tmp_path: Path) -> None:
    trailing = edit("mm/migrate.c", "page->nid >= 0;", "page->nid >= 0;  ")
    longer = edit("init/main.c", "// Toy start.", f"// Toy start. {'x' * 100} a+b")
    unsigned = mail("init: longer", longer).replace("Signed-off-by: A", "Acked-by: A")
    series = write(tmp_path / "s", mail("mm/migrate: trail", trailing), unsigned)

    report = check(rig, series, only={Stage.CHECKPATCH})

    assert [row.checkpatch for row in report.patches] == [
        CheckpatchCount(errors=1, warnings=0, checks=0),
        CheckpatchCount(errors=1, warnings=1, checks=1),
    ]
    assert [(one.patch_number, one.title, one.is_blocking) for one in report.findings] == [
        (1, "error: TRAILING_WHITESPACE: mm/migrate.c:6: trailing whitespace", True),
        (2, "warning: LONG_LINE: init/main.c:1: line length exceeds 100 columns", False),
        (2, "error: MISSING_SIGN_OFF: Missing Signed-off-by: line(s)", True),
    ]
    assert decide_exit(report) == 1


def test_a_warning_of_checkpatch_does_not_fail_the_check(rig: Rig, tmp_path: Path) -> None:
    longer = edit("init/main.c", "// Toy start.", f"// Toy start. {'x' * 100}")

    report = check(
        rig, write(tmp_path / "s", mail("init: longer", longer)), only={Stage.CHECKPATCH}
    )

    assert only_finding(report).kind is FindingKind.CHECKPATCH
    assert decide_exit(report) == 0


def test_a_checkpatch_that_breaks_is_told_and_leaves_its_column_empty(
    rig: Rig, tmp_path: Path
) -> None:
    change = edit("init/main.c", "// Toy start.", "// Toy GIVE_UP.")

    report = check(rig, write(tmp_path / "s", mail("init: x", change)), only={Stage.CHECKPATCH})

    assert report.patches[0].checkpatch is None
    (note,) = report.notes
    assert note.startswith("checkpatch: patch 1: scripts/checkpatch.pl ended with status ")
    assert "the toy gives up" in note


def test_a_tree_without_checkpatch_is_said_in_a_line(rig: Rig, tmp_path: Path, tree: Path) -> None:
    (tree / "scripts/checkpatch.pl").unlink()

    report = check(
        rig,
        write(tmp_path / "s", mail("mm/migrate: x", RENAME)),
        only={Stage.CHECKPATCH},
        tree=tree,
    )

    assert report.notes == ("checkpatch: the source has no scripts/checkpatch.pl",)
    assert report.patches[0].checkpatch is None


def test_the_users_own_configuration_of_checkpatch_does_not_count(
    rig: Rig, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "scripts/checkpatch.pl").write_text(
        'print "a.c:1: ERROR:HOME: $ENV{HOME}\\n"; exit 1;\n'
    )
    monkeypatch.setenv("HOME", str(tmp_path))

    report = check(
        rig,
        write(tmp_path / "s", mail("mm/migrate: x", RENAME)),
        only={Stage.CHECKPATCH},
        tree=tree,
    )

    assert only_finding(report).title == "error: HOME: a.c:1: /nonexistent"


def test_an_option_that_nothing_enables_is_told(rig: Rig, tmp_path: Path) -> None:
    kconfig = edit("Kconfig", "config SMP\n", 'config FRESH\n\tbool "Fresh"\n\nconfig SMP\n')

    report = check(rig, write(tmp_path / "s", mail("Kconfig: fresh", kconfig)))

    finding = only_finding(report)
    assert finding.kind is FindingKind.KCONFIG
    assert finding.title == (
        "CONFIG_FRESH is added, and no fragment enables it: what it guards was not compiled"
    )
    assert finding.patch_number == 1
    assert decide_exit(report) == 0


@pytest.mark.parametrize("how", ["default", "series.yaml"])
def test_an_option_that_is_on_is_not_told(rig: Rig, tmp_path: Path, how: str) -> None:
    default = "\tdefault y\n" if how == "default" else ""
    new = f'config FRESH\n\tbool "Fresh"\n{default}\nconfig SMP\n'
    meta = "title: t\nwhy: w\nbase: []\noptions: [FRESH=y]\n" if how == "series.yaml" else ""
    series = write(
        tmp_path / "s",
        mail("mm/migrate: x", RENAME),
        mail("Kconfig: fresh", edit("Kconfig", "config SMP\n", new)),
        meta=meta,
    )

    report = check(rig, series)

    assert report.findings == ()
    assert [row.builds for row in report.patches] == [True, True]


def test_a_malformed_header_is_found(rig: Rig, tmp_path: Path) -> None:
    bad = mail("mm/migrate: x", RENAME).replace(
        "From: A Person <a@example.org>\n", "From: nobody\n"
    )
    series = write(tmp_path / "s", mail("mm: fine", UNUSED_VARIABLE), bad)

    report = check(rig, series, only={Stage.HEADER})

    assert {one.patch_number for one in report.findings} == {2}
    assert {one.kind for one in report.findings} == {FindingKind.HEADER}
    assert [bool(row.header_problems) for row in report.patches] == [False, True]
    assert decide_exit(report) == 1


def test_patches_are_numbered_through_a_stack_of_series(rig: Rig, tmp_path: Path) -> None:
    first = write(tmp_path / "a", mail("mm/migrate: x", RENAME))
    second = write(tmp_path / "b", mail("mm/mempolicy: warns", UNUSED_VARIABLE))

    report = check(rig, first, second)

    assert report.name == "a + b"
    assert [row.number for row in report.patches] == [1, 2]
    assert only_finding(report).patch_number == 2


def test_a_stage_that_is_none_is_refused_before_anything_is_made(rig: Rig, tmp_path: Path) -> None:
    series = write(tmp_path / "s", mail("mm/migrate: x", RENAME))

    with pytest.raises(UserError, match="style: no such stage of a check; there are applies, "):
        check(rig, series, only={"style"})
    assert not rig.cache.exists()


def test_a_stack_without_patches_is_refused(rig: Rig) -> None:
    with pytest.raises(UserError, match="there is no patch to check"):
        check(rig, only=ALL_STAGES)


def test_a_series_is_checked_as_a_plan_and_a_tree_say(rig: Rig, tmp_path: Path, tree: Path) -> None:
    said: list[str] = []

    class Listener:
        def say(self, line: str) -> None:
            said.append(line)

        def building(self, what: str, compiled: int, line: str) -> None:
            raise AssertionError(f"{what}: {compiled}: {line}")

        def cell_event(self, cell: str, event: Event) -> None:
            raise AssertionError(f"{cell}: {event}")

    report = check_series(
        (write(tmp_path / "s", mail("mm/migrate: x", RENAME)),),
        plan=load_plan(REPO / "ci/plans/quick.yaml"),
        tree=tree,
        commit=None,
        store=rig.store,
        observer=Listener(),
        only={Stage.CHECKPATCH},
    )

    assert [line for line in said if line.startswith("check: ")] == [
        "check: applies",
        "check: checkpatch",
    ]
    assert report.source == str(tree)
    assert report.patches[0].checkpatch == CheckpatchCount(errors=0, warnings=0, checks=0)
