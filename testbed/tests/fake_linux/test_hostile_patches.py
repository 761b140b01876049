"""What is left of patches that would do harm, and of runs that are killed."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from testbed.core.series import FileChange, Patch
from testbed.errors import SeriesError
from testbed.tests.fake_linux.rig import diff, fingerprint
from testbed.tests.fake_linux.small_tree import (
    ALPHABET,
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


def make_patch(one: str, *names: str) -> Patch:
    """Return a patch as a reader would have it that lets everything through."""
    changes = tuple(FileChange(old=None, new=name, hunks=()) for name in names)
    return Patch(filename="1.patch", subject="s", patch_id="", changes=changes, text=one)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../outside.c", "would be outside the kernel tree"),
        ("/etc/passwd", "would be outside the kernel tree"),
        ("mm/../../outside.c", "would be outside the kernel tree"),
        (".git/config", "would be outside the kernel tree"),
        ("mm/.Git/config", "would be outside the kernel tree"),
        ("mm//a.c", "would be outside the kernel tree"),
        ("mm/\x1b[31ma.c", "has characters in its name that cannot be shown"),
        ("mm/a\u202ec.c", "has characters in its name that cannot be shown"),
        ("mm/a\nb.c", "has characters in its name that cannot be shown"),
        ("mm/a\0b.c", "has characters in its name that cannot be shown"),
        ("mm/\udcff.c", "has characters in its name that cannot be shown"),
        ("mm/" + 256 * "x", "has too long a name"),
        ("x/" * 1500 + "x", "has too long a name"),
        ("mm/a.c/x.c", "is behind mm/a.c, which is a file in the tree"),
        ("mm", "is a folder in the tree"),
        ("mm/link/x.c", "is behind the symlink mm/link"),
    ],
)
def test_a_name_that_cannot_be_a_file_of_the_tree_is_refused(
    small: Tree, tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (small.src / "mm/link").symlink_to(tmp_path / "elsewhere")
    patch = make_patch("diff --git a/x b/x\nnew file mode 100644\n", name)

    with (
        pytest.raises(SeriesError, match=f"1.patch: .*: {why}") as caught,
        small.worktree.applied([stack(patch)], release="6.12"),
    ):
        pass
    assert str(caught.value).isprintable()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_that_the_series_makes_leads_nowhere(small: Tree, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = (
        "diff --git a/mm/link b/mm/link\nnew file mode 120000\n--- /dev/null\n+++ b/mm/link\n"
        f"@@ -0,0 +1 @@\n+{outside}\n\\ No newline at end of file\n"
    )
    through = diff("mm/link/x.c", None, "int x;\n")
    patches = (make_patch(link, "mm/link"), make_patch(through, "mm/link/x.c"))

    with (
        pytest.raises(SeriesError, match="is behind mm/link, which is a file of the series"),
        small.worktree.applied([stack(*patches)], release="6.12"),
    ):
        pass
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("one", "names", "why"),
    [
        (
            diff("mm/x.c", None, "x\n") + diff("mm/y.c", None, "y\n"),
            ["mm/x.c"],
            "git also changes mm/y.c",
        ),
        (
            diff("mm/x.c", None, "x\n"),
            ["mm/x.c", "mm/y.c"],
            "git takes no notice of mm/y.c",
        ),
        # Git obeys the last line, which its reader takes for words.
        (
            (
                "diff --git a/mm/x.c b/mm/x.c\n--- /dev/null\n+++ b/mm/x.c\n"
                "rename from mm/a.c\nrename to mm/x.c\n"
            ),
            ["mm/x.c"],
            "mm/a.c: No such file or directory",
        ),
    ],
)
def test_a_patch_that_git_reads_otherwise_never_reaches_the_tree(
    small: Tree, monkeypatch: pytest.MonkeyPatch, one: str, names: list[str], why: str
) -> None:
    before = fingerprint(small.src)

    with (
        pytest.raises(SeriesError, match=why),
        small.worktree.applied([stack(make_patch(one, *names))], release="6.12"),
    ):
        pass
    assert fingerprint(small.src) == before


def test_words_in_a_patch_are_not_taken_for_the_tools_own(small: Tree) -> None:
    """What git or make would say of a full disk, and of a hunk, as lines of the patch."""
    words = [
        "error: write error: No space left on device",
        "error: patch failed: mm/b.c:1",
        "Hunk #1 succeeded at 3 (offset 2 lines).",
    ]
    small.write("mm/b.c", "int x;\n")
    before = [*words, *ALPHABET]

    message = small.refuse(
        diff("mm/a.c", text(before), text(changed("letter a", "A", lines=before)))
    )

    assert message.startswith("1.patch: does not apply: mm/a.c, hunk 1 (line 1)")
    assert "mm/b.c" not in message


def test_control_characters_of_a_line_are_not_shown(small: Tree) -> None:
    before = changed("letter m", "\x1b[31m\u202e m")
    after = changed("letter n", "N", lines=before)

    message = small.refuse(diff("mm/a.c", text(before), text(after)))

    assert r"it expects    '\x1b[31m\u202e m'" in message
    assert all(line.isprintable() for line in message.splitlines())


@pytest.mark.parametrize("line_bytes", [50, 50_000_000])
def test_a_huge_hunk_is_refused_soon(small: Tree, line_bytes: int) -> None:
    lines = ["x" * line_bytes] * (50_000_000 // line_bytes // (20 if line_bytes < 100 else 1))
    small.write("mm/a.c", text([f"line {at}" for at in range(20_000)]))
    body = "".join(f"-{line}\n" for line in lines) + "+y\n"
    one = f"{HEAD}@@ -1,{len(lines)} +1,1 @@\n{body}"
    patch = Patch(
        filename="1.patch",
        subject="s",
        patch_id="",
        changes=(FileChange(old="mm/a.c", new="mm/a.c", hunks=()),),
        text=one,
    )
    began = time.monotonic()

    with (
        pytest.raises(SeriesError, match=r"1\.patch: does not apply: mm/a.c, line 1$") as caught,
        small.worktree.applied([stack(patch)], release="6.12"),
    ):
        pass
    assert len(str(caught.value)) < 1000
    assert time.monotonic() - began < 60


def test_a_big_hunk_in_a_big_file_is_not_searched_for_to_the_line(small: Tree) -> None:
    lines = [f"line {at}" for at in range(20_000)]
    small.write("mm/a.c", text(lines))
    before = [f"other {at}" for at in range(5_000)]
    body = "".join(f"-{line}\n" for line in before)

    message = small.refuse(f"{HEAD}@@ -1,5000 +1,1 @@\n{body}+y\n")

    assert message == "1.patch: does not apply: mm/a.c, hunk 1 (line 1)"


def test_a_huge_file_is_made_and_taken_back(small: Tree) -> None:
    line = "x" * 999
    body = f"+{line}\n" * 50_000
    one = (
        "diff --git a/mm/huge b/mm/huge\nnew file mode 100644\n--- /dev/null\n+++ b/mm/huge\n"
        f"@@ -0,0 +1,50000 @@\n{body}"
    )

    with small.worktree.applied([stack(make_patch(one, "mm/huge"))], release="6.12"):
        assert (small.src / "mm/huge").stat().st_size == 50_000_000
    assert not (small.src / "mm/huge").exists()


def test_an_old_file_is_never_written_into(known: Tree, history: History, tmp_path: Path) -> None:
    """The journal keeps the originals by hard links: so must any other."""
    known.write("mm/a.c", text(["above", *changed("letter k", "something")]))
    known.write("mm/b.c", text(changed("letter k", "something")))
    twins = {name: tmp_path / name for name in ("a.c", "b.c")}
    for name, twin in twins.items():
        twin.hardlink_to(known.src / "mm" / name)
    content = {name: twin.read_bytes() for name, twin in twins.items()}
    after = changed("letter m", "letter M")
    one = history.diff(ALPHABET, after) + diff("mm/b.c", text(ALPHABET), text(after))

    with known.worktree.applied([series(one)], release="6.12") as applied:
        assert [note.partition(":")[0] for note in applied[0].notes] == ["mm/a.c", "mm/b.c, hunk 1"]
        assert {name: twin.read_bytes() for name, twin in twins.items()} == content


_WRITES: Final = frozenset(
    {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod", "shutil.copyfile"}
)


def run_until_killed(action: Callable[[], None], step: int) -> bool:
    """Run ``action`` in a process that dies (SIGKILL) before its write number ``step``, from 1.

    False where it came to its end.
    """
    pid = os.fork()
    if pid == 0:
        done = 0

        def count(event: str, _args: tuple[object, ...]) -> None:
            nonlocal done
            if event in _WRITES:
                done += 1
                if done == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def test_a_kill_at_any_write_leaves_what_the_next_run_takes_back(
    known: Tree, history: History
) -> None:
    """A rename, a mode, a file made in a new folder, one removed, a merge and fuzz."""
    known.write("mm/a.c", text(["above", *changed("letter k", "something")]))
    known.write("mm/b.c", text(changed("letter k", "something")))
    known.write("mm/c.c", text(ALPHABET))
    known.write("lib/only.c", "int x;\n")
    (known.src / "lib").chmod(0o700)
    known.write("run.sh", "true\n")
    before = fingerprint(known.src)
    after = changed("letter m", "letter M")
    patch = (
        history.diff(ALPHABET, after)
        + diff("mm/b.c", text(ALPHABET), text(after))
        + RENAME.replace("mm/a.c", "mm/c.c")
        + MODE.replace("mm/a.c", "run.sh")
        + diff("new/er/x.c", None, "int x;\n")
        + diff("lib/only.c", "int x;\n", None)
    )
    applied_files: set[str] = set()

    def use() -> None:
        with known.worktree.applied([series(patch)], release="6.12"):
            pass

    with known.worktree.applied([series(patch)], release="6.12"):
        applied_files = {name for name, item in fingerprint(known.src).items() if item[2]}
    assert applied_files == {"mm/a.c", "mm/b.c", "mm/moved.c", "run.sh", "new/er/x.c"}

    step = 1
    while run_until_killed(use, step):
        if step % 5 == 0:  # and a kill in the midst of taking back
            run_until_killed(known.worktree.recover, step // 5)
        known.worktree.recover()
        assert fingerprint(known.src) == before, step
        assert sorted(path.name for path in known.folder.iterdir()) == ["guard", "src"], step
        step += 1
    assert step > 20
    assert fingerprint(known.src) == before
