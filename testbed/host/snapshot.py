"""Saved states of guests: booted once, restored for every test.

A state is what QEMU's migration writes, kept in the cache under a digest of all that it depends on.
It holds no secret: the guest has no keys yet when it is saved. It is made under a lock, so that of
several processes that want it one boots and the others wait.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from testbed.core.result import Crash
from testbed.errors import GuestLostError, InfraError
from testbed.host import qemu
from testbed.host.boot import BootFailure, boot, find_guest_fault
from testbed.host.facts import read_boot_id
from testbed.host.guest_result import GUEST_FAULTS, GuestTimeoutError
from testbed.host.qemu import BootRequest, QemuNotStartedError
from testbed.host.qmp import Qmp, QmpEvent
from testbed.host.store import Store, discard
from testbed.host.vm import Vm

KIND: Final = "states"
_RECIPE: Final = 1  # raise it when QEMU's command line or what is done before the saving changes
_KEPT_STATES: Final = 24  # 60 to 80 MB each
_SAVE_TIMEOUT_S: Final = 120.0
_ROOM_MIB: Final = 512
_BANDWIDTH: Final = 1 << 40  # bytes a second: no limit, where QEMU's default is 128 MiB
_STATE: Final = "state"
_META: Final = "meta.json"
CONSOLE: Final = "console.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """A state on disk; ``taint`` and ``crashes`` are what the boot itself left behind."""

    key: str
    folder: Path
    boot_seconds: float
    taint: int
    crashes: tuple[Crash, ...]
    digest: str

    @property
    def console(self) -> Path:
        """The console of the boot, up to the saving."""
        return self.folder / CONSOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meta:
    boot_seconds: float
    taint: int
    crashes: tuple[Crash, ...]
    digest: str


_META_ADAPTER: Final[TypeAdapter[_Meta]] = TypeAdapter(_Meta)


class StateUnusableError(InfraError):
    """A saved state does not load."""


class RestoredCrashError(AssertionError):
    """The kernel crashed as soon as it ran on from a state that loads."""

    def __init__(self, crash: Crash) -> None:
        self.crash = crash
        super().__init__(crash.title)


class Snapshots:
    """The states of one machine: a request to boot, with the digests that name its parts."""

    def __init__(
        self,
        store: Store,
        request: BootRequest,
        *,
        parts: dict[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._request = request
        self._say = say
        self.key = digest_parts(request, parts)

    def get(self) -> SavedState | BootFailure:
        """Return the saved state, booting and saving where there is none that is whole."""
        with self._store.lock(KIND, self.key):
            folder = self._store.find(KIND, self.key)
            if folder is not None:
                state = self._load(folder)
                if state is not None:
                    return state
            return self._make()

    def restore(self, state: SavedState, *, log_name: str) -> Vm:
        """Return a guest that runs on from ``state``.

        Raises :class:`StateUnusableError` when QEMU does not take it, or the guest does not answer,
        and :class:`RestoredCrashError` when its kernel crashes.
        """
        request = replace(self._request, log_name=log_name)
        _date(state.folder)
        path = state.folder / _STATE
        try:
            file = path.open("rb")
        except FileNotFoundError as err:
            raise StateUnusableError("another run has removed it") from err
        with file:  # open from here on: it may be removed while there is no room for a guest
            try:
                started = qemu.start(request, state_fd=file.fileno())
            except QemuNotStartedError as err:
                raise StateUnusableError(str(err).splitlines()[-1]) from err
        vm = Vm(started, request.topology, slowness=request.slowness)
        try:
            vm.refresh()
        except (GuestLostError, GuestTimeoutError) as err:
            vm.settle()
            crashes = vm.crashes()
            vm.close()
            if crashes:
                raise RestoredCrashError(crashes[0]) from err
            raise StateUnusableError(str(err)) from err
        except BaseException:
            vm.close()
            raise
        return vm

    def drop(self, state: SavedState, *, reason: str) -> None:
        """Remove a state that does not load; the next :meth:`get` makes it again."""
        self._say(f"the saved state of {self._request.topology.name} is made again: {reason}")
        with self._store.lock(KIND, self.key):
            folder = self._store.find(KIND, self.key)
            if folder is not None and _is_same(folder, state):
                discard(folder)

    def _load(self, folder: Path) -> SavedState | None:
        """Read a state back; None where it is not whole, and then it is gone."""
        try:
            meta = _META_ADAPTER.validate_json((folder / _META).read_bytes())
            digest = _digest(folder / _STATE)
        except (OSError, ValidationError):
            digest, meta = "", None
        if meta is None or digest != meta.digest:
            self._say(f"the saved state of {self._request.topology.name} is damaged: made again")
            discard(folder)
            return None
        return _describe(self.key, folder, meta)

    def _make(self) -> SavedState | BootFailure:
        store = self._store
        store.require_space(_ROOM_MIB, what="the saved state of a guest")
        outcome = boot(self._request)
        if isinstance(outcome, BootFailure):
            return outcome
        with _closing(outcome) as vm:
            try:
                meta = self._keep(vm)
            except (InfraError, *GUEST_FAULTS) as err:
                failure = find_guest_fault(vm, err)
                if failure is None:
                    raise
                return failure
        store.keep_newest(KIND, _KEPT_STATES)
        return _describe(self.key, store.folder(KIND, self.key), meta)

    def _keep(self, vm: Vm) -> _Meta:
        with self._store.create(KIND, self.key) as fresh:
            taint = int(vm.run("cat /proc/sys/kernel/tainted").stdout)
            save(vm.qmp, fresh / _STATE)
            meta = _Meta(
                boot_seconds=round(vm.boot_seconds, 3),
                taint=taint,
                crashes=vm.crashes(),
                digest=_digest(fresh / _STATE),
            )
            (fresh / CONSOLE).write_bytes(vm.console.log.read_bytes())
            (fresh / _META).write_bytes(_META_ADAPTER.dump_json(meta))
        return meta


def name_parts(*, image: str, qemu_version: str, accel: str) -> dict[str, str]:
    """Return what a state depends on besides its request; under KVM on the host's CPUs too."""
    parts = {"image": image, "qemu": qemu_version}
    return parts | {"host": read_boot_id()} if accel == "kvm" else parts


def digest_parts(request: BootRequest, parts: dict[str, str]) -> str:
    """Return the name of the state of ``request``; ``parts`` are what a file's path cannot tell."""
    whole: dict[str, Any] = {
        "recipe": _RECIPE,
        "kernel": _digest_once(request.kernel),
        "topology": request.topology.model_dump(mode="json", exclude={"about", "name"}),
        "accel": request.accel,
        "cmdline": request.cmdline,
        **parts,
    }
    text = json.dumps(whole, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=8)
def _digest_once(path: Path) -> str:
    return _digest(path)


def _date(folder: Path) -> None:
    """Note that a state is still used, for a run that takes hours with it."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(folder)


def _is_same(folder: Path, state: SavedState) -> bool:
    """Whether ``folder`` still holds ``state``: another worker may have made it again by now."""
    try:
        return _META_ADAPTER.validate_json((folder / _META).read_bytes()).digest == state.digest
    except (OSError, ValidationError):
        return True


def _describe(key: str, folder: Path, meta: _Meta) -> SavedState:
    return SavedState(
        key=key,
        folder=folder,
        boot_seconds=meta.boot_seconds,
        taint=meta.taint,
        crashes=meta.crashes,
        digest=meta.digest,
    )


def save(qmp: Qmp, path: Path) -> None:
    """Write the state of a running guest to ``path``; the guest is stopped then.

    It is saved running, so that it runs on by itself when it is restored.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        qmp.send_fd(fd, "state")
    finally:
        os.close(fd)
    qmp.execute("migrate-set-parameters", max_bandwidth=_BANDWIDTH)
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    mark = qmp.mark()
    qmp.execute("migrate", uri="fd:state")
    ended = qmp.wait_event(_is_save_end, since=mark, timeout_s=_SAVE_TIMEOUT_S)
    if ended is None or ended.data["status"] != "completed":
        told = qmp.execute("query-migrate").get("error-desc", "no reason given")
        raise InfraError(f"QEMU could not save the guest's state: {told}")


def _is_save_end(event: QmpEvent) -> bool:
    return event.name == "MIGRATION" and event.data["status"] in {"completed", "failed"}


@contextmanager
def _closing(vm: Vm) -> Iterator[Vm]:
    try:
        yield vm
    finally:
        vm.close()
