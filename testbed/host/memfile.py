"""Files in memory (memfd_create(2)), for a QEMU that may open nothing of its user's.

It inherits the descriptor; where it wants a path, ``/dev/fd/N`` is one.
"""

import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

from testbed.host import proc

_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_SWAP_UUID: Final = "5357a900-0000-4000-8000-000000000000"  # any, but the same on every disk


def load(path: Path) -> int:
    """Return a descriptor of a copy of ``path`` that nobody can change."""
    fd = os.memfd_create(path.name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with path.open("rb") as source, open(fd, "wb", closefd=False) as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def make_swap(size_mib: int) -> int:
    """Return a descriptor of an empty swap area; it takes memory as pages are swapped to it.

    All are alike, so that a saved guest that has one in use finds the same after it is restored.
    """
    fd = os.memfd_create("swap", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, size_mib << 20)
        proc.run(["mkswap", "--quiet", "--uuid", _SWAP_UUID, f"/proc/{os.getpid()}/fd/{fd}"])
    except BaseException:
        os.close(fd)
        raise
    return fd
