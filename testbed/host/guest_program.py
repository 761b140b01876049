"""A program of the host that one test wants in its guest, with its shared libraries.

It comes over SSH when the test begins. In the guest image every guest would carry it: stress-ng
and its libraries are 30 MB, twice the image, which each boot unpacks and each saved state holds.
"""

import io
import shlex
import tarfile
from pathlib import Path
from typing import Final

from testbed.host import proc
from testbed.host.guest import Guest
from testbed.host.guest_image import find_libraries
from testbed.host.guest_result import GuestCommandError, GuestResult

_TIMEOUT_S: Final = 120.0


def install_program(guest: Guest, name: str, folder: str) -> str:
    """Put the host's program ``name`` into a new ``folder`` of the guest; return how to call it.

    The loader and the C library are those of the guest image, which are this host's too; a file
    of that name in ``folder`` is not looked at by programs that run already. Raises
    :class:`InfraError` where the host does not have the program.
    """
    place = shlex.quote(folder)
    with guest.start(f"mkdir {place} && tar -xzf - -C {place}") as process:
        process.send(pack_program(name), timeout_s=_TIMEOUT_S)
        status = process.finish(timeout_s=_TIMEOUT_S)
    if status != 0:
        raise GuestCommandError(
            GuestResult(command=process.command, stdout="", stderr="", status=status)
        )
    return f"LD_LIBRARY_PATH={place} {place}/{shlex.quote(name)}"


def pack_program(name: str) -> bytes:
    """Return the program and its libraries, all in one folder, as a .tar.gz."""
    program = proc.find_tool(name)
    packed = io.BytesIO()
    # Level 1: the last tenth of the size takes four times as long.
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1, dereference=True) as archive:
        for path in (program, *find_libraries([program])):
            archive.add(path, arcname=Path(path).name)
    return packed.getvalue()
