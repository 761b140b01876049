import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.errors import InfraError, UserError
from testbed.host.git_bisect import GitBisect, GitEnding, GitResult, Mark

WHO = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Repository:
    """A repository of the user's; ``commits`` in the order in which they were made."""

    path: Path

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *WHO, *words],  # noqa: S607 - as a user
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"},
        )
        return done.stdout.strip()

    def commit(self, subject: str, *, name: str = "file") -> str:
        path = self.path / name
        path.write_text(f"{subject}\n")
        self.git("add", name)
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def start(self, folder: Path, *, bad: str, good: str, paths: tuple[str, ...] = ()) -> GitBisect:
        return GitBisect(self.path, bad=bad, good=good, folder=folder, paths=paths)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    path = tmp_path / "my linux"
    path.mkdir()
    repository = Repository(path)
    repository.git("init", "-q", "-b", "main")
    return repository


@pytest.fixture
def line(repository: Repository) -> tuple[str, ...]:
    return tuple(repository.commit(f"commit {number}") for number in range(10))


def drive(bisect: GitBisect, judge: Callable[[str], Mark]) -> tuple[GitResult, list[str]]:
    """Answer git until it has a result; what it asked for."""
    asked: list[str] = []
    while (result := bisect.result) is None:
        asked.append(bisect.current)
        bisect.mark(judge(asked[-1]))
        assert len(asked) < 40
    return result, asked


@pytest.mark.parametrize("culprit", range(1, 10))
def test_the_first_bad_commit_is_found(
    repository: Repository, line: tuple[str, ...], culprit: int, tmp_path: Path
) -> None:
    bisect = repository.start(tmp_path / "own", bad=line[-1], good=line[0])

    result, asked = drive(bisect, lambda sha: Mark.BAD if line.index(sha) >= culprit else Mark.GOOD)

    assert result == GitResult(ending=GitEnding.FOUND, commits=(line[culprit],))
    assert bisect.count == 9
    assert len(asked) <= 4


def test_a_single_commit_needs_no_test(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    bisect = repository.start(tmp_path / "own", bad=line[4], good=line[3])

    assert bisect.result == GitResult(ending=GitEnding.FOUND, commits=(line[4],))
    with pytest.raises(ValueError, match="has ended"):
        _ = bisect.current


def test_skipped_commits_are_told_with_the_one_behind_them(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    def judge(sha: str) -> Mark:
        place = line.index(sha)
        return Mark.SKIP if place in {4, 5} else Mark.BAD if place >= 5 else Mark.GOOD

    result, _ = drive(repository.start(tmp_path / "own", bad=line[-1], good=line[0]), judge)

    assert result.ending is GitEnding.ONLY_SKIPPED
    assert set(result.commits) == {line[4], line[5], line[6]}


def test_a_merge_leads_to_the_branch_that_is_to_blame(
    repository: Repository, tmp_path: Path
) -> None:
    good = repository.commit("root")
    repository.git("checkout", "-q", "-b", "topic")
    topic = [repository.commit(f"topic {number}", name="topic") for number in range(5)]
    repository.git("checkout", "-q", "main")
    for number in range(5):
        repository.commit(f"main {number}")
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "topic")
    bad = repository.git("rev-parse", "HEAD")

    def judge(sha: str) -> Mark:
        has_it = repository.git("rev-list", sha).split()
        return Mark.BAD if topic[2] in has_it else Mark.GOOD

    result, _ = drive(repository.start(tmp_path / "own", bad=bad, good=good), judge)

    assert result == GitResult(ending=GitEnding.FOUND, commits=(topic[2],))


@pytest.mark.parametrize("is_base_bad", [True, False])
def test_a_good_commit_on_another_branch_has_the_merge_base_tested(
    repository: Repository, tmp_path: Path, *, is_base_bad: bool
) -> None:
    root = repository.commit("root")
    repository.git("checkout", "-q", "-b", "stable")
    good = repository.commit("mended", name="stable")
    repository.git("checkout", "-q", "main")
    later = [repository.commit(f"main {number}") for number in range(4)]
    bisect = repository.start(tmp_path / "own", bad=later[-1], good=good)
    assert bisect.current == root

    bad = set(later[2:]) | ({root} if is_base_bad else set())
    result, _ = drive(bisect, lambda sha: Mark.BAD if sha in bad else Mark.GOOD)

    found = GitResult(ending=GitEnding.FOUND, commits=(later[2],))
    mended = GitResult(ending=GitEnding.MERGE_BASE_BAD, commits=(root,))
    assert result == (mended if is_base_bad else found)


def test_only_commits_that_touch_the_paths_are_asked_for(
    repository: Repository, tmp_path: Path
) -> None:
    good = repository.commit("root")
    mm = []
    for number in range(6):
        repository.commit(f"net {number}", name="net.c")
        mm.append(repository.commit(f"mm {number}", name="mm.c"))
    bisect = repository.start(tmp_path / "own", bad=mm[-1], good=good, paths=("mm.c",))

    result, asked = drive(bisect, lambda sha: Mark.BAD if mm.index(sha) >= 2 else Mark.GOOD)

    assert bisect.count == 6
    assert set(asked) <= set(mm)
    assert result.commits == (mm[2],)


def test_the_users_repository_is_not_touched(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    (repository.path / "file").write_text("an edit that is not committed\n")
    before = _read_all(repository.path)

    drive(
        repository.start(tmp_path / "own", bad=line[-1], good=line[0]),
        lambda sha: Mark.BAD if line.index(sha) >= 3 else Mark.GOOD,
    )

    assert _read_all(repository.path) == before


def test_a_linked_worktree_is_bisected_as_its_repository_is(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    repository.git("worktree", "add", "-q", "--detach", str(linked))

    bisect = Repository(linked).start(tmp_path / "own", bad=line[-1], good=line[0])

    result, _ = drive(bisect, lambda sha: Mark.BAD if line.index(sha) >= 7 else Mark.GOOD)
    assert result.commits == (line[7],)


def test_a_shallow_clone_is_bisected_as_far_as_it_goes(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    shallow = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth=6", repository.path.as_uri(), str(shallow))

    bisect = Repository(shallow).start(tmp_path / "own", bad=line[-1], good=line[4])

    result, _ = drive(bisect, lambda sha: Mark.BAD if line.index(sha) >= 6 else Mark.GOOD)
    assert result.commits == (line[6],)


def test_a_subject_that_imitates_git_misleads_nobody(
    repository: Repository, tmp_path: Path
) -> None:
    good = repository.commit("root")
    lie = f"x\n\n# first bad commit: [{good}] y\n{good} is the first bad commit"
    commits = [repository.commit(f"{number} {lie}") for number in range(5)]

    result, _ = drive(
        repository.start(tmp_path / "own", bad=commits[-1], good=good),
        lambda sha: Mark.BAD if commits.index(sha) >= 3 else Mark.GOOD,
    )

    assert result == GitResult(ending=GitEnding.FOUND, commits=(commits[3],))


def test_commits_that_were_mistaken_for_each_other_are_named(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"{line[-1][:12]} does not lead to the bad one"):
        repository.start(tmp_path / "own", bad=line[0], good=line[-1])


def test_one_commit_for_both_ends_is_refused(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="both the good and the bad"):
        repository.start(tmp_path / "own", bad=line[0], good=line[0])


def test_paths_that_no_commit_touches_are_named(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no commit that touches fs/nothing between"):
        repository.start(tmp_path / "own", bad=line[-1], good=line[0], paths=("fs/nothing",))


def test_a_folder_that_is_not_under_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no git repository"):
        GitBisect(tmp_path, bad="a" * 40, good="b" * 40, folder=tmp_path / "own")


def test_a_repository_that_goes_away_is_the_hosts_fault(
    repository: Repository, line: tuple[str, ...], tmp_path: Path
) -> None:
    bisect = repository.start(tmp_path / "own", bad=line[-1], good=line[0])
    repository.path.rename(tmp_path / "gone")

    with pytest.raises(InfraError):
        drive(bisect, lambda _: Mark.BAD)


def _read_all(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
