import errno
import fcntl
import multiprocessing
import os
import shutil
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed.errors import InfraError
from testbed.host.held import hold_folder
from testbed.host.store import Store, discard, explain_disk_error, write_atomically

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized  # no generic class when it runs

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "cache", say=said.append)


def test_an_entry_is_seen_only_when_it_is_whole(store: Store) -> None:
    with store.create("kernels", "k") as fresh:
        (fresh / "bzImage").write_text("x")
        assert store.find("kernels", "k") is None

    entry = store.find("kernels", "k")
    assert entry is not None
    assert [path.name for path in entry.iterdir()] == ["bzImage"]


def test_an_entry_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(IsADirectoryError), store.create("kernels", "k") as fresh:
        fresh.write_text("a folder takes no text")

    assert list((store.root / "kernels").iterdir()) == []


def test_looking_for_an_entry_makes_nothing(store: Store) -> None:
    assert store.find("kernels", "k") is None
    assert store.read_fact("f") == {}
    assert not store.root.exists()


def test_of_two_that_make_the_same_entry_the_first_stays(store: Store) -> None:
    with store.create("kernels", "k") as slow:
        (slow / "who").write_text("slow")
        with store.create("kernels", "k") as quick:
            (quick / "who").write_text("quick")

    assert (store.root / "kernels/k/who").read_text() == "quick"
    assert [path.name for path in (store.root / "kernels").iterdir()] == ["k"]


def make_and_wait(root: Path, ready: Event) -> None:
    store = Store(root, say=print)
    with store.create("kernels", "k") as fresh:
        (fresh / "half").write_text("x")
        ready.set()
        multiprocessing.Event().wait()


def hold_lock(root: Path, ready: Event, release: Event) -> None:
    with Store(root, say=print).lock("work", "k"):
        ready.set()
        release.wait()


def test_what_a_dead_run_left_is_removed_and_what_a_live_one_makes_is_not(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    maker = context.Process(target=make_and_wait, args=(store.root, ready))
    maker.start()
    assert ready.wait(60)
    with store.create("kernels", "other"):
        pass
    assert len(list((store.root / "kernels").glob(".tmp-*/half"))) == 1

    maker.kill()
    maker.join()
    with store.create("kernels", "another"):
        pass

    assert sorted(path.name for path in (store.root / "kernels").iterdir()) == ["another", "other"]


def test_a_lock_that_is_held_is_waited_for_with_one_line(store: Store, said: list[str]) -> None:
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=hold_lock, args=(store.root, ready, release))
    holder.start()
    assert ready.wait(60)

    def say(text: str) -> None:
        said.append(text)
        release.set()

    waiting = Store(store.root, say=say)

    with waiting.lock("work", "k"):
        holder.join(60)

    assert said == ["waiting for another run of the testbed that uses work/k"]
    assert holder.exitcode == 0


def make_entry(store: Store, kind: str, key: str) -> Path:
    """Make an entry that nobody uses."""
    maker = Store(store.root, say=print)
    with maker.create(kind, key) as fresh:
        (fresh / "one").write_text(key)
        (fresh / "two").write_text(key)
    return store.root / kind / key


def use_entry(root: Path, key: str, ready: Event) -> None:
    store = Store(root, say=print)
    assert store.find("kernels", key) is not None
    ready.set()
    multiprocessing.Event().wait()


def test_an_entry_that_a_run_uses_stays_until_that_run_is_dead(store: Store) -> None:
    make_entry(store, "kernels", "k")
    ready = SPAWN.Event()
    run = SPAWN.Process(target=use_entry, args=(store.root, "k", ready))
    run.start()
    assert ready.wait(60)

    assert store.is_used("kernels", "k")
    assert not store.evict("kernels", "k")
    assert store.remove("kernels") == ("k",)

    run.kill()
    run.join()
    assert not store.is_used("kernels", "k")
    assert store.evict("kernels", "k")
    assert list((store.root / "kernels").iterdir()) == []


def test_whoever_made_an_entry_uses_it(store: Store) -> None:
    with store.create("kernels", "k") as fresh:
        (fresh / "bzImage").write_text("x")

    assert not Store(store.root, say=print).evict("kernels", "k")


def test_who_came_second_with_an_entry_uses_that_of_the_first(store: Store) -> None:
    second = Store(store.root, say=print)
    with second.create("kernels", "k"):
        make_entry(store, "kernels", "k")

    assert not store.evict("kernels", "k")
    second.release()
    assert store.evict("kernels", "k")


def test_the_end_of_a_store_gives_its_entries_free(store: Store) -> None:
    make_entry(store, "kernels", "k")
    run = Store(store.root, say=print)
    assert run.find("kernels", "k") is not None
    assert store.is_used("kernels", "k")

    del run

    assert not store.is_used("kernels", "k")


def test_an_entry_that_was_made_again_is_the_one_that_is_used(store: Store) -> None:
    entry = make_entry(store, "states", "s")
    run = Store(store.root, say=print)
    run.find("states", "s")
    discard(entry)
    make_entry(store, "states", "s")
    assert not store.is_used("states", "s")

    run.find("states", "s")

    assert store.is_used("states", "s")


@pytest.mark.parametrize(
    ("path", "is_used"),
    [
        ("kernels/k/bzImage", True),
        ("kernels/k", True),
        ("kernels", False),
        ("", False),
        ("../elsewhere/kernels/k", False),
        ("facts/k", False),
    ],
)
def test_a_path_that_was_handed_on_is_held_where_it_lies_in_an_entry(
    store: Store, *, path: str, is_used: bool
) -> None:
    make_entry(store, "kernels", "k")
    run = Store(store.root, say=print)

    run.hold(store.root / path)
    run.hold(Path("/boot/vmlinuz"))

    assert store.is_used("kernels", "k") is is_used


def test_finding_an_entry_dates_it(store: Store) -> None:
    entry = make_entry(store, "kernels", "k")
    os.utime(entry, ns=(1, 1))
    before_ns = entry.parent.stat().st_mtime_ns

    store.find("kernels", "k")

    assert entry.stat().st_mtime_ns >= before_ns
    assert sorted(path.name for path in entry.iterdir()) == ["one", "two"]


def test_an_entry_that_was_used_since_somebody_looked_stays(store: Store) -> None:
    entry = make_entry(store, "kernels", "k")
    used_ns = entry.stat().st_mtime_ns
    os.utime(entry, ns=(used_ns + 1, used_ns + 1))

    assert not store.evict("kernels", "k", used_ns=used_ns)
    assert store.evict("kernels", "k", used_ns=used_ns + 1)
    assert store.evict("kernels", "k", used_ns=used_ns)  # it is gone


def test_a_folder_that_is_built_in_stays(store: Store) -> None:
    run = Store(store.root, say=print)
    with run.lock("work", "w"):
        folder = run.folder("work", "w")
        assert not store.evict("work", "w")
    with hold_folder(folder, say=print):  # what a killed run leaves running holds no other lock
        assert store.is_used("work", "w")
        assert not store.evict("work", "w")

    assert store.evict("work", "w")
    assert not folder.exists()


def test_what_is_no_folder_is_no_entry(store: Store, tmp_path: Path) -> None:
    make_entry(store, "kernels", "k")
    (tmp_path / "mine").mkdir()
    (store.root / "kernels/link").symlink_to(tmp_path / "mine")
    (store.root / "kernels/note").write_text("")

    assert store.find("kernels", "note") is None
    assert store.remove("kernels") == ()

    assert list((store.root / "kernels").iterdir()) == []
    assert (tmp_path / "mine").is_dir()


def test_the_newest_are_kept_and_those_in_use(store: Store) -> None:
    for age, key in enumerate("abcde"):
        os.utime(make_entry(store, "states", key), ns=(age, age))
    run = Store(store.root, say=print)
    run.hold(store.root / "states/b")
    os.utime(store.root / "states/b", ns=(1, 1))

    store.keep_newest("states", 2)

    assert [key for _, key in store.list_keys("states")] == ["b", "d", "e"]


def remove_half(root: Path, ready: Event, go_on: Event) -> None:
    remove = shutil.rmtree

    def pause(path: Path, *, ignore_errors: bool) -> None:
        (path / "one").unlink()
        ready.set()
        go_on.wait()
        remove(path, ignore_errors=ignore_errors)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", pause)
        assert Store(root, say=print).evict("kernels", "k")


def test_what_a_killed_cleaner_left_is_no_entry_and_the_next_sweep_takes_it(store: Store) -> None:
    make_entry(store, "kernels", "k")
    ready, go_on = SPAWN.Event(), SPAWN.Event()
    cleaner = SPAWN.Process(target=remove_half, args=(store.root, ready, go_on))
    cleaner.start()
    assert ready.wait(60)
    cleaner.kill()
    cleaner.join()

    assert store.find("kernels", "k") is None
    (left,) = (store.root / "kernels").iterdir()
    assert [path.name for path in left.iterdir()] == ["two"]
    make_entry(store, "kernels", "other")
    assert [path.name for path in (store.root / "kernels").iterdir()] == ["other"]


def test_a_run_that_starts_while_an_entry_goes_makes_it_again(store: Store) -> None:
    make_entry(store, "kernels", "k")
    ready, go_on = SPAWN.Event(), SPAWN.Event()
    cleaner = SPAWN.Process(target=remove_half, args=(store.root, ready, go_on))
    cleaner.start()
    assert ready.wait(60)

    assert store.find("kernels", "k") is None
    entry = make_entry(store, "kernels", "k")
    assert store.find("kernels", "k") == entry
    go_on.set()
    cleaner.join(60)

    assert cleaner.exitcode == 0
    assert [path.name for path in (store.root / "kernels").iterdir()] == ["k"]
    assert (entry / "one").read_text() == "k"


TIMES_MADE = 10


def evict_always(root: Path) -> None:
    store = Store(root, say=print)
    while not (root / "stop").exists():
        store.evict("kernels", "k")


def find_or_make(root: Path, made: "Synchronized[int]") -> None:
    """Use an entry again and again, as runs do: it must be there, whole, as long as it is used."""
    while made.value < TIMES_MADE:
        store = Store(root, say=print)
        if store.find("kernels", "k") is None:
            with store.create("kernels", "k") as fresh:
                (fresh / "one").write_text("k")
                (fresh / "two").write_text("k")
            with made:
                made.value += 1
        for _ in range(3):
            assert (root / "kernels/k/one").read_text() == "k"
            assert (root / "kernels/k/two").read_text() == "k"


def test_runs_and_a_cleaner_never_get_into_each_others_way(store: Store) -> None:
    store.root.mkdir()
    made = SPAWN.Value("i", 0)
    runs = [SPAWN.Process(target=find_or_make, args=(store.root, made)) for _ in range(2)]
    cleaner = SPAWN.Process(target=evict_always, args=(store.root,))
    for process in (cleaner, *runs):
        process.start()
    for run in runs:
        run.join(120)
    (store.root / "stop").touch()
    cleaner.join(60)

    assert [process.exitcode for process in (cleaner, *runs)] == [0, 0, 0]


def test_a_cache_that_cannot_be_written_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make_entry(store, "kernels", "k")

    def refuse(_path: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    assert store.find("kernels", "k") == entry


def test_an_entry_that_cannot_be_locked_for_want_of_rights_is_one_clear_message(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_entry(store, "kernels", "k")

    def refuse(_fd: int, _operation: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InfraError, match="Permission denied"):
        store.find("kernels", "k")


def test_a_free_lock_says_nothing(store: Store, said: list[str]) -> None:
    with store.lock("work", "k"), store.lock("work", "other"):
        pass
    with store.lock("work", "k"):
        pass

    assert said == []


def test_facts_are_kept_and_a_broken_one_is_none(store: Store) -> None:
    store.write_fact("toolchain", {"id": "gcc 12"})
    assert store.read_fact("toolchain") == {"id": "gcc 12"}

    (store.root / "facts/toolchain.json").write_text('{"id": "gc')
    assert store.read_fact("toolchain") == {}
    (store.root / "facts/toolchain.json").write_text("[1]")
    assert store.read_fact("toolchain") == {}


def test_usage_and_removal_by_kind(store: Store) -> None:
    for key in ("a", "b"):
        with store.create("kernels", key) as fresh:
            (fresh / "bzImage").write_bytes(bytes(3 * 1024 * 1024))
    store.write_fact("f", {})

    usage = {item.kind: item for item in store.usage()}
    assert set(usage) == {"kernels", "facts"}
    assert usage["kernels"].entries == 2
    assert usage["kernels"].size_mib == pytest.approx(6, abs=0.1)

    cleaner = Store(store.root, say=print)
    assert cleaner.remove("kernels") == ("a", "b")  # whoever made them uses them
    store.release()
    assert cleaner.remove("kernels") == ()
    assert cleaner.remove("work") == ()
    assert store.find("kernels", "a") is None
    assert store.read_fact("f") == {}
    assert (store.root / "facts/f.json").exists()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "is full (No space left on device): `testbed clean`"),
        (errno.EDQUOT, "is full (Disk quota exceeded): `testbed clean`"),
        (errno.EROFS, "cannot be written (Read-only file system, at /c/x): set TESTBED_CACHE"),
        (errno.EACCES, "cannot be written (Permission denied, at /c/x): set TESTBED_CACHE"),
    ],
)
def test_an_error_of_the_disk_says_what_to_do(store: Store, number: int, message: str) -> None:
    with pytest.raises(InfraError) as caught, store.blamed():
        raise OSError(number, os.strerror(number), "/c/x")

    assert message in str(caught.value)
    assert str(store.root) in str(caught.value)


def test_other_errors_are_not_blamed_on_the_disk(store: Store) -> None:
    assert explain_disk_error(OSError(errno.EIO, "x"), store.root) is None
    with pytest.raises(FileNotFoundError), store.blamed():
        (store.root / "nothing").read_bytes()


def test_a_cache_that_is_a_file_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    store = Store(tmp_path / "cache", say=print)

    with pytest.raises(InfraError, match="cannot be written"):
        store.write_fact("f", {})


def test_a_write_that_fails_leaves_the_old_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    write_atomically(path, "old")

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="full"):
        write_atomically(path, "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_discarded_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")

    discard(tmp_path / "link")

    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_space_that_is_there_is_enough(store: Store) -> None:
    store.require_space(0, what="nothing")
    with pytest.raises(InfraError, match=r"a build needs about \d+ MiB, the disk of the cache"):
        store.require_space(2**40, what="a build")
