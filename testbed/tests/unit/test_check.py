from pathlib import Path

import pytest

from testbed.core.check import (
    CheckReport,
    Finding,
    FindingKind,
    Stage,
    StageTime,
    changes_code,
    choose_spread,
    count_findings,
    decide_exit,
    list_included,
    list_sources,
    name_object,
)
from testbed.core.patch_kconfig import find_added_options
from testbed.core.series import Patch, parse_patch
from testbed.host.dependents import find_dependents


def make_report(*findings: Finding) -> CheckReport:
    return CheckReport(
        name="s",
        source="debian:6.12",
        patches=(),
        variants=(),
        findings=findings,
        notes=(),
        stages=(
            StageTime(stage=Stage.APPLIES, seconds=1.5),
            StageTime(stage=Stage.BUILDS, seconds=2.0),
        ),
    )


def make_finding(kind: FindingKind, *, is_blocking: bool = True) -> Finding:
    return Finding(kind=kind, title="t", is_blocking=is_blocking)


def make_patch(*changes: tuple[str, str]) -> Patch:
    """Return a patch of (name, lines of a hunk that begins at 1)."""
    body = "".join(
        f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n"
        f"@@ -1,{sum(not line.startswith('+') for line in lines.splitlines())} "
        f"+1,{sum(not line.startswith('-') for line in lines.splitlines())} @@\n{lines}"
        for name, lines in changes
    )
    return parse_patch(f"From: A <a@example.org>\nSubject: [PATCH] x\n\n---\n{body}", filename="p")


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ([], 0),
        ([FindingKind.WARNING], 1),
        ([FindingKind.CHECKPATCH], 1),
        ([FindingKind.HEADER], 1),
        ([FindingKind.VARIANT], 1),
        ([FindingKind.SPARSE], 1),
        ([FindingKind.DOES_NOT_BUILD], 3),
        ([FindingKind.DOES_NOT_APPLY], 2),
        ([FindingKind.WARNING, FindingKind.DOES_NOT_BUILD], 3),
        ([FindingKind.HEADER, FindingKind.DOES_NOT_APPLY], 2),
    ],
)
def test_the_gravest_finding_decides(kinds: list[FindingKind], code: int) -> None:
    assert decide_exit(make_report(*map(make_finding, kinds))) == code


@pytest.mark.parametrize("kind", FindingKind)
def test_what_does_not_block_is_told_alone(kind: FindingKind) -> None:
    report = make_report(make_finding(kind, is_blocking=False))

    assert decide_exit(report) == 0
    assert count_findings(report.findings) == {}


def test_findings_are_counted_by_kind_in_the_kinds_order() -> None:
    kinds = [FindingKind.VARIANT, FindingKind.WARNING, FindingKind.VARIANT]

    counts = count_findings(map(make_finding, kinds))

    assert list(counts.items()) == [(FindingKind.WARNING, 1), (FindingKind.VARIANT, 2)]


def test_a_check_takes_as_long_as_its_stages() -> None:
    assert make_report().seconds == 3.5


def test_an_option_that_a_kconfig_file_gets_is_added() -> None:
    patch = make_patch(
        ("mm/Kconfig", "+config NEW_ONE\n+\tbool\n"),
        ("drivers/x/Kconfig.debug", "+menuconfig NEW_MENU # why\n"),
    )

    assert find_added_options(patch) == ("NEW_ONE", "NEW_MENU")


@pytest.mark.parametrize(
    "change",
    [
        ("mm/Kconfig", "-config MOVED\n+\n+config MOVED\n"),
        ("mm/Kconfig", "-config GONE\n+\n"),
        ("mm/Kconfig", " config OLD\n+\tbool\n"),
        ("mm/Kconfig", "+\tsee config FOO for more\n"),
        ("Documentation/kconfig.rst", "+config SHOWN\n"),
        ("mm/migrate.c", "+config WORD\n"),
    ],
)
def test_what_adds_no_option_is_not_taken_for_one(change: tuple[str, str]) -> None:
    assert find_added_options(make_patch(change)) == ()


def test_the_sources_of_a_series_are_those_that_are_there_in_the_end() -> None:
    first = make_patch(("mm/migrate.c", "+x\n"), ("include/linux/mm.h", "+x\n"))
    renamed = parse_patch(
        "diff --git a/mm/migrate.c b/mm/moved.c\nsimilarity index 100%\n"
        "rename from mm/migrate.c\nrename to mm/moved.c\n",
        filename="p",
    )
    elsewhere = make_patch(("tools/x.c", "+x\n"), ("scripts/y.c", "+x\n"))

    assert list_sources([first, renamed, elsewhere]) == ("mm/moved.c",)
    assert name_object("mm/moved.c") == "mm/moved.o"


def test_what_objects_may_include_is_of_the_base() -> None:
    new = parse_patch(
        "diff --git a/mm/new.h b/mm/new.h\nnew file mode 100644\n--- /dev/null\n+++ b/mm/new.h\n"
        "@@ -0,0 +1 @@\n+x\n",
        filename="p",
    )
    changed = make_patch(("mm/a.h", "+x\n"), ("mm/a.c", "+x\n"), ("mm/Makefile", "+x\n"))

    assert list_included([new, changed]) == ("mm/a.c", "mm/a.h")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("mm/migrate.c", True),
        ("include/linux/mm.h", True),
        ("mm/Makefile", True),
        ("mm/Kconfig", True),
        ("Documentation/mm/page_migration.rst", False),
        ("tools/testing/selftests/mm/x.c", False),
        ("mm/README.txt", False),
        ("MAINTAINERS", False),
    ],
)
def test_prose_and_programs_of_the_host_change_no_object(name: str, *, changes: bool) -> None:
    assert changes_code(make_patch((name, "+x\n"))) is changes


def test_all_includers_are_taken_where_there_is_room() -> None:
    assert choose_spread(["b/2.o", "a/1.o"], near=["a/x.o"], limit=2) == ("a/1.o", "b/2.o")


def test_of_many_includers_those_nearby_come_first_then_some_from_everywhere() -> None:
    names = [f"{folder}/{n}.o" for folder in "abcd" for n in range(10)]

    chosen = choose_spread(names, near=["c/x.o"], limit=13)

    assert [name for name in chosen if name.startswith("c/")] == [f"c/{n}.o" for n in range(10)]
    assert {name[0] for name in chosen} == {"a", "b", "c", "d"}
    assert len(chosen) == 13


@pytest.mark.parametrize("limit", [0, 1])
def test_no_more_are_taken_than_allowed(limit: int) -> None:
    assert len(choose_spread(["a/1.o", "b/2.o"], near=["a/x.o"], limit=limit)) == limit


def test_the_objects_of_a_file_are_those_whose_notes_name_it(tmp_path: Path) -> None:
    notes = {
        "mm/.a.o.cmd": "source_mm/a.o := /src/mm/a.c\n\ndeps_mm/a.o := \\\n  /src/mm/in.h \\\n",
        "mm/.b.o.cmd": "source_mm/b.o := /src/mm/b.c\n\ndeps_mm/b.o := \\\n  /src/mm/in.h.old \\\n",
        "kernel/.c.o.cmd": "deps_kernel/c.o := \\\n  /src/mm/a.c \\\n  /src/mm/in.h \\\n",
        "scripts/.d.o.cmd": "deps_scripts/d.o := \\\n  /src/mm/in.h \\\n",
        "mm/.e.s.cmd": "deps_mm/e.s := \\\n  /src/mm/in.h \\\n",
    }
    for name, text in notes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    found = find_dependents(tmp_path, src=Path("/src"), paths=["mm/in.h", "mm/a.c", "mm/none.h"])

    assert found == {
        "mm/in.h": ("kernel/c.o", "mm/a.o"),
        "mm/a.c": ("kernel/c.o", "mm/a.o"),
        "mm/none.h": (),
    }
