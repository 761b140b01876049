"""git bisect over the commits of the user's tree, in a repository of our own.

The user's repository is only read: ours is a bare one that borrows its objects
(gitrepository-layout(5), objects/info/alternates), so that no ref, no BISECT_HEAD and no checkout
ever appears there. What git found out is read from BISECT_LOG, whose lines it writes itself; its
other output quotes commit messages, which may say anything.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from testbed.core.text import clean
from testbed.errors import InfraError, UserError
from testbed.host.commit_tree import find_place
from testbed.host.git import GIT
from testbed.host.proc import Completed, run

_FIRST_BAD: Final = re.compile(r"^# first bad commit: \[([0-9a-f]{40,64})\]", re.MULTILINE)
_ONLY_SKIPPED: Final = re.compile(r"^# only skipped commits left to test$", re.MULTILINE)
_POSSIBLE: Final = re.compile(r"^# possible first bad commit: \[([0-9a-f]{40,64})\]", re.MULTILINE)

# `enum bisect_error` of git's bisect.h, negated (2.39).
_ONLY_SKIPPED_LEFT: Final = 2
_BAD_MERGE_BASE: Final = 3
_NO_TESTABLE_COMMIT: Final = 4


class Mark(StrEnum):
    """What `git bisect` is told of a commit."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


class GitEnding(StrEnum):
    """What git bisect ends with; MERGE_BASE_BAD as in :class:`testbed.core.bisection.Ending`."""

    FOUND = "found"
    ONLY_SKIPPED = "only_skipped"
    MERGE_BASE_BAD = "merge_base_bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitResult:
    """How it ended; ``commits`` is the first bad one, or all that it may be, the newest first."""

    ending: GitEnding
    commits: tuple[str, ...]


class GitBisect:
    """A bisection of ``tree`` between two commits, given by their whole hashes.

    ``folder`` is where its repository is made: a new one, or a folder that is not there yet. Only
    commits that touch ``paths`` are looked at, all if there are none. ``count`` is how many there
    are. Raises :class:`UserError` where there is nothing between the two.
    """

    def __init__(
        self, tree: Path, *, bad: str, good: str, folder: Path, paths: Sequence[str] = ()
    ) -> None:
        self.bad = bad
        self.good = good
        self._git_dir = folder
        _borrow_objects(tree, folder)
        if bad == good:
            raise UserError(f"{bad[:12]} cannot be both the good and the bad commit")
        self._git("update-ref", "--no-deref", "HEAD", bad)
        self.count = int(
            self._git("rev-list", "--count", bad, f"^{good}", "--", *paths).output.strip()
        )
        self._result: GitResult | None = None
        self._start(bad, good, paths)

    @property
    def result(self) -> GitResult | None:
        """What came of it; None as long as there is a commit to test."""
        return self._result

    @property
    def current(self) -> str:
        """The commit to test next, whole; raises :class:`ValueError` after the end."""
        if self._result is not None:
            raise ValueError("this bisection has ended")
        return self._git("rev-parse", "--verify", "BISECT_HEAD").output.strip()

    def mark(self, mark: Mark) -> None:
        """Tell git what came of testing the current commit."""
        commit = self.current
        self._take(self._git("bisect", mark, commit, check=False), commit)

    def _start(self, bad: str, good: str, paths: Sequence[str]) -> None:
        argv = ("bisect", "start", "--no-checkout", bad, good, "--", *paths)
        done = self._git(*argv, check=False)
        if done.returncode == _NO_TESTABLE_COMMIT:
            where = f" that touches {' '.join(paths)}" if paths else ""
            raise UserError(f"no commit{where} between {good[:12]} and {bad[:12]}: nothing to test")
        if done.returncode == 1 and "not ancestors of the bad rev" in done.output:
            raise UserError(
                f"the good commit {good[:12]} does not lead to the bad one {bad[:12]}: "
                "have the two been mistaken for each other?"
            )
        self._take(done, bad)

    def _take(self, done: Completed, commit: str) -> None:
        """Take up what git came to after a mark of ``commit``."""
        if done.returncode == _BAD_MERGE_BASE:
            self._result = GitResult(ending=GitEnding.MERGE_BASE_BAD, commits=(commit,))
            return
        if done.returncode not in {0, _ONLY_SKIPPED_LEFT}:
            raise InfraError(f"git bisect does not go on at {commit[:12]}: {clean(done.output)}")
        log = (self._git_dir / "BISECT_LOG").read_text(encoding="utf-8", errors="replace")
        if first := _FIRST_BAD.findall(log):
            self._result = GitResult(ending=GitEnding.FOUND, commits=(first[-1],))
        elif _ONLY_SKIPPED.search(log):
            commits = tuple(_POSSIBLE.findall(log))
            self._result = GitResult(ending=GitEnding.ONLY_SKIPPED, commits=commits)

    def _git(self, *words: str, check: bool = True) -> Completed:
        return run([*GIT, "--git-dir", str(self._git_dir), *words], check=check)


def _borrow_objects(tree: Path, folder: Path) -> None:
    """Make a bare repository in ``folder`` that reads the objects of the one of ``tree``."""
    place = find_place(tree)
    asked = run([*GIT, "--git-dir", str(place.repository), "rev-parse", "--show-object-format"])
    argv = ["init", "--quiet", "--bare", "--template=", f"--object-format={asked.output.strip()}"]
    run([*GIT, *argv, "--", str(folder)])
    info = folder / "objects/info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_bytes(os.fsencode(f"{place.repository / 'objects'}\n"))
    shallow = place.repository / "shallow"
    if shallow.is_file():  # without it git would miss the parents that were never fetched
        shutil.copyfile(shallow, folder / "shallow")
