from pathlib import Path

import pytest

from testbed.core.series import (
    Hunk,
    Mismatch,
    find_hunk,
    find_mismatch,
    parse_patch,
    parse_series_file,
    parse_series_meta,
)
from testbed.errors import PlanError, SeriesError
from testbed.host.series_dir import load_series

DIFF = """\
diff --git a/mm/migrate.c b/mm/migrate.c
index 0ca4fb6..562c6ed 100644
--- a/mm/migrate.c
+++ b/mm/migrate.c
@@ -3,3 +3,3 @@ int one(void)
 a
-b
+B
 c
@@ -20,2 +20,3 @@ int two(void)
 x
+y
 z
"""
MAIL = f"""\
From be94b37c0010d53da90c547f909991fa548ad0f5 Mon Sep 17 00:00:00 2001
From: =?UTF-8?q?J=C3=B6rg?= <j@example.org>
Date: Sat, 1 Jan 2000 00:00:00 +0000
Subject: [PATCH v2 1/3] mm: a subject that is so long that it is
 folded, =?UTF-8?q?gr=C3=BC=C3=9Fe?=

It changes this:

    --- a/not/a/file
    +++ b/not/a/file
---
 mm/migrate.c | 3 ++-
 1 file changed, 2 insertions(+), 1 deletion(-)

{DIFF}-- \n2.39.5

"""


def test_a_mail_of_git_is_read() -> None:
    patch = parse_patch(MAIL, filename="0001.patch")

    assert patch.subject == "mm: a subject that is so long that it is folded, grüße"
    assert patch.touched == ("mm/migrate.c",)
    (change,) = patch.changes
    assert change.hunks == (
        Hunk(number=1, start=3, source=("a", "b", "c")),
        Hunk(number=2, start=20, source=("x", "z")),
    )


def test_the_id_is_of_the_change_alone() -> None:
    patch_id = parse_patch(MAIL, filename="a").patch_id

    bare = DIFF.replace("index 0ca4fb6..562c6ed 100644\n", "").replace(" int two(void)", "")
    assert parse_patch(bare, filename="b").patch_id == patch_id
    assert parse_patch(MAIL.replace("It changes", "This"), filename="c").patch_id == patch_id


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+B", "+D"),
        (" c\n", " C\n"),
        ("@@ -20,2 +20,3 @@", "@@ -21,2 +21,3 @@"),
        ("mm/migrate.c", "mm/mempolicy.c"),
        ("index 0ca4fb6..562c6ed 100644", "old mode 100644\nnew mode 100755"),
        (" z\n", " z\n\\ No newline at end of file\n"),
    ],
)
def test_the_id_changes_with_the_change(old: str, new: str) -> None:
    changed = DIFF.replace(old, new)

    assert changed != DIFF
    assert parse_patch(changed, filename="a").patch_id != parse_patch(DIFF, filename="a").patch_id


def test_a_diff_without_git_headers_is_read() -> None:
    text = f"From: quilt\nSubject: mm: by quilt\n\n{DIFF.partition('100644')[2].lstrip()}"

    patch = parse_patch(text, filename="q")

    assert patch.subject == "mm: by quilt"
    assert patch.touched == ("mm/migrate.c",)


def test_made_removed_and_renamed_files_are_known() -> None:
    text = (
        "diff --git a/mm/new.c b/mm/new.c\nnew file mode 100644\n--- /dev/null\n+++ b/mm/new.c\n"
        "@@ -0,0 +1 @@\n+x\n"
        "diff --git a/mm/old.c b/mm/old.c\ndeleted file mode 100644\n--- a/mm/old.c\n"
        "+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        "diff --git a/mm/a.c b/mm/b.c\nsimilarity index 100%\nrename from mm/a.c\n"
        "rename to mm/b.c\n"
    )

    patch = parse_patch(text, filename="p")

    assert [(c.old, c.new) for c in patch.changes] == [
        (None, "mm/new.c"),
        ("mm/old.c", None),
        ("mm/a.c", "mm/b.c"),
    ]
    assert patch.touched == ("mm/a.c", "mm/b.c", "mm/new.c", "mm/old.c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.patch: holds no diff"),
        ("Subject: hello\n\nno diff here\n", "bad.patch: holds no diff"),
        (DIFF.replace("-b\n", ""), "bad.patch: not a diff that can be applied: Hunk diff"),
        (DIFF.replace(" z\n", ""), "bad.patch: not a diff that can be applied: Hunk is shorter"),
        (DIFF.replace("-b\n", "b\n"), "bad.patch: not a diff that can be applied"),
        (DIFF.replace("mm/migrate.c", "../x.c"), r"\.\./x\.c: would write outside the kernel tree"),
        (DIFF.replace("a/mm", "/etc").replace("b/mm", "/etc"), "would write outside"),
        (DIFF.replace("mm/migrate.c", ".git/config"), "would write outside the kernel tree"),
        (DIFF.replace("a/mm/", "").replace("b/mm/", ""), "paths must begin with a/ and b/"),
        (
            "diff --git a/mm/x.bin b/mm/x.bin\nindex 1..2 100644\nGIT binary patch\nliteral 1\n",
            "bad.patch: mm/x.bin: a binary diff",
        ),
        (
            "diff --git a/mm/x.bin b/mm/x.bin\nBinary files a/mm/x.bin and b/mm/x.bin differ\n",
            "bad.patch: mm/x.bin: a binary diff",
        ),
        (
            DIFF.replace("index 0ca4fb6..562c6ed 100644", "index 0ca4fb6..562c6ed 160000"),
            "bad.patch: mm/migrate.c: a submodule",
        ),
        (DIFF.replace("\n", "\r\n"), "bad.patch: has CRLF line ends throughout"),
    ],
)
def test_what_cannot_be_applied_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(SeriesError, match=message):
        parse_patch(text, filename="bad.patch")


def test_bytes_that_are_not_utf8_survive() -> None:
    text = DIFF.replace("+B", "+\udce9")

    patch = parse_patch(text, filename="p")

    assert patch.text == text
    assert patch.patch_id != parse_patch(DIFF, filename="p").patch_id


def test_a_series_file_is_read() -> None:
    text = "# first\n0001-a.patch\n\n  0002-b.patch -p1  # quilt's default\nsub/0003.patch\n"

    assert parse_series_file(text, filename="series") == (
        "0001-a.patch",
        "0002-b.patch",
        "sub/0003.patch",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "series: lists no patch"),
        ("a.patch\na.patch\n", "series:2: a.patch is listed twice"),
        ("a.patch -p0\n", "series:1: '-p0': patches are applied with -p1 only"),
        ("../a.patch\n", "series:1: ../a.patch is outside the series' folder"),
        ("/etc/a.patch\n", "series:1: /etc/a.patch is outside the series' folder"),
    ],
)
def test_a_series_file_that_will_not_do_is_refused(text: str, message: str) -> None:
    with pytest.raises(SeriesError) as caught:
        parse_series_file(text, filename="series")

    assert str(caught.value) == message


def test_the_meta_is_read() -> None:
    text = (
        "title: Say why\nwhy: |\n  Because.\nbase: ['6.12']\nkconfig: [trace]\n"
        "provides: [why]\ntests: [series/why]\n"
    )

    meta = parse_series_meta(text, filename="series.yaml")

    assert (meta.title, meta.why, meta.base) == ("Say why", "Because.\n", ("6.12",))
    assert (meta.kconfig, meta.provides, meta.tests) == (("trace",), ("why",), ("series/why",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "title: t\nwhy: w\nbase: ['6.12']\nprovide: [x]\n",
            "series.yaml: unknown key 'provide'; allowed here: title, why, base, kconfig, ",
        ),
        ("title: t\nbase: []\n", "series.yaml: key 'why' is missing"),
        ("title: t\nwhy: w\nbase: [6.12]\n", "series.yaml: key 'base[0]': 6.12 will not do: "),
        ("title: t\nwhy: w\nbase: '6.12'\n", "series.yaml: key 'base': '6.12' will not do: "),
        ("title:\tt\n", "series.yaml:1:7: not YAML: "),
    ],
)
def test_a_meta_that_will_not_do_is_one_line(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_series_meta(text, filename="series.yaml")

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_hunk_is_found_by_its_line() -> None:
    patch = parse_patch(DIFF, filename="p")

    hunk = find_hunk(patch, path="mm/migrate.c", line=20)

    assert hunk is not None
    assert hunk.number == 2
    assert find_hunk(patch, path="mm/migrate.c", line=21) is None
    assert find_hunk(patch, path="mm/other.c", line=20) is None


@pytest.mark.parametrize(
    ("lines", "mismatch"),
    [
        (["0", "0", "a", "b", "c"], None),
        (["a", "b", "c", "0", "0", "0"], None),
        (["0", "0", "a", "X", "c"], Mismatch(line=4, expected="b", found="X")),
        (["0"] * 9 + ["a", "X", "c"], Mismatch(line=11, expected="b", found="X")),
        (["0", "0", "a", "b"], Mismatch(line=2, expected="a", found="0")),
        (["a"], Mismatch(line=2, expected="b", found=None)),
        ([], Mismatch(line=1, expected="a", found=None)),
    ],
)
def test_the_first_line_that_differs_is_found_where_the_hunk_fits_best(
    lines: list[str], mismatch: Mismatch | None
) -> None:
    hunk = Hunk(number=1, start=3, source=("a", "b", "c"))

    assert find_mismatch(hunk, lines) == mismatch


def test_a_folder_without_meta_asks_for_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "my series"
    folder.mkdir()
    (folder / "series").write_text("1.patch\n")
    (folder / "1.patch").write_text(DIFF)

    series = load_series(folder)

    assert series.name == "my series"
    assert series.meta.title == "my series"
    assert (series.meta.base, series.meta.kconfig, series.meta.provides) == ((), (), ())
    assert [patch.filename for patch in series.patches] == [str(folder / "1.patch")]


def test_a_patch_that_is_listed_and_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "series").write_text("1.patch\n")

    with pytest.raises(SeriesError, match=r"1\.patch: cannot be read: No such file or directory"):
        load_series(tmp_path)
