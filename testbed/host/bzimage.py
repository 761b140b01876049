"""The kernel inside a bzImage: whether it is the one that was linked."""

import re
import struct
import zlib
from pathlib import Path
from typing import Final

from testbed.core.prebuilt import read_release
from testbed.errors import InfraError, UserError
from testbed.host import proc

# The real-mode header: Documentation/arch/x86/boot.rst, 6.12; all numbers are little-endian.
_SETUP_SECTS_AT: Final = 0x1F1
_MAGIC_AT: Final = 0x202
_PAYLOAD_AT: Final = 0x248
_SECTOR_BYTES: Final = 0x200
_GZIP: Final = b"\x1f\x8b"
_BUILD_ID: Final = re.compile(r"Build ID: (?P<digits>(?:[0-9a-f]{2})+)")


def check_image(image: Path, vmlinux: Path) -> None:
    """Raise :class:`InfraError` where ``image`` holds another kernel than ``vmlinux``.

    They are told apart by the linker's build id. Of a kernel without one, or packed otherwise than
    by gzip, nothing is known.
    """
    listing = proc.run(["readelf", "--notes", str(vmlinux)], check=False).output
    build_id = _BUILD_ID.search(listing)
    payload = read_payload(image.read_bytes())
    if build_id is None or payload is None:
        return
    if bytes.fromhex(build_id["digits"]) not in payload:
        raise InfraError(
            f"{image}: holds another kernel than the one that was linked, {vmlinux}: a cached "
            "object is of another build; `testbed clean --all` removes it"
        )


def find_release(image: Path) -> str:
    """Return the release that a kernel image says it is; empty where it is no bzImage."""
    try:
        return read_release(image.read_bytes(), name=str(image))
    except (OSError, UserError):
        return ""


def read_payload(image: bytes) -> bytes | None:
    """Return the unpacked kernel of a bzImage; None where it is none, or not packed by gzip."""
    if image[_MAGIC_AT : _MAGIC_AT + 4] != b"HdrS":
        return None
    start, length = struct.unpack_from("<II", image, _PAYLOAD_AT)
    start += (image[_SETUP_SECTS_AT] + 1) * _SECTOR_BYTES
    packed = image[start : start + length]
    if not packed.startswith(_GZIP):
        return None
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(packed)  # 16: gzip's header
