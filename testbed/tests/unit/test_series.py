from pathlib import Path

import pytest

from testbed.core.series import (
    Hunk,
    Mismatch,
    Patch,
    Series,
    SeriesMeta,
    find_hunk,
    find_mismatch,
    list_patches,
    parse_patch,
    parse_series_file,
    parse_series_meta,
    take_patches,
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
NEW_FILE = """\
diff --git a/mm/new b/mm/new
new file mode {mode}
--- /dev/null
+++ b/mm/new
@@ -0,0 +1 @@
+/etc/passwd
\\ No newline at end of file
"""
MODE_ONLY = "diff --git a/mm/run.sh b/mm/run.sh\nold mode 100644\nnew mode 100755\n"
RENAME = """\
diff --git a/mm/a.c b/mm/b.c
similarity index 100%
rename from mm/a.c
rename to mm/b.c
"""


def test_a_mail_of_git_is_read() -> None:
    patch = parse_patch(MAIL, filename="0001.patch")

    assert patch.subject == "mm: a subject that is so long that it is folded, grüße"
    assert patch.author == "Jörg <j@example.org>"
    assert patch.header == MAIL.partition("diff --git")[0]
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
    ("text", "old", "new"),
    [
        (MODE_ONLY, "mm/run.sh", "mm/run.sh"),
        ("diff --git a/e b/e\nnew file mode 100644\nindex 0000000..e69de29\n", None, "e"),
        ("diff --git a/e b/e\ndeleted file mode 100644\nindex e69de29..0000000\n", "e", None),
        (RENAME, "mm/a.c", "mm/b.c"),
    ],
)
def test_a_change_without_hunks_is_known(text: str, old: str | None, new: str | None) -> None:
    text = f"Subject: mm: x\n\nWhy.\n---\n 1 file\n\n{text}-- \n2.39.5\n\n"

    (change,) = parse_patch(text, filename="p").changes

    assert (change.old, change.new, change.hunks) == (old, new, ())


def test_a_rename_with_changes_has_both_names_and_its_hunks() -> None:
    moved = DIFF.replace("b/mm/migrate.c", "b/mm/moved.c").replace(
        "index 0ca",
        "similarity index 90%\nrename from mm/migrate.c\nrename to mm/moved.c\nindex 0ca",
    )

    patch = parse_patch(moved, filename="p")

    (change,) = patch.changes
    assert (change.old, change.new, len(change.hunks)) == ("mm/migrate.c", "mm/moved.c", 2)
    assert not change.is_copy
    assert patch.touched == ("mm/migrate.c", "mm/moved.c")


def test_a_copy_leaves_its_source_untouched() -> None:
    copy = parse_patch(RENAME.replace("rename", "copy"), filename="p")

    assert copy.changes[0].is_copy
    assert copy.changes[0].old == "mm/a.c"
    assert copy.touched == ("mm/b.c",)
    assert copy.patch_id != parse_patch(RENAME, filename="p").patch_id


def test_a_file_may_be_named_with_blanks() -> None:
    text = RENAME.replace("mm/a.c", "mm/a b.c")

    assert parse_patch(text, filename="p").touched == ("mm/a b.c", "mm/b.c")


def test_a_line_of_a_file_that_looks_like_a_header_of_git_is_content() -> None:
    text = DIFF.replace("+y\n", "+Binary files a/x and b/x differ\n")

    assert parse_patch(text, filename="p").touched == ("mm/migrate.c",)


def test_lines_that_end_in_crlf_here_and_there_are_kept() -> None:
    text = DIFF.replace("-b\n+B\n", "-b\r\n+B\r\n")

    patch = parse_patch(text, filename="p")

    assert patch.text == text
    assert patch.changes[0].hunks[0].source == ("a", "b\r", "c")


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
        (NEW_FILE.format(mode="160000"), "bad.patch: mm/new: a submodule"),
        (NEW_FILE.format(mode="120000"), "bad.patch: mm/new: a symlink; .* --tree"),
        # git takes blanks after a mode; unidiff sees no mode there
        (NEW_FILE.format(mode="120000 "), "bad.patch: mm/new: a symlink"),
        (NEW_FILE.format(mode="104755"), "bad.patch: mm/new: its mode 104755"),
        (MODE_ONLY.replace("100755", "120000"), "bad.patch: mm/run.sh: a symlink"),
        (
            MODE_ONLY + "diff --git a/mm/x.bin b/mm/x.bin\nGIT binary patch\nliteral 1\n",
            "bad.patch: mm/x.bin: a binary diff",
        ),
        (DIFF.replace("mm/migrate.c", ".GIT/config"), "would write outside the kernel tree"),
        (DIFF.replace("mm/migrate.c", "mm/.git/hooks/x"), "would write outside the kernel tree"),
        (DIFF.replace("mm/migrate.c", "mm//x.c"), r"write the path as git does, a/mm/x\.c"),
        (DIFF.replace("mm/migrate.c", "mm/./x.c"), r"write the path as git does, a/mm/x\.c"),
        (DIFF.replace("mm/migrate.c", "mm/\x1b[2Jx.c"), "a/mm/x.c: .* quoted characters"),
        (
            DIFF.replace("a/mm/migrate.c", '"a/mm/\\303\\251.c"'),
            "a file name with quoted characters is not supported",
        ),
        (
            RENAME.replace("rename to mm/b.c", "rename to ../../etc/b.c"),
            "bad.patch: a/mm/a.c b/mm/b.c: renames mm/a.c to ../../etc/b.c instead",
        ),
        (
            RENAME.replace("rename from mm/a.c", "rename from .git/config"),
            "renames .git/config to mm/b.c instead; nothing was applied",
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
        "provides: [why]\ntests: [series/why]\noptions: [MIGRATE_WHY=y]\n"
        "topologies: [two-nodes]\nguards: [migrate]\n"
    )

    meta = parse_series_meta(text, filename="series.yaml")

    assert (meta.title, meta.why, meta.base) == ("Say why", "Because.\n", ("6.12",))
    assert (meta.kconfig, meta.provides, meta.tests) == (("trace",), ("why",), ("series/why",))
    assert meta.options == ("MIGRATE_WHY=y",)
    assert (meta.topologies, meta.guards) == (("two-nodes",), ("migrate",))


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


def _make_series(name: str, count: int) -> Series:
    patches: tuple[Patch, ...] = tuple(
        parse_patch(DIFF, filename=f"{name}{number}") for number in range(count)
    )
    return Series(name=name, patches=patches, meta=SeriesMeta(title=name, why="", base=()))


@pytest.mark.parametrize(
    ("count", "taken"),
    [
        (0, []),
        (1, [("a", ["a0"])]),
        (2, [("a", ["a0", "a1"])]),
        (3, [("a", ["a0", "a1"]), ("c", ["c0"])]),
        (4, [("a", ["a0", "a1"]), ("c", ["c0", "c1"])]),
    ],
)
def test_the_first_patches_of_a_stack_are_taken(
    count: int, taken: list[tuple[str, list[str]]]
) -> None:
    stack = (_make_series("a", 2), _make_series("b", 0), _make_series("c", 2))

    found = take_patches(stack, count)

    assert [(one.name, [patch.filename for patch in one.patches]) for one in found] == taken
    assert list_patches(found) == list_patches(stack)[:count]


@pytest.mark.parametrize("count", [-1, 3])
def test_no_more_patches_are_taken_than_there_are(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} of 2 patches"):
        take_patches((_make_series("a", 2),), count)
