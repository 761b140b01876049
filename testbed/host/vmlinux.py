"""What a debugger needs of a kernel: its symbols, its debug info, its release.

Without debug info only the symbols are kept: 2 MB of the 22 MB of 6.12 with the base options.
"""

import re
import struct
from pathlib import Path
from typing import Final

from testbed.core.kconfig import read_values
from testbed.errors import InfraError
from testbed.host import proc

_PAGE_BYTES: Final = 4096
_ELF_MAGIC: Final = b"\x7fELF"
_SETUP_MAGIC_AT, _SETUP_MAGIC = 0x202, b"HdrS"  # Documentation/arch/x86/boot.rst, 6.12
_BANNER_AT, _BANNER_BASE, _BANNER_BYTES = 0x20E, 0x200, 256
# What drgn asks of VMCOREINFO (its vmcoreinfo parser, 0.3), under which name the kernel has it.
_PAGE_TABLE: Final = "init_top_pgt"
_SYMBOL_LINE: Final = re.compile(rf"^(?P<address>[0-9a-f]+) \w {_PAGE_TABLE}$", re.MULTILINE)


def keep_vmlinux(vmlinux: Path, target: Path, *, config: Path) -> None:
    """Copy ``vmlinux`` to ``target``, whole if it has debug info, else with its symbols alone.

    What is no ELF file is left: no debugger could read it.
    """
    with vmlinux.open("rb") as file:
        if file.read(len(_ELF_MAGIC)) != _ELF_MAGIC:
            return
    if has_debug_info(config):
        proc.run(["cp", "--reflink=auto", str(vmlinux), str(target)])
        return
    symbols = target.with_name(f".{target.name}.symbols")
    try:
        proc.run(["objcopy", "--only-keep-debug", str(vmlinux), str(symbols)])
        # The file keeps the layout of the whole one: five sixths of it are holes.
        proc.run(["cp", "--sparse=always", str(symbols), str(target)])
    finally:
        symbols.unlink(missing_ok=True)


def has_debug_info(config: Path) -> bool:
    """Whether a kernel of this ``.config`` has DWARF."""
    return _read_config(config).get("DEBUG_INFO") == "y"


def is_placed_at_random(config: Path) -> bool:
    """Whether a kernel of this ``.config`` picks its address at boot."""
    return _read_config(config).get("RANDOMIZE_BASE") == "y"


def read_banner(image: Path) -> tuple[str, str]:
    """Return the release and the version (``uname -r``, ``-v``) that a bzImage says it has.

    Both are empty where it does not say.
    """
    with image.open("rb") as file:
        head = file.read(_SETUP_MAGIC_AT + len(_SETUP_MAGIC) + 64)
        if head[_SETUP_MAGIC_AT:][: len(_SETUP_MAGIC)] != _SETUP_MAGIC:
            return "", ""
        (offset,) = struct.unpack_from("<H", head, _BANNER_AT)
        file.seek(_BANNER_BASE + offset)
        banner = file.read(_BANNER_BYTES).partition(b"\0")[0].decode("ascii", "replace")
    release, _, rest = banner.partition(" ")
    return release, rest.partition(") ")[2]


def make_vmcoreinfo(vmlinux: Path, *, release: str) -> str:
    """Return what drgn must be told of a kernel whose vmcore does not say it.

    The kernel itself would (Documentation/admin-guide/kdump/vmcoreinfo.rst, 6.12) if it were built
    with more options. It is right for one that lies where it was linked, with page tables of four
    levels.
    """
    symbols = proc.run(["nm", str(vmlinux)]).output
    found = _SYMBOL_LINE.search(symbols)
    if found is None:
        raise InfraError(f"{vmlinux}: it has no symbol {_PAGE_TABLE}: is it a kernel's?")
    return (
        f"OSRELEASE={release}\nPAGESIZE={_PAGE_BYTES}\nKERNELOFFSET=0\n"
        f"SYMBOL(swapper_pg_dir)={found['address']}\n"
    )


def _read_config(config: Path) -> dict[str, str]:
    return read_values(config.read_text(encoding="utf-8", errors="replace").splitlines())
