"""How patches get into a tree."""

import os
import subprocess
from pathlib import Path

import pytest

from testbed.core.series import parse_patch
from testbed.host.held import Holder
from testbed.tests.fake_linux.rig import diff, fingerprint, mail
from testbed.tests.fake_linux.small_tree import (
    ALPHABET,
    COPY,
    EMPTY,
    HEAD,
    MODE,
    RENAME,
    History,
    Tree,
    changed,
    series,
    stack,
    text,
)


def test_what_fits_exactly_has_no_note(small: Tree) -> None:
    applied, seen = small.apply(
        diff("mm/a.c", text(ALPHABET), text(changed("letter m", "letter M")))
    )

    assert [one.patch.filename for one in applied] == ["1.patch"]
    assert applied[0].notes == applied[0].doubts == ()
    assert "letter M\n" in seen["mm/a.c"]


def test_no_series_is_nothing_applied(small: Tree) -> None:
    with small.worktree.applied([], release="6.12") as applied:
        assert applied == ()


@pytest.mark.parametrize(
    ("before", "note"),
    [
        (14, "mm/a.c, hunk 1: applied 14 lines further down"),
        (1, "mm/a.c, hunk 1: applied 1 line further down"),
        (-5, "mm/a.c, hunk 1: applied 5 lines further up"),
    ],
)
def test_an_offset_is_noted_and_no_doubt(small: Tree, before: int, note: str) -> None:
    tree = [f"above {at}" for at in range(before)] + ALPHABET[max(0, -before) :]
    small.write("mm/a.c", text(tree))

    applied, seen = small.apply(
        diff("mm/a.c", text(ALPHABET), text(changed("letter m", "letter M")))
    )

    assert applied[0].notes == (note,)
    assert applied[0].doubts == ()
    assert small.said == []
    assert seen["mm/a.c"] == text(changed("letter m", "letter M", lines=tree))


def test_fuzz_is_noted_and_said(small: Tree) -> None:
    """The outer two lines of the context are others: what is left of it still fits."""
    tree = changed("letter k", "else", lines=changed("letter j", "something"))
    small.write("mm/a.c", text(tree))
    after = changed("letter x", "letter X", lines=changed("letter m", "letter M"))

    applied, seen = small.apply(diff("mm/a.c", text(ALPHABET), text(after)))

    assert applied[0].notes == ("mm/a.c, hunk 1: applied with fuzz 2: look at it",)
    assert applied[0].doubts == applied[0].notes
    assert small.said == ["1.patch: mm/a.c, hunk 1: applied with fuzz 2: look at it"]
    assert seen["mm/a.c"] == text(
        changed("letter x", "letter X", lines=changed("letter m", "letter M", lines=tree))
    )


def test_fuzz_and_offset_are_noted_as_one(small: Tree) -> None:
    tree = ["above", *changed("letter j", "something")]
    small.write("mm/a.c", text(tree))

    applied, _ = small.apply(diff("mm/a.c", text(ALPHABET), text(changed("letter m", "letter M"))))

    assert applied[0].notes == (
        "mm/a.c, hunk 1: applied with fuzz 1, 1 line further down: look at it",
    )


def test_more_than_two_lines_of_fuzz_are_refused_to_the_line(small: Tree) -> None:
    """The first hunk would do with fuzz; it is the second that is named."""
    tree = changed("letter w", "other", lines=changed("letter k", "something"))
    small.write("mm/a.c", text(tree))
    after = changed("letter x", "letter X", lines=changed("letter m", "letter M"))

    assert small.refuse(diff("mm/a.c", text(ALPHABET), text(after))).splitlines() == [
        "1.patch: does not apply: mm/a.c, hunk 2 (line 21):",
        "  it expects    'letter w'",
        "  the tree has  'other' in line 23",
    ]


def test_fuzz_leaves_a_line_of_context_to_hold_on_to(small: Tree) -> None:
    """GNU patch would give up a hunk's only context: then it fits anywhere."""
    small.write("mm/a.c", text([f"quite another {at}" for at in range(30)]))
    hunk = "@@ -12,2 +12,3 @@\n letter l\n+new\n letter m\n"

    assert "1.patch: does not apply: mm/a.c, hunk 1 (line 12):\n" in small.refuse(HEAD + hunk)


def test_a_hunk_without_any_context_is_refused(small: Tree) -> None:
    """Git apply would put it at the end of the file."""
    assert small.refuse(HEAD + "@@ -12,0 +13 @@\n+new\n") == (
        "1.patch: does not apply: mm/a.c, hunk 1 (line 12) has no line of context, "
        "which would say where it belongs: make the diff without -U0"
    )


def test_the_files_that_fit_are_applied_beside_the_one_with_fuzz(small: Tree) -> None:
    names = ["mm/b[1].c", "mm/b*.c", "mm/b1.c"]
    for name in names:
        small.write(name, text(ALPHABET))
    small.write("mm/b*.c", text(changed("letter k", "something")))
    after = text(changed("letter m", "letter M"))

    applied, seen = small.apply("".join(diff(name, text(ALPHABET), after) for name in names))

    assert applied[0].notes == ("mm/b*.c, hunk 1: applied with fuzz 2: look at it",)
    assert all("letter M\n" in seen[name] for name in names)


def test_a_diff_in_the_message_is_not_taken_for_the_patch(small: Tree) -> None:
    """GNU patch would apply one that is indented."""
    small.write("mm/a.c", text(changed("letter k", "something")))
    quoted = diff("mm/a.c", text(ALPHABET), text(changed("letter z", "letter Z")))
    indented = "".join(f"    {line}" for line in quoted.splitlines(keepends=True))
    real = diff("mm/a.c", text(ALPHABET), text(changed("letter m", "letter M")))
    patch = parse_patch(mail("x", real).replace("Why.\n", f"Why.\n\n{indented}"), filename="1")

    with small.worktree.applied([stack(patch)], release="6.12"):
        seen = (small.src / "mm/a.c").read_text()

    assert "letter M\n" in seen
    assert "letter Z\n" not in seen


def test_a_file_is_merged_with_the_one_that_the_patch_was_made_for(
    known: Tree, history: History
) -> None:
    """A line between two changes of one hunk is another: no fuzz would do, and no conflict."""
    tree = ["above", "over", *changed("letter o", "something")]
    known.write("mm/a.c", text(tree))
    after = changed("letter q", "letter Q", lines=changed("letter m", "letter M"))

    applied, seen = known.apply(history.diff(ALPHABET, after))

    assert applied[0].notes == (
        "mm/a.c: merged three-way with the file that the patch was made for",
    )
    assert applied[0].doubts == applied[0].notes
    assert known.said == [f"1.patch: {applied[0].notes[0]}"]
    assert seen["mm/a.c"] == text(
        changed("letter m", "letter M", lines=changed("letter q", "letter Q", lines=tree))
    )


def test_a_conflict_is_refused_with_its_lines_in_the_tree(known: Tree, history: History) -> None:
    tree = ["above", "over", *changed("letter m", "mine")]
    known.write("mm/a.c", text(tree))
    after = changed("letter d", "letter D", lines=changed("letter m", "letter M"))

    message = known.refuse(history.diff(ALPHABET, after))

    assert message == (
        "1.patch: does not apply: mm/a.c: a three-way merge with the file that the patch was made "
        f"for has a conflict in line {tree.index('mine') + 1} of the tree's"
    )


def test_several_conflicts_are_named(known: Tree, history: History) -> None:
    tree = changed("letter m", "mine", lines=changed("letter d", "mine too"))
    tree[tree.index("mine") + 1] = "and mine"
    tree = ["above", *tree]
    known.write("mm/a.c", text(tree))
    after = changed("letter d", "letter D", lines=changed("letter m", "letter M"))
    after[after.index("letter n")] = "letter N"

    message = known.refuse(history.diff(ALPHABET, after))

    assert message.endswith("has a conflict in lines 5, 14-15 of the tree's")


@pytest.mark.parametrize(
    "lines",
    [
        ["another", "file"],
        ["older", *ALPHABET],  # the patch fits it, but elsewhere: then it was not made for it
    ],
)
def test_an_index_line_of_another_file_does_not_count(
    known: Tree, history: History, lines: list[str]
) -> None:
    index = history.diff(lines, ["entirely"]).splitlines(keepends=True)[1]
    assert index.startswith("index ")
    known.write("mm/a.c", text(changed("letter k", "something")))
    patch = diff("mm/a.c", text(ALPHABET), text(changed("letter m", "letter M")))

    applied, _ = known.apply(patch.replace("--- ", f"{index}--- ", 1))

    assert applied[0].notes == ("mm/a.c, hunk 1: applied with fuzz 2: look at it",)


def test_a_repository_is_only_read(known: Tree, history: History) -> None:
    known.write("mm/a.c", text(["above", *changed("letter k", "something")]))
    patch = history.diff(ALPHABET, changed("letter m", "letter M"))
    before = fingerprint(history.path)

    applied, _ = known.apply(patch)

    assert "merged three-way" in applied[0].notes[0]
    assert fingerprint(history.path) == before


def test_what_a_partial_clone_lacks_is_not_fetched(
    tmp_path: Path, holder: Holder, history: History
) -> None:
    """Git would fetch what is named in full."""
    one = history.diff(ALPHABET, changed("letter m", "letter M"), digits=40)
    history.commit()
    partial = tmp_path / "partial"
    url = f"file://{history.path}"
    subprocess.run(
        ["git", "clone", "-q", "--no-checkout", "--filter=blob:none", url, partial],  # noqa: S607 - as a user
        check=True,
    )
    before = fingerprint(partial)
    tree = Tree(tmp_path / "work", holder, objects=partial)
    tree.write("mm/a.c", text(changed("letter k", "something")))

    applied, _ = tree.apply(one)

    assert "fuzz 2" in applied[0].notes[0]
    assert fingerprint(partial) == before


def test_a_folder_that_is_no_repository_has_no_files_to_merge_with(
    tmp_path: Path, holder: Holder, history: History
) -> None:
    (tmp_path / "plain").mkdir()
    tree = Tree(tmp_path / "work", holder, objects=tmp_path / "plain")
    tree.write("mm/a.c", text(changed("letter k", "something")))

    applied, _ = tree.apply(history.diff(ALPHABET, changed("letter m", "letter M")))

    assert "fuzz 2" in applied[0].notes[0]


def test_a_patch_that_is_in_the_tree_is_told_so(small: Tree) -> None:
    after = text(changed("letter m", "letter M"))
    small.write("mm/a.c", text(["above", *changed("letter m", "letter M")]))
    small.write("mm/new.c", "int x;\n")

    message = small.refuse(
        diff("mm/a.c", text(ALPHABET), after) + diff("mm/new.c", None, "int x;\n")
    )

    assert message == "1.patch: is already in this tree"


def test_a_patch_that_is_in_the_series_twice_is_told_so(small: Tree) -> None:
    one = diff("mm/a.c", text(ALPHABET), text(changed("letter m", "letter M")))

    assert small.refuse(one, one) == "2.patch: is already in this tree"


def test_a_part_that_is_in_the_tree_is_named(known: Tree, history: History) -> None:
    known.write("mm/b.c", text(changed("letter m", "letter M")))
    after = changed("letter m", "letter M")

    message = known.refuse(
        history.diff(ALPHABET, after) + history.diff(ALPHABET, after, name="mm/b.c")
    )

    assert message == (
        "1.patch: does not apply: mm/b.c: what the patch brings there is in the tree already"
    )


def hunks(name: str = "mm/a.c") -> str:
    """Return the diff of one change without git's own lines."""
    found = diff(name, text(ALPHABET), text(changed("letter m", "letter M")))
    return found.partition("\n")[2]


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (RENAME + hunks().replace("b/mm/a.c", "b/mm/moved.c"), "renamed"),
        (COPY + hunks().replace("b/mm/a.c", "b/mm/copy.c"), "copied"),
        (MODE + hunks(), "given another mode"),
        (diff("mm/a.c", text(ALPHABET), None), "removed"),
    ],
)
def test_what_is_more_than_a_change_is_done_exactly_or_not_at_all(
    small: Tree, head: str, word: str
) -> None:
    small.write("mm/a.c", text(changed("letter k", "something")))

    message = small.refuse(head)

    assert "1.patch: does not apply: mm/a.c, hunk 1 (line " in message
    assert "it expects    'letter k'\n  the tree has  'something'" in message
    assert f"The file is {word} by the patch: that is done exactly or not at all" in message


@pytest.mark.parametrize(
    ("one", "files"),
    [
        (RENAME, {"mm/moved.c"}),
        (COPY, {"mm/a.c", "mm/copy.c"}),
        (EMPTY, {"mm/a.c", "mm/empty"}),
        (diff("mm/a.c", text(ALPHABET), None), set()),
        (diff("new/er/x.c", None, "int x;\n"), {"mm/a.c", "new/er/x.c"}),
    ],
)
def test_what_git_writes_is_in_the_tree_and_taken_back(
    small: Tree, one: str, files: set[str]
) -> None:
    _, seen = small.apply(one)

    assert set(seen) == files


def test_a_mode_is_in_the_tree_and_taken_back(small: Tree) -> None:
    before = fingerprint(small.src)
    with small.worktree.applied([series(MODE)], release="6.12"):
        assert os.access(small.src / "mm/a.c", os.X_OK)
    assert fingerprint(small.src) == before


def test_a_file_that_is_patched_with_fuzz_keeps_its_mode(small: Tree) -> None:
    path = small.write("mm/a.c", text(changed("letter k", "something")))
    path.chmod(0o555)
    one = diff("mm/a.c", text(ALPHABET), text(changed("letter m", "letter M")))

    with small.worktree.applied([series(one)], release="6.12"):
        assert path.stat().st_mode & 0o777 == 0o555


def test_a_folder_that_a_patch_empties_comes_back_with_its_mode(small: Tree) -> None:
    small.write("lib/sub/only.c", "int x;\n")
    (small.src / "lib/sub").chmod(0o700)
    (small.src / "lib").chmod(0o750)

    _, seen = small.apply(diff("lib/sub/only.c", "int x;\n", None))

    assert set(seen) == {"mm/a.c"}
