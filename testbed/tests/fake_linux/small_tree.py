"""A small tree, a worktree that patches it, and the repository that patches were made in."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from testbed.core.series import Patch, Series, SeriesMeta, parse_patch
from testbed.errors import SeriesError
from testbed.host.held import Holder
from testbed.host.patching import Applied
from testbed.host.worktree import Worktree
from testbed.tests.fake_linux.rig import diff, fingerprint, mail

ALPHABET: Final = [f"letter {chr(at)}" for at in range(ord("a"), ord("z") + 1)]
RENAME: Final = (
    "diff --git a/mm/a.c b/mm/moved.c\nsimilarity index 90%\n"
    "rename from mm/a.c\nrename to mm/moved.c\n"
)
COPY: Final = (
    "diff --git a/mm/a.c b/mm/copy.c\nsimilarity index 100%\ncopy from mm/a.c\ncopy to mm/copy.c\n"
)
MODE: Final = "diff --git a/mm/a.c b/mm/a.c\nold mode 100644\nnew mode 100755\n"
EMPTY: Final = "diff --git a/mm/empty b/mm/empty\nnew file mode 100644\nindex 000000..e69de29\n"
HEAD: Final = "diff --git a/mm/a.c b/mm/a.c\n--- a/mm/a.c\n+++ b/mm/a.c\n"


def text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def changed(old: str, new: str, *, lines: list[str] = ALPHABET) -> list[str]:
    assert old in lines
    return [new if line == old else line for line in lines]


class Tree:
    """A small tree, the worktree that patches it, and what that said."""

    def __init__(self, folder: Path, holder: Holder, *, objects: Path | None = None) -> None:
        self.said: list[str] = []
        self.folder = folder
        self.src = folder / "src"
        self.worktree = Worktree(folder, holder=holder, say=self.said.append, objects=objects)

    def write(self, name: str, content: str) -> Path:
        path = self.src / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def apply(self, *diffs: str) -> tuple[tuple[Applied, ...], dict[str, str]]:
        """Apply a patch for each diff; return how that went and the tree's files meanwhile."""
        before = fingerprint(self.src)
        with self.worktree.applied([series(*diffs)], release="6.12") as applied:
            seen = {
                str(path.relative_to(self.src)): path.read_text()
                for path in self.src.rglob("*")
                if path.is_file()
            }
        assert fingerprint(self.src) == before
        assert not (self.folder / "journal").exists()
        return applied, seen

    def refuse(self, *diffs: str) -> str:
        """Return why the diffs cannot be applied; the tree is then as it was."""
        before = fingerprint(self.src)
        with pytest.raises(SeriesError) as caught:
            self.apply(*diffs)
        assert fingerprint(self.src) == before
        assert sorted(path.name for path in self.folder.iterdir()) == ["guard", "src"]
        return str(caught.value)


def series(*diffs: str) -> Series:
    patches = [
        parse_patch(mail("change", one), filename=f"{number}.patch")
        for number, one in enumerate(diffs, start=1)
    ]
    return stack(*patches)


def stack(*patches: Patch) -> Series:
    return Series(
        name="s", patches=tuple(patches), meta=SeriesMeta(title="t", why="w", base=("6.12",))
    )


class History:
    """A git repository that has the files which patches were made for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._git("init", "-q")

    def diff(
        self, before: list[str], after: list[str], *, name: str = "mm/a.c", digits: int = 12
    ) -> str:
        """Return the diff with its index line; the repository knows the file before it."""
        old = self._store(text(before))
        new = self._store(text(after))
        head, sep, rest = diff(name, text(before), text(after)).partition("--- ")
        return f"{head}index {old[:digits]}..{new[:digits]} 100644\n{sep}{rest}"

    def commit(self) -> None:
        """Commit what is the file now, and the one before, and let others clone a part."""
        (self.path / "old").write_text(text(ALPHABET))
        self._git("add", ".")
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        self._git(*who, "commit", "-q", "-m", "all")
        self._git("config", "uploadpack.allowFilter", "true")
        self._git("config", "uploadpack.allowAnySHA1InWant", "true")

    def _store(self, content: str) -> str:
        path = self.path / "file"
        path.write_text(content)
        return self._git("hash-object", "-w", "file").strip()

    def _git(self, *argv: str) -> str:
        done = subprocess.run(
            ["git", *argv],  # noqa: S607 - as a user
            cwd=self.path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout
