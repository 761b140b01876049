"""A check of the toy, and patches for it."""

from collections.abc import Collection
from pathlib import Path

from testbed.core.check import (
    CheckReport,
    Finding,
    Stage,
)
from testbed.core.series import Series
from testbed.host.builder import Builder
from testbed.pipeline.check import check_bench
from testbed.pipeline.check_bench import Bench, Variant
from testbed.tests.fake_linux.rig import (
    NO_SPACE_NEEDED,
    Rig,
    edit,
    write_series,
)

NO_NUMA = Variant(name="!NUMA", fragments=(("no-numa", "# CONFIG_NUMA is not set\n"),))
I386 = Variant(name="32-bit", fragments=(("32bit", "# CONFIG_64BIT is not set\n"),), arch="i386")
QUICK = frozenset(
    {Stage.HEADER, Stage.CHECKPATCH, Stage.BUILDS, Stage.WARNINGS, Stage.KCONFIG, Stage.VARIANTS}
)
RENAME = edit("mm/migrate.c", "return page->nid >= 0;", "return page->nid > -1;")
UNUSED_VARIABLE = edit("mm/mempolicy.c", "{\n#ifdef", "{\n\tint unused;\n\n#ifdef")
UNUSED_PARAMETER = edit("mm/migrate.c", "\tpage->nid = nid;", "\tpage->nid = 0;")


def mail(subject: str, *diffs: str) -> str:
    """Return a patch that a maintainer would take."""
    return (
        "From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001\n"
        "From: A Person <a@example.org>\nDate: Sat, 1 Jan 2000 00:00:00 +0000\n"
        f"Subject: [PATCH] {subject}\n\nIt is needed.\n\n"
        "Signed-off-by: A Person <a@example.org>\n---\n 1 file changed\n\n"
        f"{''.join(diffs)}-- \n2.39.5\n\n"
    )


def make_bench(rig: Rig, *series: Series, tree: Path | None = None) -> Bench:
    def make_builder(_what: str) -> Builder:
        return Builder(
            rig.store,
            say=rig.said.append,
            on_progress=lambda _, line: rig.lines.append(line),
            tarballs_dir=rig.tarballs,
            space_need=NO_SPACE_NEEDED,
        )

    return Bench(
        stack=series,
        request=rig.request(tree=tree),
        variants=(NO_NUMA, I386),
        make_builder=make_builder,
        say=rig.said.append,
    )


def check(
    rig: Rig, *series: Series, only: Collection[str] = QUICK, tree: Path | None = None
) -> CheckReport:
    rig.lines.clear()
    return check_bench(make_bench(rig, *series, tree=tree), only=only)


def write(folder: Path, *patches: str, meta: str = "") -> Series:
    named = {f"{number:04}.patch": text for number, text in enumerate(patches, start=1)}
    return write_series(folder, named, meta)


def only_finding(report: CheckReport) -> Finding:
    (finding,) = report.findings
    return finding
