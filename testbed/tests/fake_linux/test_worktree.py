import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import SeriesError
from testbed.tests.fake_linux.rig import (
    Rig,
    diff,
    edit,
    fingerprint,
    mail,
    write_series,
)

HUNK_1 = edit("mm/migrate.c", "return page->nid >= 0;", "return page->nid > 0;")
SECOND_HUNK_DOES_NOT_FIT = HUNK_1 + (
    "@@ -15,6 +15,6 @@ static void putback_page(struct page *page, int nid)\n"
    " /* Move one page; returns 0, or -1 where it could not be isolated. */\n"
    " int migrate_page(struct page *page, int nid)\n"
    " {\n"
    "-\tif (!isolate_folio(page))\n"
    "+\tif (isolate_folio(page))\n"
    " \t\treturn -1;\n"
    " \tputback_page(page, nid);\n"
)


def apply_badly(rig: Rig, folder: Path, text: str, *, meta: str = "") -> str:
    """Build with a series whose second patch is ``text``; return what was said of it."""
    rig.build()
    before = fingerprint(rig.work / "src")
    first = edit("mm/mempolicy.c", "return nid;", "return nid + 1;")
    with pytest.raises(SeriesError) as caught:
        rig.build(write_series(folder, {"1.patch": mail("ok", first), "2.patch": text}, meta))
    assert fingerprint(rig.work / "src") == before
    assert not (rig.work / "journal").exists()
    return str(caught.value)


def test_a_patch_that_does_not_apply_is_named_to_the_line(rig: Rig, tmp_path: Path) -> None:
    message = apply_badly(rig, tmp_path / "s", mail("mm", SECOND_HUNK_DOES_NOT_FIT))

    assert message.splitlines() == [
        f"{tmp_path}/s/2.patch: does not apply: mm/migrate.c, hunk 2 (line 15):",
        "  it expects    '\\tif (!isolate_folio(page))'",
        "  the tree has  '\\tif (!isolate_page(page))' in line 17",
    ]


def test_a_series_for_another_release_is_told_so(rig: Rig, tmp_path: Path) -> None:
    meta = 'title: t\nwhy: w\nbase: ["6.1"]\n'
    message = apply_badly(rig, tmp_path / "s", mail("mm", SECOND_HUNK_DOES_NOT_FIT), meta=meta)

    assert message.endswith("The series is made for 6.1; this tree is 6.12.")
    assert "s: made for 6.1, this tree is 6.12" in rig.said


def test_a_patch_that_went_through_crlf_is_refused(tmp_path: Path) -> None:
    text = mail("mm", HUNK_1).replace("\n", "\r\n")

    with pytest.raises(SeriesError, match=r"1\.patch: has CRLF line ends throughout; `dos2unix`"):
        write_series(tmp_path / "s", {"1.patch": text})


def test_crlf_inside_a_diff_is_told_of_when_it_does_not_apply(rig: Rig, tmp_path: Path) -> None:
    head, at, hunk = HUNK_1.partition("@@ ")
    text = head + at + hunk.replace("\n", "\r\n").replace("@@\r\n", "@@\n")

    message = apply_badly(rig, tmp_path / "s", mail("mm", text))

    assert "2.patch: does not apply: mm/migrate.c, hunk 1" in message
    assert "CRLF line ends; `dos2unix`" in message


def test_a_file_that_is_not_there_is_named(rig: Rig, tmp_path: Path) -> None:
    text = diff("mm/nothing.c", "int x;\n", "int y;\n")

    message = apply_badly(rig, tmp_path / "s", mail("mm", text))

    assert "2.patch: does not apply: mm/nothing.c: No such file or directory" in message


def test_a_file_that_is_there_already_is_named(rig: Rig, tmp_path: Path) -> None:
    text = diff("mm/migrate.c", None, "int x;\n")

    message = apply_badly(rig, tmp_path / "s", mail("mm", text))

    assert "mm/migrate.c: already exists in working directory" in message


@pytest.mark.parametrize(
    "path", ["../../outside.c", "mm/../../../outside.c", ".git/hooks/pre-commit", "mm/.GIT/x"]
)
def test_a_patch_outside_the_tree_is_refused_by_name(rig: Rig, tmp_path: Path, path: str) -> None:
    with pytest.raises(SeriesError, match="would write outside the kernel tree") as caught:
        write_series(tmp_path / "s", {"evil.patch": mail("x", diff(path, None, "x\n"))})

    assert "evil.patch" in str(caught.value)
    assert path in str(caught.value)


def test_a_patch_through_a_symlink_of_the_tree_is_refused(
    rig: Rig, tmp_path: Path, tree: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.c").write_text("int x;\n")
    (tree / "mm/link").symlink_to(outside)
    series = write_series(
        tmp_path / "s", {"1.patch": mail("x", diff("mm/link/x.c", "int x;\n", "int y;\n"))}
    )

    with pytest.raises(SeriesError, match=r"1.patch: mm/link/x.c: is behind the symlink mm/link"):
        rig.build(series, tree=tree)
    assert (outside / "x.c").read_text() == "int x;\n"


def test_a_series_that_has_a_name_as_a_file_and_as_a_folder_is_refused(
    rig: Rig, tmp_path: Path
) -> None:
    file = diff("mm/new", None, "int x;\n")
    through = diff("mm/new/x.c", None, "int x;\n")
    series = write_series(
        tmp_path / "s", {"1.patch": mail("file", file), "2.patch": mail("through", through)}
    )

    with pytest.raises(
        SeriesError, match=r"2.patch: mm/new/x.c: is behind mm/new, which is a file of the series"
    ):
        rig.build(series)
    assert not (rig.work / "src/mm/new").exists()


def test_a_diff_that_git_reads_otherwise_is_refused(rig: Rig, tmp_path: Path) -> None:
    """What the journal does not have could not be taken back."""
    hidden = HUNK_1.replace("diff --git a/mm/migrate.c b/mm/migrate.c\n", "") + (
        "diff --git a/init/main.c b/init/main.c\nrename from init/main.c\nrename to init/moved.c\n"
    )

    rig.build()
    before = fingerprint(rig.work / "src")

    with pytest.raises(SeriesError, match=r"x\.patch: "):
        rig.build(write_series(tmp_path / "s", {"x.patch": mail("x", hidden)}))
    assert fingerprint(rig.work / "src") == before


def test_the_source_is_never_written_through(rig: Rig, tmp_path: Path) -> None:
    """A git apply makes a new file in the old one's place: what hangs on the old one is safe."""
    rig.build()
    source = rig.work / "src/mm/migrate.c"
    twin = rig.work / "twin"
    twin.hardlink_to(source)
    original = twin.read_bytes()
    seen: list[bytes] = []

    class Watching(Rig):
        pass

    watched = Watching(cache=rig.cache, tarballs=rig.tarballs)
    watched.lines = _CallingList(lambda: seen.append(source.read_bytes()))
    watched.build(write_series(tmp_path / "s", {"1.patch": mail("mm", HUNK_1)}))

    assert seen
    assert all(b"page->nid > 0" in text for text in seen)
    assert twin.read_bytes() == original
    assert source.samefile(twin)


class _CallingList(list[str]):
    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__()
        self._call = call

    def append(self, line: str) -> None:
        super().append(line)
        self._call()


def test_a_repository_above_the_cache_is_not_found(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git apply in a repository silently skips files that lie outside its folder."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)  # noqa: S607 - as a user
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))

    kernel = rig.build(write_series(tmp_path / "s", {"1.patch": mail("mm", HUNK_1)}))

    assert kernel.compiled_files == 1


def test_the_users_git_configuration_does_not_count(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[apply]\n\twhitespace = error-all\n[core]\n\tautocrlf = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    trailing = edit("mm/migrate.c", "return page->nid >= 0;", "return page->nid > 0;  ")

    rig.build(write_series(tmp_path / "s", {"1.patch": mail("mm", trailing)}))

    assert rig.compiled[-1] == "mm/migrate.o"


def test_later_patches_stand_on_earlier_ones_and_series_on_series(rig: Rig, tmp_path: Path) -> None:
    one = edit("mm/migrate.c", "return page->nid >= 0;", "return page->nid >= 1;")
    text = (
        "diff --git a/mm/migrate.c b/mm/migrate.c\n--- a/mm/migrate.c\n+++ b/mm/migrate.c\n"
        "@@ -5,3 +5,3 @@\n {\n-\treturn page->nid >= {0};\n+\treturn page->nid >= {1};\n }\n"
    )
    two, three = (
        text.replace("{0}", "1").replace("{1}", "2"),
        text.replace("{0}", "2").replace("{1}", "3"),
    )
    first = write_series(tmp_path / "a", {"1.patch": mail("1", one), "2.patch": mail("2", two)})
    second = write_series(tmp_path / "b", {"3.patch": mail("3", three)})

    rig.build(first, second)
    with pytest.raises(SeriesError, match=r"3\.patch: does not apply"):
        rig.build(second, first)


def test_a_rename_and_a_mode_are_applied_and_taken_back(rig: Rig, tmp_path: Path) -> None:
    rig.build()
    before = fingerprint(rig.work / "src")
    renamed = (
        "diff --git a/tools/testing/selftests/kselftest.h b/tools/testing/selftests/moved.h\n"
        "similarity index 100%\n"
        "rename from tools/testing/selftests/kselftest.h\n"
        "rename to tools/testing/selftests/moved.h\n"
    )
    mode = "diff --git a/Kbuild b/Kbuild\nold mode 100644\nnew mode 100755\n"

    kernel = rig.build(write_series(tmp_path / "s", {"1.patch": mail("mv", renamed, mode)}))

    assert sorted(path.name for path in kernel.harness_dir.iterdir()) == [
        "kselftest_harness.h",
        "moved.h",
    ]
    assert fingerprint(rig.work / "src") == before
    assert os.access(rig.work / "src/Kbuild", os.R_OK)
