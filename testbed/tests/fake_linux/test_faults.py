import fcntl
import os
import select
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from testbed.errors import InfraError
from testbed.host import held
from testbed.host.out_dir import OutDir, Purpose
from testbed.host.series_dir import load_series
from testbed.tests.fake_linux.rig import (
    Rig,
    await_line,
    diff,
    edit,
    fingerprint,
    finish,
    mail,
    start_drive,
    write_series,
)

GOOD = edit("mm/migrate.c", "page->nid = nid;", "page->nid = nid + 1;")


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A pipe: a compiler that includes it waits until somebody writes to it."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture
def gated(tmp_path: Path, gate: Path) -> Path:
    """A series whose build stops in the middle of compiling mm/migrate.c."""
    change = edit(
        "mm/migrate.c", "#include <linux/mm.h>", f'#include <linux/mm.h>\n#include "{gate}"'
    )
    write_series(tmp_path / "gated", {"1.patch": mail("mm: wait", change)})
    return tmp_path / "gated"


def open_gate(gate: Path) -> None:
    """Let a compiler go on that waits, and one that comes later find nothing."""
    fd = os.open(gate, os.O_RDWR | os.O_NONBLOCK)
    gate.unlink()
    os.close(fd)


def has_journal(rig: Rig) -> bool:
    return (rig.work / "journal").exists()


def test_a_killed_build_costs_the_next_one_nothing(
    rig: Rig, tmp_path: Path, gate: Path, gated: Path
) -> None:
    base = rig.build()
    before = fingerprint(rig.work / "src")
    good = write_series(tmp_path / "good", {"1.patch": mail("mm", GOOD)})
    drive = start_drive(cache=rig.cache, tarballs=rig.tarballs, series=[gated])
    await_line(drive, "line:   CC      mm/migrate.o")
    drive.send_signal(signal.SIGKILL)
    drive.communicate(timeout=30)
    open_gate(gate)
    assert has_journal(rig)
    assert fingerprint(rig.work / "src") != before

    patched = rig.build(good)

    assert "taking back the patches of a run that was killed" in rig.said
    assert fingerprint(rig.work / "src") == before
    assert rig.compiled == ["mm/migrate.o"]
    fresh = Rig(cache=tmp_path / "fresh", tarballs=rig.tarballs)
    assert patched.image.read_bytes() == fresh.build(good).image.read_bytes()
    rig.store.remove("kernels")
    assert rig.build().image.read_bytes() == base.image.read_bytes()
    assert rig.compiled == []


def test_ctrl_c_takes_the_patches_back_before_it_ends(rig: Rig, gated: Path) -> None:
    rig.build()
    before = fingerprint(rig.work / "src")
    drive = start_drive(cache=rig.cache, tarballs=rig.tarballs, series=[gated])
    await_line(drive, "line:   CC      mm/migrate.o")

    drive.send_signal(signal.SIGINT)
    out, _ = drive.communicate(timeout=30)

    assert "say: interrupted: the source is as it was" in out
    assert drive.returncode != 0
    assert fingerprint(rig.work / "src") == before
    assert not has_journal(rig)


def test_an_interrupted_base_goes_on_where_it_was(rig: Rig, tree: Path, gate: Path) -> None:
    """Make is ended in good order and removes what it was making: the rest can be trusted."""
    file = tree / "mm/migrate.c"
    text = file.read_text()
    file.write_text(f'#include "{gate}"\n{text}')
    drive = start_drive(cache=rig.cache, tarballs=rig.tarballs, tree=tree)
    await_line(drive, "line:   CC      mm/migrate.o")
    drive.send_signal(signal.SIGINT)
    drive.communicate(timeout=30)
    file.write_text(text)

    rig.build(tree=tree)

    assert rig.compiled == ["mm/migrate.o", "mm/mempolicy.o"]


def test_two_runs_at_once_build_once(rig: Rig, gate: Path, gated: Path) -> None:
    first = start_drive(cache=rig.cache, tarballs=rig.tarballs, series=[gated])
    await_line(first, "line:   CC      init/main.o")
    await_line(first, "line:   CC      mm/migrate.o")
    await_line(first, "line:   CC      mm/migrate.o")  # the base's, then the series' own
    second = start_drive(cache=rig.cache, tarballs=rig.tarballs, series=[gated])
    await_line(second, "say: waiting for another run of the testbed that uses work/")

    gate.write_bytes(b"")  # opens once the compiler is there
    reports = [finish(first), finish(second)]

    assert [report["type"] for report in reports] == ["Kernel", "Kernel"]
    assert [report["is_cached"] for report in reports] == ["False", "True"]
    assert [report["compiled_files"] for report in reports] == ["1", "0"]
    assert reports[0]["key"] == reports[1]["key"]


def test_a_read_only_cache_is_one_clear_message(rig: Rig) -> None:
    rig.cache.mkdir()
    read_only = f"mount --bind '{rig.cache}' '{rig.cache}'\nmount -o remount,bind,ro '{rig.cache}'"

    report = finish(start_drive(cache=rig.cache, tarballs=rig.tarballs, prelude=read_only))

    assert report["type"] == "InfraError"
    assert f"the cache {rig.cache} cannot be written (Read-only file system" in report["message"]
    assert "set TESTBED_CACHE to a folder that can" in report["message"]
    assert list(rig.cache.iterdir()) == []


def test_a_read_only_cache_still_gives_what_it_has(rig: Rig) -> None:
    rig.build()
    read_only = f"mount --bind '{rig.cache}' '{rig.cache}'\nmount -o remount,bind,ro '{rig.cache}'"

    report = finish(start_drive(cache=rig.cache, tarballs=rig.tarballs, prelude=read_only))

    assert (report["type"], report["is_cached"]) == ("Kernel", "True")


@pytest.mark.parametrize(
    "moment", ["CC      mm/migrate.o", "Kernel: arch/x86/boot/bzImage is ready"]
)
def test_a_disk_that_fills_up_leaves_nothing_half_made(rig: Rig, moment: str) -> None:
    rig.cache.mkdir()
    small = f"mount -t tmpfs -o size=2m tmpfs '{rig.cache}'"
    drive = start_drive(cache=rig.cache, tarballs=rig.tarballs, prelude=small, fill_at=moment)

    out, _ = drive.communicate(timeout=60)

    report = next(line for line in out.splitlines() if line.startswith("report: "))
    assert '"type": "InfraError"' in report, out
    assert "No space left on device" in report
    assert "free disk space" in report or "`testbed clean`" in report
    assert '"left": [], "kernels": [], "journals": []' in report
    assert any(line.startswith('again: {"type": "Kernel"') for line in out.splitlines()), out


@pytest.mark.parametrize("size_kib", range(4, 80, 12))
def test_a_disk_that_is_full_anywhere_on_the_way_is_one_clear_message(
    rig: Rig, size_kib: int
) -> None:
    """The facts, the source, the build folder, the objects: each is the first not to fit once."""
    rig.cache.mkdir()
    small = f"mount -t tmpfs -o size={size_kib}k tmpfs '{rig.cache}'"

    report = finish(start_drive(cache=rig.cache, tarballs=rig.tarballs, prelude=small))

    assert report["type"] == "InfraError"
    assert "No space left on device" in report["message"]
    assert "free disk space" in report["message"] or "`testbed clean`" in report["message"]
    assert report["left"] == report["kernels"] == report["journals"] == []


def test_a_missing_make_is_the_hosts_fault(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in {"make", "gmake"}:
            (tools / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(tools))

    with pytest.raises(InfraError, match="make is not installed: `testbed doctor`"):
        rig.build()


def test_a_build_folder_whose_make_was_killed_is_not_used_again(tmp_path: Path) -> None:
    out = OutDir(tmp_path)
    purpose = Purpose(config="c", toolchain="t", is_base=True)
    out.enter(purpose)
    (out.path / "half.o").write_text("half")
    out.begin(purpose)

    out.enter(purpose)

    assert not (out.path / "half.o").exists()


def test_a_base_comes_back_as_it_was_with_the_times_of_its_objects(tmp_path: Path) -> None:
    out = OutDir(tmp_path)
    base = Purpose(config="c", toolchain="t", is_base=True)
    series = Purpose(config="c", toolchain="t", is_base=False)
    out.enter(base)
    (out.path / "a.o").write_text("base")
    os.utime(out.path / "a.o", ns=(10**18, 10**18))
    out.enter(series)
    assert (out.path / "a.o").stat().st_mtime_ns == 10**18
    (out.path / "a.o").write_text("patched")

    out.enter(base)

    assert (out.path / "a.o").read_text() == "base"
    assert (out.path / "a.o").stat().st_mtime_ns == 10**18


def test_the_last_series_folder_is_made_equal_to_the_base_again(tmp_path: Path) -> None:
    out = OutDir(tmp_path)
    base = Purpose(config="c", toolchain="t", is_base=True)
    series = Purpose(config="c", toolchain="t", is_base=False)
    out.enter(base)
    for name in ("mm/a.o", "mm/gone.o", "init/b.o", "vmlinux", ".mm.cmd"):
        (out.path / name).parent.mkdir(exist_ok=True)
        (out.path / name).write_text("base")
    (out.path / "source").symlink_to("/there")
    out.enter(series)
    copied = fingerprint(out.path)
    assert "vmlinux" not in copied
    (out.path / "mm/a.o").write_text("evil")  # the same size, another time
    (out.path / "mm/gone.o").unlink()
    (out.path / "mm/new").mkdir()
    (out.path / "mm/new/c.o").write_text("series")
    (out.path / "vmlinux").write_text("series")
    (out.path / "init/b.o").chmod(0o755)
    (out.path / "source").unlink()
    (out.path / "source").symlink_to("/elsewhere")
    untouched = (out.path / ".mm.cmd").stat().st_ino

    out.enter(series)

    def without_inodes(
        found: dict[str, tuple[str, int, int, int]],
    ) -> dict[str, tuple[str, int, int]]:
        return {name: item[:3] for name, item in found.items() if name != ".testbed.json"}

    assert without_inodes(fingerprint(out.path)) == without_inodes(copied)
    assert (out.path / ".mm.cmd").stat().st_ino == untouched
    assert (out.path / "source").readlink() == Path("/there")


def test_objects_of_another_toolchain_are_not_started_from(tmp_path: Path) -> None:
    out = OutDir(tmp_path)
    out.enter(Purpose(config="c", toolchain="gcc 12", is_base=True))
    (out.path / "a.o").write_text("old")

    out.enter(Purpose(config="c", toolchain="gcc 13", is_base=False))

    assert not (out.path / "a.o").exists()


def test_few_parked_folders_are_kept(tmp_path: Path) -> None:
    out = OutDir(tmp_path)
    for number in range(8):
        out.enter(Purpose(config=f"c{number}", toolchain="t", is_base=True))
        (out.path / "number").write_text(str(number))

    kept = sorted((path / "number").read_text() for path in tmp_path.glob("base-*"))

    assert kept == ["3", "4", "5", "6"]


def test_what_a_killed_run_left_running_ends_in_good_order(
    rig: Rig, gate: Path, gated: Path
) -> None:
    """Make gets a moment to end in good order: nobody may write beside it meanwhile."""
    rig.build()
    drive = start_drive(cache=rig.cache, tarballs=rig.tarballs, series=[gated])
    await_line(drive, "line:   CC      mm/migrate.o")
    holders = [pid for pid in find_holders(rig.work / "guard") if pid != drive.pid]
    for pid in holders:
        os.kill(pid, signal.SIGSTOP)
    drive.send_signal(signal.SIGKILL)
    drive.communicate(timeout=30)
    assert holders
    assert rig.build().is_cached  # only what has to be built needs the lock
    rig.store.remove("kernels")
    waiting = start_drive(cache=rig.cache, tarballs=rig.tarballs)
    await_line(waiting, "say: ending what a killed run left at work in")
    assert has_journal(rig)

    for pid in holders:
        os.kill(pid, signal.SIGCONT)  # make finds the SIGTERM that the death of its parent sent
    open_gate(gate)

    assert finish(waiting)["type"] == "Kernel"
    assert not has_journal(rig)


def test_what_a_makefile_started_and_no_signal_reaches_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held, "_GRACE_S", 0.2)
    guard = os.open(tmp_path / "guard", os.O_RDWR | os.O_CREAT)
    fcntl.flock(guard, fcntl.LOCK_EX)
    # Whatever is ended, there is always another one by then, until all are looked for again.
    script = "trap '' TERM; echo ready; sleep 1000 & sleep 1000"
    left = subprocess.Popen(["/bin/sh", "-c", script], pass_fds=[guard], stdout=subprocess.PIPE)
    os.close(guard)
    assert left.stdout is not None
    assert left.stdout.readline() == b"ready\n"
    said: list[str] = []

    with held.hold_folder(tmp_path, say=said.append):
        # The shell is killed, or ends with its child's status where that was killed first.
        assert left.wait(10) in {-signal.SIGKILL, 128 + signal.SIGKILL}
        assert find_holders(tmp_path / "guard") == [os.getpid()]

    left.stdout.close()
    assert said[0] == f"ending what a killed run left at work in {tmp_path}"
    assert f"  {left.pid} (sh)" in said


def find_holders(path: Path) -> list[int]:
    """Return the processes that have ``path`` open."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.resolve() == path:
                found.append(int(link.parts[2]))
        except OSError:
            continue
    return sorted(set(found))


class Stopped:
    """A tool of the testbed's that, once, does something else before its work."""

    def __init__(self, folder: Path, *, tool: str, word: str) -> None:
        self.folder = folder
        self._tool = tool
        self._word = word
        folder.mkdir()

    def install(self, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have ``deed``, of the shell, done when the tool is run with the word."""
        script = self.folder / self._tool
        done = self.folder / "done"
        script.write_text(
            f"#!/bin/sh\ncase \" $* \" in\n*' {self._word}'*)\n"
            f"if mkdir '{done}' 2>/dev/null; then\n{deed}\nfi\n;;\nesac\n"
            f'exec {shutil.which(self._tool)} "$@"\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{self.folder}{os.pathsep}{os.environ['PATH']}")


MOMENTS = [("git", "--verbose"), ("git", "merge-file"), ("patch", "--fuzz")]


@pytest.fixture
def odd_series(tmp_path: Path, tree: Path) -> Path:
    """All that a patch can do to files; one to be merged with the tree; one that needs fuzz.

    The tree is a git repository that has gone on since the patches were made for it.
    """
    (tree / "lib").mkdir(mode=0o750)
    (tree / "lib/unused.c").write_text("int x;\n")
    for argv in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", "-C", tree, *argv], check=True)  # noqa: S607 - as a user
    sha = subprocess.run(
        ["git", "-C", tree, "rev-parse", ":mm/migrate.c"],  # noqa: S607 - as a user
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    headers = "tools/testing/selftests"
    renamed = (
        f"diff --git a/{headers}/kselftest.h b/{headers}/moved.h\nsimilarity index 100%\n"
        f"rename from {headers}/kselftest.h\nrename to {headers}/moved.h\n"
    )
    mode = "diff --git a/Kbuild b/Kbuild\nold mode 100644\nnew mode 100755\n"
    made = diff("new/er/x.c", None, "int x;\n")
    removed = diff("lib/unused.c", "int x;\n", None)
    merged = edit("mm/migrate.c", "return page->nid >= 0;", "return page->nid > 0;")
    merged = merged.replace("--- a/", f"index {sha[:12]}..{'1' * 12} 100644\n--- a/", 1)
    fuzzy = edit("mm/mempolicy.c", "return nid;", "return nid + 1;")
    change(tree / "mm/migrate.c", "static int isolate_page", "static inline int isolate_page")
    change(tree / "mm/mempolicy.c", "policy_node(int nid)", "policy_node(const int nid)")
    patches = {
        "1.patch": mail("all", renamed, mode, made, removed),
        "2.patch": mail("merge", merged),
        "3.patch": mail("fuzz", fuzzy),
    }
    write_series(tmp_path / "odd", patches)
    return tmp_path / "odd"


def change(path: Path, old: str, new: str) -> None:
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))


def await_pipe(fd: int) -> None:
    """Wait until somebody writes to a pipe."""
    assert select.select([fd], [], [], 60)[0]


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(("tool", "word"), MOMENTS)
def test_the_tree_is_exact_after_an_end_in_the_midst_of_patching(  # noqa: PLR0913 - fixtures
    rig: Rig,
    tmp_path: Path,
    tree: Path,
    odd_series: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tool: str,
    word: str,
    sig: signal.Signals,
) -> None:
    base = rig.build(tree=tree)
    before = fingerprint(rig.work / "src")
    stopped = Stopped(tmp_path / "tools", tool=tool, word=word)
    reached, gate = stopped.folder / "reached", stopped.folder / "gate"
    os.mkfifo(reached)
    os.mkfifo(gate)
    stopped.install(f"echo > '{reached}'; read line < '{gate}'", monkeypatch)
    fd = os.open(reached, os.O_RDONLY | os.O_NONBLOCK)
    drive = start_drive(cache=rig.cache, tarballs=rig.tarballs, tree=tree, series=[odd_series])
    await_pipe(fd)
    os.close(fd)
    assert has_journal(rig)
    assert (rig.work / "src/new/er/x.c").exists() == (word != "--verbose")

    drive.send_signal(sig)
    out, _ = drive.communicate(timeout=60)

    if sig == signal.SIGINT:
        assert "say: interrupted: the source is as it was" in out
        assert not has_journal(rig)
        assert fingerprint(rig.work / "src") == before
    rig.store.remove("kernels")
    assert rig.build(tree=tree).image.read_bytes() == base.image.read_bytes()
    assert rig.compiled == []
    assert not has_journal(rig)
    assert fingerprint(rig.work / "src") == before


@pytest.mark.parametrize(("tool", "word"), MOMENTS)
def test_a_disk_that_fills_up_in_the_midst_of_patching_is_one_clear_message(
    rig: Rig,
    tmp_path: Path,
    tree: Path,
    odd_series: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tool: str,
    word: str,
) -> None:
    rig.cache.mkdir()
    filler = rig.cache / "filler"
    stopped = Stopped(tmp_path / "tools", tool=tool, word=word)
    stopped.install(f"cat /dev/zero > '{filler}' 2>/dev/null", monkeypatch)
    drive = start_drive(
        cache=rig.cache,
        tarballs=rig.tarballs,
        tree=tree,
        series=[odd_series],
        prelude=f"mount -t tmpfs -o size=2m tmpfs '{rig.cache}'",
        fill_at="the tool fills it",
    )

    out, _ = drive.communicate(timeout=60)

    report = next(line for line in out.splitlines() if line.startswith("report: "))
    assert '"type": "InfraError"' in report, out
    assert "No space left on device" in report
    assert '"left": []' in report
    assert '"journals": []' in report
    assert any(line.startswith('again: {"type": "Kernel"') for line in out.splitlines()), out


def test_what_was_merged_and_what_needed_fuzz_is_said(
    rig: Rig, tree: Path, odd_series: Path
) -> None:
    """The tree of the user's gives what the patch was made for."""
    rig.build(tree=tree)
    rig.build(load_series(odd_series), tree=tree)

    assert sorted(rig.compiled) == ["mm/mempolicy.o", "mm/migrate.o"]
    assert rig.said[-2:] == [
        (
            f"{odd_series}/2.patch: mm/migrate.c: "
            "merged three-way with the file that the patch was made for"
        ),
        f"{odd_series}/3.patch: mm/mempolicy.c, hunk 1: applied with fuzz 1: look at it",
    ]
