"""Initramfs archives: a staged folder to the "newc" archive that the kernel unpacks.

The same folder gives the same bytes: members are sorted, owned by root, dated 1970 and numbered
anew (``cpio --reproducible``).
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from testbed.host import proc


def pack(folder: Path, archive: Path) -> None:
    """Write all of ``folder`` to ``archive``. The dates of its members are set to 1970."""
    members = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    for member in (Path(), *members):
        os.utime(folder / member, (0, 0), follow_symlinks=False)
    names = "".join(f"./{member}\n" for member in members)
    proc.run(
        [
            "cpio",
            "--quiet",
            "--create",
            "--format=newc",
            "--reproducible",
            "--owner=0:0",
            "--file",
            str(archive),
        ],
        cwd=folder,
        input_text=f".\n{names}",
    )


def join(archives: Iterable[Path], target: Path) -> None:
    """Write ``archives`` to ``target``, one behind the other; a later one's files come on top.

    The kernel unpacks archives that follow each other (Documentation/driver-api/early-userspace/
    buffer-format.rst, 6.12); cpio ends one at a multiple of 512 bytes, and they need 4.
    """
    with target.open("wb") as sink:
        for archive in archives:
            with archive.open("rb") as source:
                shutil.copyfileobj(source, sink)
