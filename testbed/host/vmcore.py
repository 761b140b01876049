"""The memory of a guest that crashed, kept as a vmcore that drgn and crash(8) read.

QEMU ends with its guest, and the guest's memory with it. Where a vmcore is wanted, QEMU is told to
pause instead (``set-action``, qemu-qmp-ref(7)), and a thread waits for the guest's end: it writes
the vmcore, then ends QEMU, by which all who wait for the guest learn of it, as they do without.
"""

import contextlib
import os
import shutil
import struct
import threading
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO, Final

from testbed.errors import InfraError
from testbed.host.qmp import QmpEvent
from testbed.host.vm import Vm, is_own_end
from testbed.host.vmlinux import read_banner

SUFFIX: Final = ".vmcore"
MAX_KEPT: Final = 8  # in one folder: a kernel that crashes in every test must not fill the disk
_DUMP_TIMEOUT_S: Final = 60.0
_FOREVER_S: Final = 1e6  # eleven days
_RESERVE_MIB: Final = 512
_FD_NAME: Final = "vmcore"

# QEMU up to 9 writes kdump files as makedumpfile(8) does to a pipe: pieces, each behind its offset
# and its size, big endian, after a header of 4096 bytes (dump/dump.c, QEMU 7.2). drgn can read
# them so, but slowly; put together it is the file format that all tools know.
_FLAT_SIGNATURE: Final = b"makedumpfile\0"
_FLAT_HEADER_BYTES: Final = 4096
_PIECE: Final = struct.Struct(">qq")
_COPY_BYTES: Final = 1 << 20

# struct disk_dump_header: a signature of 8 bytes, a version of 4, then struct new_utsname, fields
# of 65 bytes (include/uapi/linux/utsname.h, 6.12).
_UTSNAME_AT: Final = 12
_UTS_BYTES: Final = 65


class VmcoreKeeper:
    """Keeps the memory of ``vm`` in ``path`` when its guest ends, or when it is asked for.

    Where an earlier guest has left ``path``, the name gets a number. ``kernel`` is the image that
    the guest runs. What cannot be done is told in :attr:`problem`: a test's verdict does not depend
    on it.
    """

    def __init__(self, vm: Vm, path: Path, *, kernel: Path) -> None:
        self.problem = ""
        self._kernel = kernel
        self._vm = vm
        self._path = path
        self._vmcore: Path | None = None
        self._is_taken = False
        self._taking = threading.Lock()
        vm.qmp.execute("set-action", shutdown="pause")
        self._thread = threading.Thread(target=self._await_end, name="vmcore", daemon=True)
        self._thread.start()

    def take(self) -> Path | None:
        """Return the vmcore; a guest that still runs is stopped for it, and is to be ended then.

        None where there is none, for which :attr:`problem` has the reason. Returns within about a
        minute.
        """
        with self._taking:
            if not self._is_taken:
                self._take()
        return self._vmcore

    def close(self) -> None:
        """End QEMU, and the wait for its guest; a vmcore that is being written is completed."""
        with self._taking:
            self._is_taken = True
            self._vm.kill()
        self._thread.join()

    def _await_end(self) -> None:
        ended = self._vm.qmp.wait_event(is_own_end, since=0, timeout_s=_FOREVER_S)
        if ended is None:  # QEMU is gone
            return
        with self._taking:
            if not self._is_taken:
                self._take()
        self._vm.kill()

    def _take(self) -> None:
        self._is_taken = True
        try:
            self.problem = self._explain_refusal()
            if not self.problem:
                self._write()
        except InfraError as err:
            self.problem = f"no vmcore: {err}"
        except OSError as err:
            self.problem = f"no vmcore: {self._path}: {err.strerror}"

    def _explain_refusal(self) -> str:
        """Return why there is no room for a vmcore; nothing where there is."""
        folder = self._path.parent
        if len(list(folder.glob(f"*{SUFFIX}"))) >= MAX_KEPT:
            return f"no vmcore: {folder} has {MAX_KEPT} already, which is as many as are kept"
        needed_mib = self._vm.topology.boot_memory_mib + _RESERVE_MIB
        free_mib = shutil.disk_usage(folder).free >> 20
        if free_mib < needed_mib:
            return f"no vmcore: it may need {needed_mib} MiB, {folder} has {free_mib} MiB left"
        return ""

    def _write(self) -> None:
        flat = self._path.with_name(f".{self._path.name}.flat")
        whole = self._path.with_name(f".{self._path.name}.new")
        try:
            self._dump(flat)
            whole.touch(mode=0o600, exist_ok=False)  # it may hold the guest's keys
            with flat.open("rb") as source, whole.open("r+b") as sink:
                put_together(source, sink)
                name_system(sink, *read_banner(self._kernel))
            self._vmcore = _find_free(self._path)
            whole.replace(self._vmcore)
        finally:
            for path in (flat, whole):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()

    def _dump(self, path: Path) -> None:
        """Let QEMU write into an open file: it may run as a user that can open none here."""
        qmp = self._vm.qmp
        qmp.execute("stop")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            qmp.send_fd(fd, _FD_NAME)
        finally:
            os.close(fd)
        mark = qmp.mark()
        qmp.execute(
            "dump-guest-memory",
            paging=False,
            protocol=f"fd:{_FD_NAME}",
            detach=True,
            format="kdump-zlib",
        )
        done = qmp.wait_event(_is_dump_end, since=mark, timeout_s=_DUMP_TIMEOUT_S)
        if done is None:
            raise InfraError(f"QEMU did not write the guest's memory in {_DUMP_TIMEOUT_S:g} s")
        if "error" in done.data:
            raise InfraError(f"QEMU could not write the guest's memory: {done.data['error']}")


def _find_free(path: Path) -> Path:
    """Return ``path``, numbered where an earlier guest of the same name has left its memory."""
    numbered = (path.with_name(f"{path.stem}.{number}{path.suffix}") for number in count(2))
    return next(one for one in chain((path,), numbered) if not one.exists())


def put_together(source: BinaryIO, sink: BinaryIO) -> None:
    """Write the flattened kdump file ``source`` to ``sink`` as it is meant; others unchanged.

    Raises :class:`InfraError` where it is cut short.
    """
    if not source.read(_FLAT_HEADER_BYTES).startswith(_FLAT_SIGNATURE):
        source.seek(0)
        shutil.copyfileobj(source, sink, _COPY_BYTES)
        return
    while True:
        piece = source.read(_PIECE.size)
        if len(piece) < _PIECE.size:
            raise InfraError("the file with the guest's memory is cut short")
        offset, left = _PIECE.unpack(piece)
        if offset < 0 or left < 0:  # the mark of the end
            return
        sink.seek(offset)
        while left:
            chunk = source.read(min(left, _COPY_BYTES))
            if not chunk:
                raise InfraError("the file with the guest's memory is cut short")
            sink.write(chunk)
            left -= len(chunk)


def name_system(vmcore: BinaryIO, release: str, version: str) -> None:
    """Write into the header of ``vmcore`` what system it is of, as ``uname`` has it.

    QEMU knows the machine alone, and libkdumpfile, which drgn reads with, takes the name of the
    architecture only from a header that is complete.
    """
    for number, name in enumerate(("Linux", "(none)", release or "unknown", version or "unknown")):
        vmcore.seek(_UTSNAME_AT + number * _UTS_BYTES)
        vmcore.write(name.encode("ascii", "replace")[: _UTS_BYTES - 1].ljust(_UTS_BYTES, b"\0"))


def _is_dump_end(event: QmpEvent) -> bool:
    return event.name == "DUMP_COMPLETED"
