import pytest

from testbed.core.apply_report import (
    MARKER_CHARS,
    Note,
    find_conflicts,
    find_failed_hunk,
    read_git_notes,
    read_patch_notes,
)


def test_gits_offsets_are_notes_of_their_files() -> None:
    lines = [
        "Checking patch mm/a.c...",
        "Hunk #2 succeeded at 20 (offset 14 lines).",
        "Checking patch mm/b.c => mm/c.c...",
        "Hunk #1 succeeded at 3 (offset -1 lines).",
        "Applied patch mm/a.c cleanly.",
    ]

    assert read_git_notes(lines) == (
        Note(text="mm/a.c, hunk 2: applied 14 lines further down", is_doubtful=False),
        Note(text="mm/b.c => mm/c.c, hunk 1: applied 1 line further up", is_doubtful=False),
    )


def test_control_characters_of_a_name_are_not_shown() -> None:
    lines = ["Checking patch mm/\x1b[31ma.c...", "Hunk #1 succeeded at 2 (offset 1 line)."]

    assert [note.text for note in read_git_notes(lines)] == [
        "mm/a.c, hunk 1: applied 1 line further down"
    ]


@pytest.mark.parametrize(
    ("line", "text", "is_doubtful"),
    [
        ("Hunk #1 succeeded at 5 with fuzz 2.", "applied with fuzz 2: look at it", True),
        (
            "Hunk #1 succeeded at 5 with fuzz 1 (offset -3 lines).",
            "applied with fuzz 1, 3 lines further up: look at it",
            True,
        ),
        ("Hunk #1 succeeded at 5 (offset 1 line).", "applied 1 line further down", False),
    ],
)
def test_what_gnu_patch_says_is_noted(line: str, text: str, *, is_doubtful: bool) -> None:
    notes = read_patch_notes(["patching file file", line], name="mm/a.c")

    assert notes == (Note(text=f"mm/a.c, hunk 1: {text}", is_doubtful=is_doubtful),)


def test_the_first_hunk_that_failed_is_found() -> None:
    lines = [
        "patching file file",
        "Hunk #1 succeeded at 5 with fuzz 2.",
        "Hunk #3 FAILED at 33.",
        "Hunk #4 FAILED at 44.",
        "2 out of 4 hunks FAILED",
    ]

    assert find_failed_hunk(lines) == 3
    assert find_failed_hunk(lines[:2]) is None


def merge(*parts: str | tuple[list[str], list[str]]) -> list[str]:
    """Return what git merge-file writes; a pair is a conflict, the tree's side first."""
    lines: list[str] = []
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
            continue
        ours, theirs = part
        lines += ["<" * MARKER_CHARS + " the tree", *ours, "=" * MARKER_CHARS, *theirs]
        lines.append(">" * MARKER_CHARS + " the patch")
    return lines


@pytest.mark.parametrize(
    ("merged", "current", "places"),
    [
        (merge("a", (["b"], ["B"]), "c"), ["a", "b", "c"], ((2, 2),)),
        (merge("a", (["b", "c"], ["B"]), "d"), ["a", "b", "c", "d"], ((2, 3),)),
        # the patch has added two lines above, without a conflict
        (merge("new", "new", "a", (["b"], ["B"]), "c"), ["a", "b", "c"], ((2, 2),)),
        # and taken one away between two conflicts
        (
            merge("a", (["b"], ["B"]), "d", (["e"], ["E"]), "f"),
            ["a", "b", "c", "d", "e", "f"],
            ((2, 2), (5, 5)),
        ),
        # the tree has lost what the patch changes: at the top, within, at the end
        (merge(([], ["B"]), "c"), ["c"], ((1, 1),)),
        (merge("a", ([], ["B"]), "c"), ["a", "c"], ((2, 2),)),
        (merge("a", ([], ["B"])), ["a"], ((2, 2),)),
        (merge("a", "b"), ["a", "b"], ()),
    ],
)
def test_conflicts_are_found_in_the_file_that_the_tree_has(
    merged: list[str], current: list[str], places: tuple[tuple[int, int], ...]
) -> None:
    assert find_conflicts(merged, current) == places
