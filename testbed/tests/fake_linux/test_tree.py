import os
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.errors import UserError
from testbed.host.mirror import TreeChangedError, scan_tree, sync_mirror
from testbed.tests.fake_linux.rig import Rig, edit, fingerprint, mail, write_series


def git(tree: Path, *words: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(tree), *identity, *words], check=True, capture_output=True)  # noqa: S607 - as a user


@pytest.fixture
def git_tree(tree: Path) -> Path:
    (tree / ".gitignore").write_text("*.o\n")
    git(tree, "init", "-q")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "start")
    return tree


def test_a_tree_is_built_and_never_touched(rig: Rig, git_tree: Path) -> None:
    before = fingerprint(git_tree)

    kernel = rig.build(tree=git_tree)

    assert kernel.compiled_files == 3
    assert fingerprint(git_tree) == before


def test_an_edit_compiles_the_one_file(rig: Rig, git_tree: Path) -> None:
    rig.build(tree=git_tree)
    file = git_tree / "mm/migrate.c"
    file.write_text(file.read_text().replace("return 0;", "return 00;"))

    rig.build(tree=git_tree)

    assert rig.compiled == ["mm/migrate.o"]


def test_an_edit_with_an_old_time_counts(rig: Rig, git_tree: Path) -> None:
    """As `cp -p` or a tarball leaves it: make alone would take no notice."""
    rig.build(tree=git_tree)
    file = git_tree / "mm/migrate.c"
    info = file.stat()
    file.write_text(file.read_text().replace("nid >= 0", "nid >= 1"))
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))

    rig.build(tree=git_tree)

    assert rig.compiled == ["mm/migrate.o"]


def test_a_touch_builds_nothing(rig: Rig, git_tree: Path) -> None:
    first = rig.build(tree=git_tree)
    (git_tree / "mm/migrate.c").touch()

    again = rig.build(tree=git_tree)

    assert again.is_cached
    assert again.source_id == first.source_id


def test_a_branch_switched_there_and_back_is_the_same_source(rig: Rig, git_tree: Path) -> None:
    first = rig.build(tree=git_tree)
    git(git_tree, "checkout", "-qb", "other")
    file = git_tree / "mm/mempolicy.c"
    file.write_text(file.read_text().replace("return nid;", "return nid + 1;"))
    git(git_tree, "commit", "-qam", "other")
    assert rig.build(tree=git_tree).key != first.key
    git(git_tree, "checkout", "-q", "-")

    assert rig.build(tree=git_tree).key == first.key


def test_deleted_new_and_ignored_files_are_followed(rig: Rig, git_tree: Path) -> None:
    rig.build(tree=git_tree)
    (git_tree / "scripts/old").mkdir()
    (git_tree / "scripts/old/new.txt").write_text("new")
    (git_tree / "mm/stale.o").write_text("ignored")
    (git_tree / "tools/testing/selftests/kselftest.h").unlink()
    kernel = rig.build(tree=git_tree)

    src = rig.work / "src"
    assert (src / "scripts/old/new.txt").read_text() == "new"
    assert not (src / "mm/stale.o").exists()
    assert [path.name for path in kernel.harness_dir.iterdir()] == ["kselftest_harness.h"]
    shutil.rmtree(git_tree / "scripts/old")
    rig.build(tree=git_tree)
    assert not (src / "scripts/old").exists()


def test_a_folder_that_becomes_a_file_and_a_file_that_becomes_a_link(
    rig: Rig, git_tree: Path
) -> None:
    (git_tree / "thing").mkdir()
    (git_tree / "thing/a").write_text("a")
    (git_tree / "other").write_text("o")
    rig.build(tree=git_tree)
    shutil.rmtree(git_tree / "thing")
    (git_tree / "thing").write_text("file now")
    (git_tree / "other").unlink()
    (git_tree / "other").symlink_to("thing")

    rig.build(tree=git_tree)

    assert (rig.work / "src/thing").read_text() == "file now"
    assert (rig.work / "src/other").readlink() == Path("thing")


def test_an_unpacked_tree_needs_no_git(rig: Rig, tree: Path) -> None:
    """Debian's own .gitignore ignores all of the source that it comes with."""
    (tree / ".gitignore").write_text("*.o\n/*\n!/debian/\n")
    (tree / "vmlinux").write_text("built here once")
    (tree / ".config").write_text("CONFIG_OLD=y\n")
    (tree / "mm/old.o").write_text("built here once")

    rig.build(tree=tree)

    src = rig.work / "src"
    assert (src / "mm/migrate.c").is_file()
    assert not any((src / name).exists() for name in ("vmlinux", ".config", "mm/old.o"))


def test_a_tree_inside_a_repository_that_ignores_it(rig: Rig, tmp_path: Path, tree: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("my-linux/\n")

    assert rig.build(tree=tree).compiled_files == 3


def test_a_path_with_spaces_and_letters_that_are_not_ascii(
    rig: Rig, tmp_path: Path, tree: Path
) -> None:
    moved = tree.rename(tmp_path / "mein Kernel für Größe")
    folder = tmp_path / "meine Änderungen für x"
    change = edit("mm/migrate.c", "return 0;", "return 00;", tree=moved)

    rig.build(write_series(folder, {"1.patch": mail("x", change)}), tree=moved)

    assert rig.compiled[-1] == "mm/migrate.o"


def test_a_series_on_a_tree_leaves_no_trace_in_the_next_build(
    rig: Rig, tmp_path: Path, git_tree: Path
) -> None:
    base = rig.build(tree=git_tree)
    change = edit("mm/migrate.c", "nid >= 0", "nid >= 1")
    rig.build(write_series(tmp_path / "s", {"1.patch": mail("x", change)}), tree=git_tree)
    rig.store.remove("kernels")

    again = rig.build(tree=git_tree)

    assert rig.compiled == []
    assert again.key == base.key


def test_a_folder_that_is_no_kernel_is_refused(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no kernel tree: it has no Makefile, Kbuild, Kconfig"):
        rig.build(tree=tmp_path)


def test_a_special_file_is_refused(rig: Rig, tree: Path) -> None:
    git(tree, "init", "-q")
    git(tree, "add", ".")
    (tree / "mm/migrate.c").unlink()
    os.mkfifo(tree / "mm/migrate.c")

    with pytest.raises(UserError, match=r"mm/migrate.c: is a special file"):
        rig.build(tree=tree)


def test_a_mirror_that_was_cut_short_is_carried_on(
    rig: Rig, tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file was copied, the run died, the file was changed back: the old list would lie."""
    mirror, manifest = tmp_path / "mirror", tmp_path / "manifest.json"
    first = scan_tree(tree, store=rig.store, fact="tree")
    sync_mirror(first, top=tree, mirror=mirror, manifest=manifest)
    original = (tree / "mm/migrate.c").read_text()
    (tree / "mm/migrate.c").write_text("changed")
    (tree / "mm/mempolicy.c").write_text("changed")
    second = scan_tree(tree, store=rig.store, fact="tree")
    (tree / "mm/migrate.c").write_text("changed again")  # sorts last: found out after a copy
    with pytest.raises(TreeChangedError):
        sync_mirror(second, top=tree, mirror=mirror, manifest=manifest)
    assert (mirror / "mm/mempolicy.c").read_text() == "changed"
    git(tree, "init", "-q")
    shutil.copy(Path(__file__).parent / "tree/mm/mempolicy.c", tree / "mm/mempolicy.c")
    (tree / "mm/migrate.c").write_text(original)

    third = scan_tree(tree, store=rig.store, fact="tree")
    sync_mirror(third, top=tree, mirror=mirror, manifest=manifest)

    assert third.digest == first.digest
    for name in ("mm/migrate.c", "mm/mempolicy.c"):
        assert (mirror / name).read_text() == (tree / name).read_text()


def test_a_tree_that_changes_under_the_reader_is_read_again(
    rig: Rig, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tree / "mm/migrate.c"
    edits = iter(["return 00;"])

    def sync_late(*args: object, **kwargs: object) -> int:
        for new in edits:
            file.write_text(file.read_text().replace("return 0;", new))
        return sync_mirror(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("testbed.host.worktree.sync_mirror", sync_late)

    rig.build(tree=tree)

    assert any("changed while it was being read" in line for line in rig.said)
    assert "return 00;" in (rig.work / "src/mm/migrate.c").read_text()


def test_a_tree_that_never_rests_is_given_up(
    rig: Rig, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(*_: object, **__: object) -> int:
        raise TreeChangedError("mm/migrate.c")

    monkeypatch.setattr("testbed.host.worktree.sync_mirror", change)

    with pytest.raises(UserError, match="keeps changing while it is being read"):
        rig.build(tree=tree)
