import errno
import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from testbed.errors import InfraError
from testbed.host.store import Store, discard, explain_disk_error, write_atomically


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

    store.remove("kernels")
    store.remove("work")
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
