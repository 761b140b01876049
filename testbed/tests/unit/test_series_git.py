import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from testbed.errors import SeriesError, UserError
from testbed.host.proc import find_tool
from testbed.host.series_spec import load_range

ENV = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A B",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A B",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z",
}


class Repo:
    """A git tree with ``base`` on main, and on it ``one`` and ``two`` on the branch topic."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", "-b", "main")
        self.base = self.commit("base: x", {"mm/a.c": "one\ntwo\nthree\n", "mm/run.sh": "x\n"})
        self.git("checkout", "-q", "-b", "topic")
        self.commit("mm: one", {"mm/a.c": "one\n2\nthree\n"})
        self.tip = self.commit("mm: grüße", {"mm/b.c": "b\udce9\n"})

    def git(self, *args: str) -> str:
        argv = [str(find_tool("git")), *args]
        done = subprocess.run(
            argv, cwd=self.path, env=ENV, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, subject: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        self.git("add", "-A")
        message = f"{subject}\n\nWhy.\n\nSigned-off-by: A B <a@example.org>\n"
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "linux")


@pytest.mark.parametrize("text", ["main..topic", "main..", "topic~2..topic", "main..HEAD"])
def test_a_range_is_a_series_on_its_base(repo: Repo, text: str) -> None:
    series = load_range(text, tree=repo.path)

    assert (series.name, series.base_commit, series.notes) == (text, repo.base, ())
    assert [patch.subject for patch in series.patches] == ["mm: one", "mm: grüße"]
    assert [patch.author for patch in series.patches] == ["A B <a@example.org>"] * 2
    assert Path(series.patches[0].filename).name == "0001-mm-one.patch"
    assert "\n+b\udce9\n" in series.patches[1].text


@pytest.mark.parametrize("text", ["topic", "HEAD"])
def test_a_branch_is_what_it_has_on_top_of_main(repo: Repo, text: str) -> None:
    series = load_range(text, tree=repo.path)

    assert (series.base_commit, len(series.patches)) == (repo.base, 2)


def test_a_branch_is_what_it_has_on_top_of_its_upstream(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "next", "topic~1")
    repo.git("branch", "-q", "--set-upstream-to=next", "topic")

    series = load_range("topic", tree=repo.path)

    assert series.base_commit == repo.git("rev-parse", "topic~1")
    assert [patch.subject for patch in series.patches] == ["mm: grüße"]


def test_a_base_that_has_gone_on_is_told(repo: Repo) -> None:
    repo.git("checkout", "-q", "main")
    newer = repo.commit("main: goes on", {"other": "x\n"})

    series = load_range("main..topic", tree=repo.path)

    assert series.base_commit == repo.base
    assert series.notes == (
        f"main..topic: {newer[:12]} has gone on; the commits since {repo.base[:12]} are taken",
    )


def test_renames_copies_and_modes_come_through(repo: Repo) -> None:
    repo.git("mv", "mm/a.c", "mm/moved.c")
    (repo.path / "mm/run.sh").chmod(0o755)
    (repo.path / "empty").touch()
    repo.commit("mm: move", {})

    (patch,) = load_range("topic~1..topic", tree=repo.path).patches

    assert [(c.old, c.new, c.hunks) for c in patch.changes] == [
        (None, "empty", ()),
        ("mm/a.c", "mm/moved.c", ()),
        ("mm/run.sh", "mm/run.sh", ()),
    ]


def test_the_trees_own_settings_change_nothing(repo: Repo) -> None:
    plain = load_range("main..topic", tree=repo.path)
    for key, value in {
        "diff.noprefix": "true",
        "diff.mnemonicPrefix": "true",
        "diff.renames": "false",
        "diff.external": "false",
        "diff.context": "0",
        "diff.suppressBlankEmpty": "true",
        "diff.orderFile": "/nowhere",
        "color.ui": "always",
        "format.attach": "true",
        "format.coverLetter": "true",
        "format.headers": "X-Odd: 1\n",
        "format.numbered": "false",
        "format.outputDirectory": "/nowhere",
        "format.signature": "odd",
        "format.signOff": "true",
        "format.subjectPrefix": "odd v7",
        "format.suffix": ".odd",
        "format.thread": "true",
        "format.from": "Odd <o@example.org>",
        "format.notes": "true",
        "i18n.logOutputEncoding": "latin1",
        "log.showSignature": "true",
    }.items():
        repo.git("config", key, value)

    assert load_range("main..topic", tree=repo.path).patches == plain.patches


def test_the_tree_is_only_read(repo: Repo) -> None:
    def digest() -> dict[str, tuple[int, str]]:
        return {
            str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in repo.path.rglob("*")
            if path.is_file()
        }

    before = digest()
    load_range("topic", tree=repo.path)

    assert digest() == before


def test_commits_without_a_change_are_left_out_and_told(repo: Repo) -> None:
    repo.commit("mm: nothing", {})

    series = load_range("main..topic", tree=repo.path)

    assert len(series.patches) == 2
    assert series.notes == ("main..topic: 1 commits without a change left out",)
    with pytest.raises(SeriesError, match=r"topic~1\.\.topic: its commits change nothing"):
        load_range("topic~1..topic", tree=repo.path)


def test_a_merge_is_refused_by_name(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "side", "main")
    repo.commit("side: x", {"side": "x\n"})
    repo.git("checkout", "-q", "topic")
    repo.git("merge", "-q", "-m", "Merge side", "side")

    with pytest.raises(SeriesError, match=r"topic: has merges.*: [0-9a-f]+ \(Merge side\)\. Reba"):
        load_range("main..topic", tree=repo.path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("topic..main", "topic..main: no commits: is it the right way round?"),
        ("topic..topic", "topic..topic: no commits"),
        ("main...topic", "main...topic: write BASE..TIP, with two dots"),
        ("..topic", "..topic: write BASE..TIP: the commit before the first one is missing"),
        ("--output=x..topic", "'--output=x' is no revision of git"),
        ("--all", "'--all' is no revision of git"),
        ("", "'' is no revision of git"),
        ("main", "main: has nothing on top of an upstream, main or master: write BASE..main, "),
    ],
)
def test_a_range_that_will_not_do_is_refused(repo: Repo, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_range(text, tree=repo.path)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("text", ["nosuch..topic", "main..nosuch", "nosuch"])
def test_an_end_that_is_no_commit_is_named(repo: Repo, text: str) -> None:
    with pytest.raises(UserError, match=f"{repo.path}: has no commit nosuch"):
        load_range(text, tree=repo.path)


def test_an_end_that_is_a_branch_and_a_tag_is_refused(repo: Repo) -> None:
    repo.git("tag", "topic", "main")

    with pytest.raises(UserError, match="topic is a branch and a tag: write refs/heads/topic or"):
        load_range("main..topic", tree=repo.path)


def test_histories_without_a_common_commit_are_refused(repo: Repo) -> None:
    repo.git("checkout", "-q", "--orphan", "alone")
    repo.commit("alone: x", {"alone": "x\n"})

    with pytest.raises(SeriesError, match=r"main\.\.alone: the two have no commit in common"):
        load_range("main..alone", tree=repo.path)


@pytest.mark.parametrize("name", ["plain", "nosuch"])
def test_what_is_no_git_tree_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "plain").mkdir()

    with pytest.raises(UserError, match="is no git tree: --git wants one, with --tree"):
        load_range("main..topic", tree=tmp_path / name)


def test_a_binary_file_in_a_range_is_refused_by_name(repo: Repo) -> None:
    (repo.path / "blob").write_bytes(b"\0\1\2")
    repo.commit("mm: blob", {})

    with pytest.raises(SeriesError, match=r"0001-mm-blob\.patch: blob: a binary diff"):
        load_range("topic~1..topic", tree=repo.path)


def test_a_symlink_in_a_range_is_refused_by_name(repo: Repo) -> None:
    (repo.path / "link").symlink_to("/etc/passwd")
    repo.commit("mm: link", {})

    with pytest.raises(SeriesError, match=r"0001-mm-link\.patch: link: a symlink"):
        load_range("topic~1..topic", tree=repo.path)
