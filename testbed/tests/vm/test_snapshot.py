"""Saved states: damaged, shared, restored as guests of their own, and without a secret in them."""

import base64
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from testbed.core.events import Noted
from testbed.core.result import Verdict
from testbed.host import catalog, keys, qemu
from testbed.host.accel import Accel, read_qemu_version
from testbed.host.builder import Kernel
from testbed.host.guest_image import GuestImage
from testbed.host.qemu import BootRequest
from testbed.host.snapshot import KIND, SavedState, Snapshots, StateUnusableError, name_parts
from testbed.host.store import Store
from testbed.host.vm import Vm
from testbed.tests.vm.suite import Machine, SuiteRun, run_suite

ONE_TEST = "def test_it_runs(vm):\n    assert vm.run('echo yes').stdout == 'yes\\n'\n"
SECOND_S = 1.0


@pytest.fixture(scope="module")
def machine(kernel: Kernel, image: GuestImage, accel: Accel) -> Machine:
    return Machine(kernel=kernel, image=image, accel=accel)


@pytest.fixture(scope="module")
def two_runs(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> list[SuiteRun]:
    """Two runs that want the same state at once, in a cache that has none."""
    cache = tmp_path_factory.mktemp("shared")
    folders = [tmp_path_factory.mktemp(f"run-{number}") for number in range(2)]
    with ThreadPoolExecutor() as pool:

        def start(folder: Path) -> SuiteRun:
            return run_suite(folder, {"test_one.py": ONE_TEST}, machine, cache=cache)

        return list(pool.map(start, folders))


@pytest.fixture(scope="module")
def cache(two_runs: list[SuiteRun]) -> Path:
    """A cache with one whole state. Copy it to break it."""
    return two_runs[0].cache


@pytest.fixture
def snapshots(cache: Path, machine: Machine, tmp_path: Path) -> Snapshots:
    """The states of ``machine`` in a copy of ``cache``; what is said of them is printed."""
    shutil.copytree(cache / KIND, tmp_path / "cache" / KIND)
    request = BootRequest(
        kernel=machine.kernel.image,
        initrd=machine.image.initrd,
        topology=catalog.load_topology(machine.topology),
        accel=machine.accel.name,
        log_dir=tmp_path / "logs",
    )
    parts = name_parts(
        image=machine.image.key, qemu_version=read_qemu_version(), accel=machine.accel.name
    )
    return Snapshots(Store(tmp_path / "cache", say=print), request, parts=parts, say=print)


def get_state(snapshots: Snapshots) -> SavedState:
    state = snapshots.get()
    assert isinstance(state, SavedState), state
    return state


@pytest.fixture
def twins(snapshots: Snapshots) -> Iterator[tuple[Vm, Vm]]:
    """Two guests of one state, side by side."""
    with ExitStack() as stack:
        state = get_state(snapshots)
        yield (
            stack.enter_context(closing(snapshots.restore(state, log_name="one"))),
            stack.enter_context(closing(snapshots.restore(state, log_name="two"))),
        )


def list_notes(run: SuiteRun) -> list[str]:
    return [event.line for event in run.events if isinstance(event, Noted)]


def test_of_two_runs_that_want_one_state_one_boots(two_runs: list[SuiteRun]) -> None:
    for run in two_runs:
        assert run.results["test_it_runs"].verdict is Verdict.PASSED, run.output
    assert len(list((two_runs[0].cache / KIND).iterdir())) == 1
    booted = [(run.logs / "vm-boot.qmp.jsonl").is_file() for run in two_runs]
    assert sorted(booted) == [False, True]
    assert all((run.logs / "vm-boot.console.log").is_file() for run in two_runs)


def test_a_state_that_is_removed_while_there_is_no_room_is_restored(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = get_state(snapshots)
    start = qemu.start

    def lose_it_first(request: BootRequest, *, state_fd: int | None = None) -> qemu.Qemu:
        shutil.rmtree(state.folder)
        return start(request, state_fd=state_fd)

    monkeypatch.setattr(qemu, "start", lose_it_first)
    with closing(snapshots.restore(state, log_name="late")) as vm:
        assert vm.run("echo here").stdout.strip() == "here"
    with pytest.raises(StateUnusableError, match="another run has removed it"):
        snapshots.restore(state, log_name="later")


def truncate(state: Path) -> None:
    os.truncate(state / "state", (state / "state").stat().st_size // 2)


def flip_a_byte(state: Path) -> None:
    with (state / "state").open("r+b") as file:
        file.seek(1 << 20)
        (byte,) = file.read(1)
        file.seek(1 << 20)
        file.write(bytes([byte ^ 1]))


def garble_the_meta(state: Path) -> None:
    (state / "meta.json").write_bytes(b'{"boot_seconds": "soon", \xff')


def lose_the_state(state: Path) -> None:
    (state / "state").unlink()


def make_it_another_machines(state: Path) -> None:
    """Leave a whole file, with its right digest, that QEMU does not take."""
    data = (state / "state").read_bytes()
    other = data.replace(b"pc-q35-", b"pc-i440", 1)
    assert other != data
    (state / "state").write_bytes(other)
    meta = json.loads((state / "meta.json").read_bytes())
    meta["digest"] = hashlib.sha256(other).hexdigest()
    (state / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("spoil", [truncate, garble_the_meta, lose_the_state])
def test_a_damaged_state_is_made_again(
    snapshots: Snapshots,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
) -> None:
    old = get_state(snapshots)
    spoil(old.folder)
    new = get_state(snapshots)
    assert capsys.readouterr().out == "the saved state of two-nodes is damaged: made again\n"
    assert new.folder == old.folder
    assert new.digest != old.digest
    with closing(snapshots.restore(new, log_name="again")) as vm:
        assert vm.run("echo yes").stdout == "yes\n"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (flip_a_byte, "the saved state of two-nodes is damaged: made again"),
        (make_it_another_machines, "the saved state of two-nodes is made again: "),
    ],
)
def test_a_run_says_in_one_line_that_a_state_did_not_load(
    cache: Path, machine: Machine, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    shutil.copytree(cache / KIND, tmp_path / "cache" / KIND)
    (state,) = (tmp_path / "cache" / KIND).iterdir()
    before = (state / "meta.json").read_bytes()
    spoil(state)
    run = run_suite(tmp_path, {"test_one.py": ONE_TEST}, machine)
    assert run.results["test_it_runs"].verdict is Verdict.PASSED, run.output
    (note,) = list_notes(run)
    assert note.startswith(words)
    assert "\n" not in note
    assert (state / "meta.json").read_bytes() != before


SHARED = """
import pytest

pytestmark = pytest.mark.needs(scope="file")


def test_a_leaves_a_file(vm):
    vm.run("touch /tmp/shared")


def test_b_finds_it(vm):
    vm.run("test -e /tmp/shared")


def test_c_fails_there(vm):
    vm.run("test -e /tmp/shared && false")


def test_d_has_a_fresh_guest(vm):
    vm.run("test ! -e /tmp/shared && touch /tmp/shared")


def test_e_shares_that_one(vm):
    vm.run("test -e /tmp/shared")
"""
STARTS = """
import pytest


def test_f_does_not_share(vm):
    vm.run("touch /tmp/own")


def test_g_does_not_either(vm):
    vm.run("test ! -e /tmp/own -a ! -e /tmp/shared")


def test_h_is_restored(vm):
    assert vm.boot_seconds == 0
    assert not any("Linux version" in line for line in vm.console.lines_since(0))


@pytest.mark.needs(start="cold")
def test_i_is_booted(vm):
    assert vm.boot_seconds > 0
    assert any("Linux version" in line for line in vm.console.lines_since(0))
"""


def test_a_file_shares_a_guest_and_a_test_boots_cold_if_they_say_so(
    cache: Path, machine: Machine, tmp_path: Path
) -> None:
    files = {"test_shared.py": SHARED, "test_starts.py": STARTS}
    run = run_suite(tmp_path, files, machine, cache=cache)
    verdicts = {name: result.verdict for name, result in run.results.items()}
    assert verdicts.pop("test_c_fails_there") is Verdict.FAILED
    assert len(verdicts) == 9
    assert set(verdicts.values()) == {Verdict.PASSED}, run.output


def test_the_clock_of_a_restored_guest_is_the_hosts(twins: tuple[Vm, Vm]) -> None:
    # busybox tells whole seconds: so it is asked for one that has just begun.
    ask = "old=$(date +%s); while now=$(date +%s); [ $now = $old ]; do :; done; echo $now"
    for vm in twins:
        told = int(vm.run(ask).stdout)
        assert abs(told - time.time()) <= SECOND_S


def test_two_guests_of_one_state_draw_other_numbers(twins: tuple[Vm, Vm]) -> None:
    for command in (
        "cat /proc/sys/kernel/random/uuid",
        "head -c 32 /dev/urandom | sha256sum",
        "mktemp -u XXXXXXXXXXXX",
    ):
        one, two = (vm.run(command).stdout for vm in twins)
        assert one.strip()
        assert one != two, command


def find_in_files(root: Path, needles: list[bytes]) -> list[Path]:
    """Return the files below ``root`` that hold one of ``needles``."""
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if any(n in path.read_bytes() for n in needles)]


def spell(secret: bytes) -> list[bytes]:
    """Return ``secret`` as it is, in hex, and as it looks inside of longer base64 text."""
    shifted = (base64.b64encode(bytes(shift) + secret) for shift in range(3))
    return [secret, secret.hex().encode(), *(text[4:40] for text in shifted)]


class Recorder:
    """Stands in for the key class and keeps what it makes."""

    made: list[Ed25519PrivateKey]

    @classmethod
    def generate(cls) -> Ed25519PrivateKey:
        cls.made.append(Ed25519PrivateKey.generate())
        return cls.made[-1]


def test_keys_are_each_guests_own_and_on_no_disk(
    twins: tuple[Vm, Vm], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "made", [], raising=False)
    monkeypatch.setattr(keys, "Ed25519PrivateKey", Recorder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    host_keys = [vm.guest.run("sha256sum </etc/dropbear/host_key").stdout for vm in twins]
    assert host_keys[0] != host_keys[1]
    secrets = [key.private_bytes_raw() for key in Recorder.made]
    assert len(set(secrets)) == 4  # a host's and a client's, of each guest
    needles = [spelling for secret in secrets for spelling in spell(secret)]
    assert find_in_files(tmp_path, needles) == []

    # The search finds what it is to find: a key as it is sent to the guest.
    sent = tmp_path / "sent"
    sent.write_bytes(b"echo " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x40" + secrets[0]))
    assert find_in_files(tmp_path, needles) == [sent]
