import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from testbed.core.series import Series
from testbed.errors import UserError
from testbed.host.builder import Builder, BuildFailure, Kernel
from testbed.host.commit_tree import describe_commit, list_tree, resolve_commit
from testbed.host.mirror import sync_mirror
from testbed.host.source import Commit, resolve_source
from testbed.tests.fake_linux.rig import (
    NO_SPACE_NEEDED,
    REPO,
    Rig,
    edit,
    fingerprint,
    mail,
    write_series,
)


def git(tree: Path, *words: str, stdin: bytes | None = None) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    argv = ["git", "-C", str(tree), *identity, *words]
    done = subprocess.run(argv, check=True, capture_output=True, input=stdin)
    return done.stdout.decode().strip()


def commit(tree: Path, message: str, **files: str | None) -> str:
    """Commit files, given as mm__migrate_c="text"; None deletes one. Return the commit's hash."""
    for key, text in files.items():
        name = key.replace("__", "/")
        path = tree / (f"{name[:-2]}.{name[-1]}" if name[-2] == "_" else name)
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "--allow-empty", "-m", message)
    return git(tree, "rev-parse", "HEAD")


@pytest.fixture
def repo(tree: Path) -> Path:
    """The toy tree with two commits: ``first`` (a tag), and main, which edits mm/migrate.c."""
    git(tree, "init", "-q", "-b", "main")
    commit(tree, "start")
    git(tree, "tag", "first")
    text = (tree / "mm/migrate.c").read_text().replace("return 0;", "return 00;")
    commit(tree, "mm: edit", mm__migrate_c=text)
    return tree


@dataclass
class Commits:
    """Builds commits with a rig."""

    rig: Rig

    def build(self, tree: Path, rev: str, *series: Series) -> Kernel:
        self.rig.lines.clear()
        builder = Builder(
            self.rig.store,
            say=self.rig.said.append,
            on_progress=lambda _, line: self.rig.lines.append(line),
            tarballs_dir=self.rig.tarballs,
            space_need=NO_SPACE_NEEDED,
        )
        outcome = builder.build(replace(self.rig.request(*series, tree=tree), commit=rev))
        assert not isinstance(outcome, BuildFailure), outcome
        return outcome

    def resolve(self, tree: Path, rev: str) -> Commit:
        source = resolve_source(tree, store=self.rig.store, commit=rev)
        assert isinstance(source, Commit)
        return source


@pytest.fixture
def commits(rig: Rig) -> Commits:
    return Commits(rig)


def look(folder: Path) -> dict[str, tuple[str, int]]:
    """Return content and mode of all files below a folder: a tree, whatever its times are."""
    return {name: (content, mode) for name, (content, mode, *_) in fingerprint(folder).items()}


def export(repo: Path, rev: str, folder: Path) -> dict[str, tuple[str, int]]:
    """Return what git itself makes of a commit."""
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    git(repo, "-c", "tar.umask=0022", "archive", "-o", str(archive), rev)
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)  # noqa: S607 - as a user
    return look(folder)


def times(folder: Path) -> dict[str, tuple[int, int]]:
    return {name: (seen[2], seen[3]) for name, seen in fingerprint(folder).items()}


@pytest.mark.parametrize("kind", ["checkout", "its .git", "bare", "linked worktree", "sha256"])
def test_a_commit_is_built_and_its_repository_never_touched(
    commits: Commits, repo: Path, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "other"
    if kind == "bare":
        git(repo, "clone", "-q", "--bare", ".", str(place))
    elif kind == "linked worktree":
        git(repo, "worktree", "add", "-q", "--detach", str(place), "main")
    elif kind == "sha256":
        shutil.rmtree(repo / ".git")
        git(repo, "init", "-q", "--object-format=sha256")
        commit(repo, "start")
        git(repo, "tag", "first")
        text = (repo / "mm/migrate.c").read_text().replace("return 00;", "return 0;")
        commit(repo, "mm: edit", mm__migrate_c=text)
        place = repo
    else:
        place = {"checkout": repo, "its .git": repo / ".git"}[kind]
    before = [fingerprint(folder) for folder in (repo, place)]

    kernel = commits.build(place, "first")

    assert kernel.compiled_files == 3
    assert [fingerprint(folder) for folder in (repo, place)] == before
    assert look(commits.rig.work / "src") == export(repo, "first", tmp_path / "export")


def test_what_is_checked_out_does_not_count(commits: Commits, repo: Path) -> None:
    (repo / "mm/migrate.c").write_text("this does not compile")
    (repo / "mm/new.c").write_text("nor is this in the commit")
    git(repo, "add", "mm/new.c")

    commits.build(repo, "HEAD")

    assert "return 00;" in (commits.rig.work / "src/mm/migrate.c").read_text()
    assert not (commits.rig.work / "src/mm/new.c").exists()


def test_from_commit_to_commit_only_what_differs_is_written_and_compiled(
    commits: Commits, repo: Path
) -> None:
    first = commits.build(repo, "first")
    src = commits.rig.work / "src"
    before = times(src)

    second = commits.build(repo, "main")

    assert commits.rig.compiled == ["mm/migrate.o"]
    after = times(src)
    assert [name for name in before if before[name] != after[name]] == ["mm/migrate.c"]
    assert first.key != second.key
    assert commits.build(repo, "first").is_cached


def test_worktrees_of_one_repository_share_a_folder(
    commits: Commits, repo: Path, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    git(repo, "worktree", "add", "-q", "--detach", str(linked), "main")
    (tmp_path / "link").symlink_to(repo)
    commits.build(linked, "first")

    commits.build(tmp_path / "link", "main")

    assert commits.rig.compiled == ["mm/migrate.o"]  # the same warm folder


def test_two_commits_and_two_clones_with_one_content_are_one_source(
    commits: Commits, repo: Path, tmp_path: Path
) -> None:
    kernel = commits.build(repo, "main")
    commit(repo, "nothing changes")
    git(repo, "clone", "-q", "--bare", ".", str(tmp_path / "clone"))

    for place in (repo, tmp_path / "clone"):
        again = commits.build(place, "main")
        assert again.is_cached
        assert again.key == kernel.key
        assert 'nothing changes")' in again.source_title


def test_modes_links_and_deletions_are_followed(
    commits: Commits, repo: Path, tmp_path: Path
) -> None:
    commits.build(repo, "main")
    (repo / "scripts/conf.awk").chmod(0o755)
    (repo / "scripts/link").symlink_to("../mm")
    (repo / "empty").write_bytes(b"")
    (repo / "binary").write_bytes(bytes(range(256)) * 5000)
    (repo / "Größe und Maß").write_text("x")
    commit(repo, "more", tools__testing__selftests__kselftest_h=None)

    commits.build(repo, "main")
    assert look(commits.rig.work / "src") == export(repo, "main", tmp_path / "export")

    git(repo, "revert", "--no-edit", "HEAD")
    commits.build(repo, "first")
    assert look(commits.rig.work / "src") == export(repo, "first", tmp_path / "export-first")


def test_a_series_on_a_commit_leaves_no_trace_in_the_next_build(
    commits: Commits, repo: Path, tmp_path: Path
) -> None:
    base = commits.build(repo, "main")
    change = edit("mm/mempolicy.c", "return nid;", "return nid + 1;")
    commits.build(repo, "main", write_series(tmp_path / "s", {"1.patch": mail("x", change)}))
    commits.rig.store.remove("kernels")

    again = commits.build(repo, "main")

    assert commits.rig.compiled == []
    assert again.key == base.key


def test_what_configures_the_kernel_has_an_id_of_its_own(commits: Commits, repo: Path) -> None:
    first, second = commits.resolve(repo, "first"), commits.resolve(repo, "main")
    commit(repo, "kconfig", Kconfig=(repo / "Kconfig").read_text() + "\n# more\n")
    third = commits.resolve(repo, "main")

    assert first.kconfig_id == second.kconfig_id != third.kconfig_id
    assert first.version == (6, 12)


def test_the_title_says_the_commit_and_no_escape_sequence_of_its_subject(
    commits: Commits, repo: Path
) -> None:
    sha = commit(repo, "mm: \x1b[31mred\x1b[0m \u202etext")

    assert describe_commit(repo, sha) == f'{sha[:12]} ("mm: red \N{REPLACEMENT CHARACTER}text")'
    assert commits.resolve(repo, "main").title == f"my-linux {describe_commit(repo, sha)}"


@pytest.mark.parametrize("rev", ["main", "HEAD", "first~0", "annotated", "main^{}", "main@{0}"])
def test_a_revision_is_what_git_takes_for_one(repo: Path, rev: str) -> None:
    git(repo, "tag", "-a", "-m", "x", "annotated")

    assert resolve_commit(repo, rev) == git(repo, "rev-parse", f"{rev}^{{commit}}")


@pytest.mark.parametrize(
    ("rev", "message"),
    [
        ("mian", r"has no commit mian: did you mean main\?"),
        ("firts", r"has no commit firts: did you mean first\?"),
        ("0123456789012345678901234567890123456789", r"has no commit 0123.*: `git fetch`"),
        ("first..main", r"has no commit first\.\.main"),
        ("main:Makefile", r"has no commit main:Makefile"),
        ("main^{tree}", r"has no commit main\^\{tree\}"),
        ("--all", r"'--all' is no revision"),
        ("", r"'' is no revision"),
        ("main\n--all", r"is no revision"),
        ("\x1b[31m", r"'' is no revision"),
    ],
)
def test_a_revision_that_is_none_is_refused(repo: Path, rev: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve_commit(repo, rev)


def test_a_name_of_a_branch_and_a_tag_is_refused(repo: Path) -> None:
    git(repo, "tag", "main", "first")

    with pytest.raises(UserError, match="write refs/heads/main or refs/tags/main"):
        resolve_commit(repo, "main")
    assert resolve_commit(repo, "refs/tags/main") == resolve_commit(repo, "first")


def test_a_commit_that_a_shallow_clone_has_not_is_told_so(repo: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(repo, "clone", "-q", "--bare", "--depth=1", f"file://{repo}", str(shallow))

    with pytest.raises(UserError, match="this clone is shallow, `git fetch --unshallow`"):
        resolve_commit(shallow, git(repo, "rev-parse", "first"))


def test_a_folder_without_git_has_no_commits(
    commits: Commits, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))

    with pytest.raises(UserError, match="my-linux: is no git repository, so it has no commits"):
        commits.resolve(tree, "HEAD")
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        commits.resolve(tmp_path / "nowhere", "HEAD")


def test_a_commit_without_a_tree_is_refused(rig: Rig) -> None:
    with pytest.raises(UserError, match="commit 'HEAD': of which repository"):
        resolve_source("debian:6.12", store=rig.store, commit="HEAD")


def test_a_kernel_in_a_folder_of_its_repository(commits: Commits, repo: Path) -> None:
    (repo / "sub").mkdir()
    git(repo, "mv", "Makefile", "Kbuild", "Kconfig", "include", "init", "mm", "scripts", "sub")
    git(repo, "mv", "tools", "sub")
    commit(repo, "below")

    kernel = commits.build(repo / "sub", "main")

    assert kernel.compiled_files == 3
    with pytest.raises(UserError, match="is no kernel tree: it has no Makefile, Kbuild, Kconfig"):
        commits.resolve(repo, "main")
    with pytest.raises(UserError, match=r"commit [0-9a-f]{12} has no folder sub"):
        commits.resolve(repo / "sub", "first")


def test_a_submodule_is_refused(commits: Commits, repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    git(repo, "commit", "-qm", "submodule")

    with pytest.raises(UserError, match="sub: is a folder of another repository"):
        commits.resolve(repo, "HEAD")


def make_tree(repo: Path, *entries: tuple[str, bytes, str]) -> str:
    """Write a tree object as no git would: (mode, name, hash) one after the other."""
    raw = b"".join(
        mode.encode() + b" " + name + b"\0" + bytes.fromhex(sha) for mode, name, sha in entries
    )
    words = ("hash-object", "-t", "tree", "-w", "--stdin", "--literally")
    return git(repo, *words, stdin=raw)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (((b"a", "link"), (b"a", "tree")), "'a' is a file and a folder in one tree"),
        (((b"a", "blob"), (b"a", "blob")), "has 'a' twice"),
        (((b"..", "tree"),), r"'\.\./x' would lie outside"),
        (((b".git", "tree"),), r"'\.git/x' would lie outside"),
        (((b".GIT", "blob"),), r"'\.GIT' would lie outside"),
        (((b"../../x", "blob"),), r"'\.\./\.\./x' would lie outside"),
        (((b"/etc/x", "blob"),), r"'/etc/x' would lie outside"),
        (((b"bad\xff", "blob"),), "is not UTF-8"),
        (((b"x" * 256, "blob"),), "x' is too long for a file's name"),
    ],
)
def test_a_tree_that_no_honest_git_wrote_is_refused(
    repo: Path, names: Sequence[tuple[bytes, str]], message: str
) -> None:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=b"x")
    kinds = {
        "blob": ("100644", blob),
        "link": ("120000", git(repo, "hash-object", "-w", "--stdin", stdin=b"/tmp")),
        "tree": ("40000", make_tree(repo, ("100644", b"x", blob))),
    }
    entries = [(kinds[kind][0], name, kinds[kind][1]) for name, kind in names]
    bad = make_tree(repo, *entries)

    with pytest.raises(UserError, match=message):
        list_tree(repo / ".git", bad)


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 4096])
def test_a_symlink_that_cannot_be_is_refused(
    commits: Commits, repo: Path, tmp_path: Path, target: bytes
) -> None:
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=target)
    git(repo, "update-index", "--add", "--cacheinfo", f"120000,{blob},link")
    git(repo, "commit", "-qm", "link")

    with pytest.raises(UserError, match=r"\.git: link: is a symlink to no name at all"):
        sync(commits, repo, "HEAD", tmp_path / "work")


def test_an_object_that_is_missing_is_told_with_its_file(commits: Commits, repo: Path) -> None:
    blob = git(repo, "rev-parse", "main:mm/migrate.c")
    (repo / ".git/objects" / blob[:2] / blob[2:]).unlink()

    with pytest.raises(UserError, match=r"the objects of mm/migrate\.c are not all there"):
        commits.build(repo, "main")


@pytest.mark.parametrize("left_out", ["blob:none", "tree:0"])
def test_a_partial_clone_is_refused_and_nothing_is_fetched_into_it(
    commits: Commits, repo: Path, tmp_path: Path, left_out: str
) -> None:
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
    partial = tmp_path / "partial"
    git(repo, "clone", "-q", "--bare", f"--filter={left_out}", f"file://{repo}", str(partial))
    before = fingerprint(partial)

    with pytest.raises(UserError, match=r"are not all there .*a partial clone gets what it lacks"):
        commits.build(partial, "main")

    assert fingerprint(partial) == before


def test_no_program_of_the_repositorys_configuration_is_run(
    commits: Commits, repo: Path, tmp_path: Path
) -> None:
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\necho $0 $* >> '{sprung}'\nexit 1\n")
    trap.chmod(0o755)
    (repo / ".gitattributes").write_text("* filter=bad diff=bad text eol=crlf ident\n")
    commit(repo, "attributes")
    for name in ("filter.bad.smudge", "filter.bad.clean", "filter.bad.process", "gpg.program"):
        git(repo, "config", name, str(trap))
    for name in ("diff.bad.textconv", "core.fsmonitor", "core.sshCommand", "core.pager"):
        git(repo, "config", name, str(trap))
    git(repo, "config", "log.showSignature", "true")
    signature = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n"
    raw = git(repo, "cat-file", "commit", "main").encode().replace(b"\n\n", signature, 1)
    signed = git(repo, "hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    git(repo, "update-ref", "refs/heads/main", signed)
    hook = repo / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    shutil.copy(trap, hook)

    commits.build(repo, "main")

    assert not sprung.exists()
    text = (commits.rig.work / "src/mm/migrate.c").read_bytes()
    assert b"\r" not in text


def test_objects_count_under_their_own_names(commits: Commits, repo: Path) -> None:
    honest = commits.resolve(repo, "main")
    git(repo, "replace", "main", "first")

    assert commits.resolve(repo, "main").id == honest.id


# One file is written, and others are about to be, when the run dies.
_KILLED = """
import os, signal, sys
from pathlib import Path
from testbed.host import mirror
from testbed.host.source import resolve_source
from testbed.host.store import Store

repo, rev, work, moment, count = sys.argv[1:]
source = resolve_source(Path(repo), store=Store(Path(work), say=print), commit=rev)
left = int(count)

def die():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def read(top, wanted):
    for name, data in source.read(top, wanted):
        if moment == "between files":
            die()
        yield name, data

replace = Path.replace

def replace_late(path, target):
    if moment == "before the rename" and path.name.endswith(".fresh"):
        die()
    return replace(path, target)

Path.replace = replace_late
work = Path(work)
mirror.sync_mirror(
    source.scan, top=source.path, mirror=work / "src", manifest=work / "manifest.json", read=read
)
"""


def sync(commits: Commits, repo: Path, rev: str, work: Path) -> None:
    source = commits.resolve(repo, rev)
    where: Mapping[str, Path] = {"mirror": work / "src", "manifest": work / "manifest.json"}
    sync_mirror(source.scan, top=source.path, read=source.read, **where)


@pytest.mark.parametrize("next_rev", ["before", "after", "third"])
@pytest.mark.parametrize("moment", ["between files", "before the rename"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])  # of the four that are written
def test_a_tree_is_exact_again_after_a_kill_at_any_moment(
    commits: Commits, repo: Path, tmp_path: Path, next_rev: str, moment: str, count: int
) -> None:
    """A folder becomes a symlink out of the tree, a symlink a folder, folders come and go."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("the user's")
    (repo / "turns").mkdir()
    for name in ("turns/a", "turns/b", "old/deep/x"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(name)
    (repo / "becomes").symlink_to(outside)
    commit(repo, "before")
    git(repo, "tag", "before")
    shutil.rmtree(repo / "turns")
    shutil.rmtree(repo / "old")
    (repo / "turns").symlink_to(outside)
    (repo / "becomes").unlink()
    for name in ("becomes/a", "aaa/new/x", "zzz"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(name)
    commit(repo, "after")
    git(repo, "tag", "after")
    (repo / "turns").unlink()
    shutil.rmtree(repo / "aaa")
    (repo / "zzz").unlink()
    commit(repo, "third")
    git(repo, "tag", "third")
    work = tmp_path / "work"
    sync(commits, repo, "before", work)

    argv = [sys.executable, "-c", _KILLED, str(repo), "after", str(work), moment, str(count)]
    done = subprocess.run(argv, check=False, env={**os.environ, "PYTHONPATH": str(REPO)})
    assert done.returncode == -signal.SIGKILL

    sync(commits, repo, next_rev, work)

    assert look(work / "src") == export(repo, next_rev, tmp_path / "export")
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"a": "the user's"}


def test_what_git_tracks_behind_a_symlink_is_not_of_the_tree(rig: Rig, repo: Path) -> None:
    """A folder that was replaced by a symlink, in a checkout: the index still lists its files."""
    (repo / "lib").mkdir()
    (repo / "lib/x").write_text("x")
    commit(repo, "lib")
    (repo / "lib").rename(repo / "moved")
    (repo / "lib").symlink_to("moved")

    rig.build(tree=repo)

    assert (rig.work / "src/lib").readlink() == Path("moved")
    assert (rig.work / "src/moved/x").read_text() == "x"


def test_a_list_of_files_outlives_no_mirror(
    commits: Commits, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror was removed by hand; its copying anew dies before anything is written down."""
    work = tmp_path / "work"
    sync(commits, repo, "first", work)
    shutil.rmtree(work / "src")
    with monkeypatch.context() as patched:
        patched.setattr("testbed.host.mirror.write_atomically", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sync(commits, repo, "first", work)

    sync(commits, repo, "first", work)

    assert look(work / "src") == export(repo, "first", tmp_path / "export")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_nothing_is_written_through_a_symlink_that_is_not_the_trees(
    commits: Commits, repo: Path, tmp_path: Path
) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    sync(commits, repo, "first", work)
    shutil.move(work / "src/mm", outside)
    (work / "src/mm").symlink_to(outside)
    before = fingerprint(outside)

    sync(commits, repo, "main", work)

    assert fingerprint(outside) == before


def test_a_first_copy_that_was_cut_short_is_carried_on(
    commits: Commits, repo: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    argv = [sys.executable, "-c", _KILLED, str(repo), "first", str(work), "between files", "4"]
    done = subprocess.run(argv, check=False, env={**os.environ, "PYTHONPATH": str(REPO)})
    assert done.returncode == -signal.SIGKILL
    assert 0 < len(look(work / "src")) < len(export(repo, "first", tmp_path / "export"))

    sync(commits, repo, "first", work)

    assert look(work / "src") == look(tmp_path / "export")
