import errno
import multiprocessing
import os
import shutil
from collections.abc import Mapping, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from testbed.core.eviction import (
    Bounded,
    Entry,
    Footprint,
    add_up,
    choose,
    describe,
    format_age,
    format_entries,
    format_size,
    parse_size,
)
from testbed.errors import CommandError, InfraError, UserError
from testbed.host import eviction, proc
from testbed.host.eviction import bound, preview, read_keep
from testbed.host.footprint import measure
from testbed.host.store import Store
from testbed.tests.unit.test_store import make_and_wait

SPAWN = multiprocessing.get_context("spawn")
KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
IN_USE = "what is left is in use or never evicted"
FIXED = "what is left is never evicted, or unfinished"
NOW_NS = 1_800_000_000 * 10**9


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("1K", KIB),
        ("512M", 512 * MIB),
        ("20G", 20 * GIB),
        ("20g", 20 * GIB),
        ("1T", 1024 * GIB),
        ("1.5G", 1536 * MIB),
        ("0.001K", 1),
        ("0G", 0),
        ("999999999999T", 999999999999 * 1024 * GIB),
    ],
)
def test_a_size_is_a_number_and_a_unit(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        *("", "20", "G", "-1G", "+1G", " 1G", "1 G", "1GB", "1GiB", "1P", "1e3G", "1.G", ".5G"),
        *("1,5G", "nanG", "infG", "\u0663G", "1G\n", "1_0G", "1" * 5000 + "G", "\x1b[2J1G"),
    ],
)
def test_what_is_no_size_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"is no size: write a number and K, M, G or T") as caught:
        parse_size(text)

    assert str(caught.value).isprintable()


def entry(
    key: str,
    *,
    used_ns: int = 0,
    own_bytes: int = 0,
    linked: Mapping[int, int] | None = None,
    is_spared: bool = False,
) -> Entry:
    files = tuple(((1, inode), size) for inode, size in (linked or {}).items())
    return Entry(
        kind="kernels",
        key=key,
        used_ns=used_ns,
        footprint=Footprint(own_bytes=own_bytes, linked=files),
        is_spared=is_spared,
    )


def keys(entries: Sequence[Entry]) -> str:
    return "".join(entry.key for entry in entries)


THREE = (
    entry("b", used_ns=20, own_bytes=10),
    entry("c", used_ns=30, own_bytes=10),
    entry("a", used_ns=10, own_bytes=10),
)


@pytest.mark.parametrize(
    ("keep_bytes", "evicted", "left_bytes"),
    [(100, "", 35), (35, "", 35), (34, "a", 25), (25, "a", 25), (24, "ab", 15), (0, "abc", 5)],
)
def test_the_least_lately_used_go_until_the_rest_fits(
    keep_bytes: int, evicted: str, left_bytes: int
) -> None:
    choice = choose(THREE, fixed=[Footprint(own_bytes=5)], keep_bytes=keep_bytes)

    assert keys(choice.evicted) == evicted
    assert choice.left_bytes == left_bytes


def test_of_two_that_were_used_at_once_the_first_by_name_goes() -> None:
    twins = [entry("y", own_bytes=10), entry("x", own_bytes=10)]

    assert keys(choose(twins, fixed=[], keep_bytes=10).evicted) == "x"


def test_a_newer_entry_goes_for_an_older_one_that_is_spared() -> None:
    entries = [
        entry("a", used_ns=1, own_bytes=10, is_spared=True),
        entry("b", used_ns=2, own_bytes=10),
        entry("c", used_ns=3, own_bytes=10),
    ]

    choice = choose(entries, fixed=[], keep_bytes=20)

    assert keys(choice.evicted) == "b"
    assert choose(entries, fixed=[], keep_bytes=0).left_bytes == 10


def test_a_file_with_two_names_goes_with_the_last_of_them() -> None:
    entries = [
        entry("a", used_ns=1, own_bytes=1, linked={7: 100}),
        entry("b", used_ns=2, own_bytes=1, linked={7: 100, 8: 50}),
        entry("c", used_ns=3, own_bytes=1),
    ]
    assert add_up(one.footprint for one in entries) == 153

    assert choose(entries, fixed=[], keep_bytes=152).left_bytes == 152
    choice = choose(entries, fixed=[], keep_bytes=151)
    assert keys(choice.evicted) == "ab"
    assert choice.left_bytes == 1
    pinned = Footprint(linked=(((1, 8), 50),))
    assert choose(entries, fixed=[pinned], keep_bytes=0).left_bytes == 50


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 KiB"),
        (1, "1 KiB"),
        (KIB, "1 KiB"),
        (MIB - 1, "1024 KiB"),
        (MIB, "1.0 MiB"),
        (1700 * MIB, "1.7 GiB"),
        (3 * 1024 * GIB, "3.0 TiB"),
    ],
)
def test_sizes_for_a_reader(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (7200, "2 h ago"),
        (3 * 86400 + 5, "3 d ago"),
    ],
)
def test_ages_for_a_reader(seconds: int, text: str) -> None:
    assert format_age(NOW_NS - seconds * 10**9, now_ns=NOW_NS) == text


def test_a_name_cannot_repaint_the_terminal() -> None:
    (line,) = format_entries([entry("\x1b[2Jk\nl", own_bytes=MIB)], now_ns=NOW_NS)

    assert line == "   1.0 MiB  20833 d ago  kernels/k l"


def test_a_long_name_is_told_by_its_beginning() -> None:
    assert entry("0123456789" * 6).name == f"kernels/{'0123456789' * 4}…"


def test_what_was_done_is_told() -> None:
    done = Bounded(
        keep_bytes=GIB,
        before_bytes=3 * GIB,
        left_bytes=2 * GIB,
        evicted=(entry("a", used_ns=NOW_NS - 60 * 10**9, own_bytes=GIB),),
        spared=(entry("b", used_ns=1), entry("c", used_ns=0)),
        notes=("ccache gave up 1 KiB",),
    )

    assert describe(done, now_ns=NOW_NS) == (
        "   1.0 GiB   1 min ago  kernels/a  removed",
        "in use: kernels/c, kernels/b",
        "ccache gave up 1 KiB",
        f"the cache holds 2.0 GiB of 3.0 GiB, more than 1.0 GiB: {IN_USE}",
    )


@pytest.mark.parametrize(
    ("left_bytes", "last"),
    [
        (GIB, "the cache would hold 1.0 GiB of 3.0 GiB"),
        (2 * GIB, f"the cache would hold 2.0 GiB of 3.0 GiB, more than 1.0 GiB: {FIXED}"),
    ],
)
def test_what_would_be_done_is_told(left_bytes: int, last: str) -> None:
    would = Bounded(
        keep_bytes=GIB,
        before_bytes=3 * GIB,
        left_bytes=left_bytes,
        evicted=(entry("a", used_ns=NOW_NS, own_bytes=GIB),),
        is_preview=True,
    )

    assert describe(would, now_ns=NOW_NS) == ("   1.0 GiB    just now  kernels/a  would go", last)


def write(path: Path, size_bytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size_bytes))
    return path


def blocks(*paths: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in paths)


def test_a_folder_takes_the_blocks_of_all_that_is_in_it(tmp_path: Path) -> None:
    big = write(tmp_path / "a/sub/big", 100_000)
    sparse = tmp_path / "a/sparse"
    with sparse.open("wb") as file:
        file.truncate(10 * MIB)
    link = tmp_path / "a/link"
    link.symlink_to(big)

    found = measure(tmp_path / "a")

    assert found.own_bytes == blocks(tmp_path / "a", tmp_path / "a/sub", big, sparse, link)
    assert 100_000 <= found.own_bytes < MIB
    assert found.is_whole
    without = measure(tmp_path / "a", without={tmp_path / "a/sub"})
    assert without.own_bytes == blocks(tmp_path / "a", sparse, link)
    assert measure(tmp_path / "nothing") == Footprint()


def test_hard_links_are_counted_once(tmp_path: Path) -> None:
    inside = write(tmp_path / "a/file", 100_000)
    (tmp_path / "a/journal").hardlink_to(inside)
    shared = write(tmp_path / "a/vmlinux", 50_000)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/vmlinux").hardlink_to(shared)

    one, other = measure(tmp_path / "a"), measure(tmp_path / "b")

    assert one.own_bytes == blocks(tmp_path / "a", inside)
    assert one.linked == other.linked
    assert [size for _, size in one.linked] == [blocks(shared)]
    whole = measure(tmp_path)
    assert whole.linked == ()
    assert add_up([one, other]) == whole.own_bytes - blocks(tmp_path)


def refuse_to_read(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    scan = os.scandir

    def refuse(path: Path) -> object:
        if path == folder:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A cache with a kernel of 1 MiB, a state of 2 and a work folder of 3, used in that order."""
    store = Store(tmp_path / "cache", say=print)
    sizes = (("kernels/k", 1), ("states/s", 2), ("work/w", 3))
    for age, (name, size_mib) in enumerate(sizes):
        write(store.root / name / "file", size_mib * MIB)
        os.utime(store.root / name, ns=(age, age))
    store.write_fact("f", {})
    return store


def names(entries: Sequence[Entry]) -> list[str]:
    return [entry.name for entry in entries]


def list_left(store: Store) -> list[str]:
    kinds = ("kernels", "states", "work")
    return [f"{kind}/{path.name}" for kind in kinds for path in (store.root / kind).iterdir()]


@pytest.mark.parametrize(
    ("keep", "evicted"),
    [
        ("7M", []),
        ("5.5M", ["kernels/k"]),
        ("4M", ["kernels/k", "states/s"]),
        ("0", ["kernels/k", "states/s", "work/w"]),
    ],
)
def test_the_cache_is_brought_down_to_a_size(store: Store, keep: str, evicted: list[str]) -> None:
    would = preview(store, parse_size(keep))
    assert len(list_left(store)) == 3

    done = bound(store, parse_size(keep))

    assert names(done.evicted) == names(would.evicted) == evicted
    assert sorted([*evicted, *list_left(store)]) == ["kernels/k", "states/s", "work/w"]
    assert done.before_bytes - done.left_bytes == add_up(one.footprint for one in done.evicted)
    assert done.left_bytes == measure(store.root).own_bytes
    assert done.left_bytes <= parse_size(keep) or keep == "0"
    assert store.read_fact("f") == {}
    assert (store.root / "facts/f.json").exists()
    assert (would.is_preview, done.is_preview) == (True, False)


def test_what_is_used_is_spared_and_named_and_the_next_goes(store: Store) -> None:
    run = Store(store.root, say=print)
    run.find("states", "s")
    os.utime(store.root / "states/s", ns=(0, 0))
    with run.lock("work", "w"):
        would = preview(store, 5 * MIB)
        done = bound(store, 5 * MIB)

    assert names(done.evicted) == names(would.evicted) == ["kernels/k"]
    assert names(done.spared) == names(would.spared) == ["states/s", "work/w"]
    assert list_left(store) == ["states/s", "work/w"]
    assert describe(done, now_ns=NOW_NS)[-1].endswith(IN_USE)


def test_a_bound_spares_what_its_own_run_used(store: Store) -> None:
    store.find("kernels", "k")

    assert names(bound(store, 0).spared) == ["kernels/k"]
    store.release()
    assert names(bound(store, 0).evicted) == ["kernels/k"]


def test_an_entry_that_is_used_while_others_go_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    evict = Store.evict

    def evict_slowly(self: Store, kind: str, key: str, *, used_ns: int | None = None) -> bool:
        run = Store(store.root, say=print)  # it has come and gone
        assert run.find("states", "s")
        del run
        return evict(self, kind, key, used_ns=used_ns)

    monkeypatch.setattr(Store, "evict", evict_slowly)
    done = bound(store, 0)

    assert names(done.evicted) == ["kernels/k", "work/w"]
    assert list_left(store) == ["states/s"]


def test_a_file_that_two_entries_share_is_counted_once(store: Store) -> None:
    (store.root / "kernels/k/state").hardlink_to(store.root / "states/s/file")
    os.utime(store.root / "kernels/k", ns=(0, 0))

    done = bound(store, 6 * MIB)

    assert done.before_bytes < 7 * MIB
    assert names(done.evicted) == ["kernels/k"]
    assert done.left_bytes == measure(store.root).own_bytes


def test_what_a_dead_run_left_goes_and_what_a_live_one_makes_stays(store: Store) -> None:
    write(store.root / "kernels/.tmp-dead/file", 4 * MIB)
    ready = SPAWN.Event()
    maker = SPAWN.Process(target=make_and_wait, args=(store.root, ready))
    maker.start()
    assert ready.wait(60)
    write(store.root / "states/.tmp-dead/file", 4 * MIB)
    would = preview(store, 8 * MIB)
    assert (store.root / "states/.tmp-dead").exists()

    done = bound(store, 8 * MIB)

    assert names(done.evicted) == []
    assert would.before_bytes - done.before_bytes >= 4 * MIB
    assert len(list((store.root / "kernels").glob(".tmp-*/half"))) == 1
    assert not (store.root / "states/.tmp-dead").exists()
    maker.kill()
    maker.join()


def clean_up(root: Path, go: Event, found: "multiprocessing.Queue[list[str]]") -> None:
    go.wait()
    done = bound(Store(root, say=print), 0)
    assert done.spared == ()
    found.put(names(done.evicted))


def test_two_cleaners_share_the_work(store: Store) -> None:
    for number in range(20):
        write(store.root / f"kernels/{number}/file", 10)
    go, found = SPAWN.Event(), SPAWN.Queue()
    cleaners = [SPAWN.Process(target=clean_up, args=(store.root, go, found)) for _ in range(2)]
    for cleaner in cleaners:
        cleaner.start()
    go.set()
    removed = [name for _ in cleaners for name in found.get(timeout=60)]
    for cleaner in cleaners:
        cleaner.join(60)

    assert [cleaner.exitcode for cleaner in cleaners] == [0, 0]
    assert len(removed) == len(set(removed)) == 23
    assert list_left(store) == []


def test_what_cannot_be_read_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store.root / "kernels/k/secret/file", MIB)
    os.utime(store.root / "kernels/k", ns=(0, 0))
    with monkeypatch.context() as patch:
        refuse_to_read(patch, store.root / "kernels/k/secret")
        would = preview(store, 0)

    assert would.notes == ("kernels/k cannot be read: not all of it is counted",)
    assert names(would.evicted)[0] == "kernels/k"


def test_what_may_not_be_removed_is_told_and_the_next_goes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "k":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    done = bound(store, 4 * MIB + 500 * KIB)

    assert done.notes == ("kernels/k cannot be removed: Permission denied",)
    assert names(done.evicted) == ["states/s"]
    assert list_left(store) == ["kernels/k", "work/w"]


def test_a_cache_that_cannot_be_written_is_one_clear_message(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InfraError, match="cannot be written"):
        bound(store, 0)


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    done = bound(Store(tmp_path / "none", say=print), 10 * MIB)

    assert done.evicted == ()
    assert done.left_bytes < MIB


class FakeCcache:
    """Removes files down to its limit, as ccache does; what it keeps of its own does not count."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str]) -> None:
        self.calls.append((argv[1], env["CCACHE_MAXSIZE"]))
        limit = int(env["CCACHE_MAXSIZE"].removesuffix("Ki")) * KIB
        files = sorted(Path(env["CCACHE_DIR"]).glob("[0-9]"))
        while files and (argv[1] == "--clear" or blocks(*files) > limit):
            files.pop().unlink()


@pytest.fixture
def with_ccache(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    for number in range(8):
        write(store.root / f"ccache/{number}", MIB)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return store


def test_ccache_is_trimmed_when_all_else_is_gone(
    with_ccache: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ccache = FakeCcache()
    monkeypatch.setattr(proc, "run", ccache)
    assert len(bound(with_ccache, 9 * MIB).evicted) == 3
    assert ccache.calls == []

    would = preview(with_ccache, 4 * MIB)
    done = bound(with_ccache, 4 * MIB)

    assert 3 * MIB < done.left_bytes <= 4 * MIB
    assert would.notes[0].startswith("ccache would give up 4.")
    assert would.left_bytes == 4 * MIB
    assert done.notes == ("ccache gave up 5.0 MiB",)
    assert [what for what, _ in ccache.calls] == ["--cleanup"]


def test_ccache_is_asked_again_where_it_left_too_much(
    with_ccache: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(with_ccache.root / "ccache/stats", MIB)
    ccache = FakeCcache()
    monkeypatch.setattr(proc, "run", ccache)

    assert bound(with_ccache, 4 * MIB).left_bytes <= 4 * MIB
    assert {what for what, _ in ccache.calls} == {"--cleanup"}
    assert len(ccache.calls) > 1
    assert len(list((with_ccache.root / "ccache").iterdir())) > 1


def test_ccache_is_never_given_the_size_that_means_no_limit(
    with_ccache: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ccache = FakeCcache()
    monkeypatch.setattr(proc, "run", ccache)
    bound(with_ccache, 0)

    assert ccache.calls == [("--clear", "1Ki")]
    assert list((with_ccache.root / "ccache").iterdir()) == []


def fail(argv: Sequence[str], *, env: Mapping[str, str]) -> None:
    raise CommandError(argv, 1, f"{sorted(env)}: no")


@pytest.mark.parametrize(
    ("is_installed", "why"),
    [(True, "ccache --cleanup"), (False, "ccache is not installed")],
)
def test_a_ccache_that_does_not_work_is_told(
    with_ccache: Store, monkeypatch: pytest.MonkeyPatch, *, is_installed: bool, why: str
) -> None:
    monkeypatch.setattr(proc, "run", fail)
    if not is_installed:
        monkeypatch.setattr(shutil, "which", lambda _name: None)

    (note,) = bound(with_ccache, 4 * MIB).notes

    assert "ccache is not trimmed: " in note
    assert why in note


@pytest.mark.parametrize(("value", "keep_bytes"), [("20G", 20 * GIB), ("0", 0), ("", None)])
def test_the_bound_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, keep_bytes: int | None
) -> None:
    monkeypatch.setenv(eviction.KEEP_VARIABLE, value)

    assert read_keep() == keep_bytes


def test_a_bound_that_is_none_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(eviction.KEEP_VARIABLE, raising=False)
    assert read_keep() is None
    monkeypatch.setenv(eviction.KEEP_VARIABLE, "much")

    with pytest.raises(UserError, match=r"TESTBED_CACHE_KEEP: 'much' is no size"):
        read_keep()
