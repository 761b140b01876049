"""Kernels built elsewhere: what an image says it is, and whether it can run the guests."""

import re
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from testbed.core.kconfig import NOT_SET, read_values
from testbed.core.modules import DEVICE_MODULES
from testbed.core.text import clean, shorten_middle
from testbed.errors import UserError

# From core/qemu_argv, host/guest_init.sh and host/port. The initramfs is not packed: none of the
# RD_* options is needed. "m" will do for drivers alone, whose modules are put into it.
NEEDED_TO_RUN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "64BIT": "the guest's programs are of 64 bits",
        "ACPI": "the machine's nodes, and its power-off",
        "BINFMT_ELF": "the guest's programs",
        "BINFMT_SCRIPT": "its init, a shell script",
        "BLK_DEV_INITRD": "the initramfs",
        "DEVTMPFS": "/dev, with the command port in it",
        "PRINTK": "what the console says of a crash",
        "PROC_FS": "/proc",
        "SERIAL_8250": "the console",
        "SERIAL_8250_CONSOLE": "the console",
        "SYSFS": "/sys, where init finds the command port",
        "TMPFS": "its folders for temporary files",
        "VIRTIO_CONSOLE": "the command port",
        "VIRTIO_PCI": "the bus of the command port",
    }
)
"""Options without ``CONFIG_`` that have to be built in, and what for."""

NEEDED_FOR_SSH: Final[Mapping[str, str]] = MappingProxyType(
    {"INET": "the guest's network", "VIRTIO_NET": "its network card"}
)
"""The same for the tests in Python that reach the guest over SSH; the C tests need none of it."""

# The real-mode header: Documentation/arch/x86/boot.rst, 6.12; all numbers are little-endian.
_SETUP_SECTS_AT: Final = 0x1F1
_SYSSIZE_AT: Final = 0x1F4
_BOOT_FLAG_AT: Final = 0x1FE
_MAGIC_AT: Final = 0x202
_PROTOCOL_AT: Final = 0x206
_VERSION_AT: Final = 0x20E
_XLOADFLAGS_AT: Final = 0x236
_HEADER_BYTES: Final = 0x268
_BOOT_FLAG: Final = 0xAA55
_MAGIC: Final = b"HdrS"
_SECTOR_BYTES: Final = 0x200
_PARAGRAPH_BYTES: Final = 16  # the unit of syssize
_OLD_SETUP_SECTS: Final = 4  # what a 0 stands for
_KNOWS_XLOADFLAGS: Final = 0x20C  # protocol 2.12
_KERNEL_64: Final = 1  # XLF_KERNEL_64: every x86-64 kernel (arch/x86/boot/header.S, 6.12)

_RELEASE: Final = re.compile(rb"[0-9]+\.[0-9]+[A-Za-z0-9._+~-]*")
_RELEASE_BYTES: Final = 64  # __NEW_UTS_LEN (include/uapi/linux/utsname.h, 6.12)
_VALUE_CHARS: Final = 20

_FORMATS: Final = (
    (b"\x7fELF", "an ELF file, such as vmlinux; the bzImage is arch/x86/boot/bzImage"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x04\x22\x4d\x18", "an lz4 archive"),
    (b"!<arch>\n", "a Debian package or an ar archive: `dpkg -x` unpacks the former"),
    (b"\xed\xab\xee\xdb", "an RPM package"),
    (b"070701", "a cpio archive, such as an initramfs"),
    (b"MZ", "an EFI program or a kernel for another architecture"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingOption:
    """An option that is not built in; ``got`` is its value, ``n`` where it is not set."""

    option: str
    got: str
    purpose: str

    def __str__(self) -> str:
        """Return it as ``CONFIG_X=m, needs y (what for)``."""
        name = f"CONFIG_{self.option}"
        is_now = f"{name} is not set" if self.got == NOT_SET else f"{name}={self.got}"
        return f"{is_now}, needs y ({self.purpose})"


def find_missing_options(
    config_text: str,
    required: Mapping[str, str] = NEEDED_TO_RUN,
    *,
    modules: Collection[str] = (),
) -> tuple[MissingOption, ...]:
    """Return those of ``required``, name to purpose, that a ``.config`` has not as ``y``.

    One that is ``m`` is not missing where its module is among ``modules``, names as lsmod has them.
    """
    values = read_values(config_text.splitlines())
    return tuple(
        MissingOption(
            option=name,
            got=shorten_middle(clean(values.get(name, NOT_SET)), width=_VALUE_CHARS),
            purpose=purpose,
        )
        for name, purpose in required.items()
        if values.get(name) != "y"
        and not (values.get(name) == "m" and DEVICE_MODULES.get(name) in modules)
    )


def describe_missing(missing: Iterable[MissingOption]) -> str:
    """Return what to tell of options without which no guest runs."""
    listed = "; ".join(str(one) for one in missing)
    return (
        f"this kernel cannot run the guests: {listed}. Drivers may be modules where lib/modules "
        "has them; else build it with kconfigs/base.config on top, or from its source with --tree"
    )


def read_release(image: bytes, *, name: str) -> str:
    """Return the release that a bzImage says it is, such as ``6.12.117``.

    Raises :class:`UserError`, which begins with ``name``, for what is no whole bzImage of x86-64.
    """
    if (
        len(image) < _HEADER_BYTES
        or image[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC
        or _read_u16(image, _BOOT_FLAG_AT) != _BOOT_FLAG
    ):
        raise UserError(f"{name}: is no bzImage: it looks like {_guess_format(image)}")
    if _read_u16(image, _PROTOCOL_AT) < _KNOWS_XLOADFLAGS or not (
        _read_u16(image, _XLOADFLAGS_AT) & _KERNEL_64
    ):
        raise UserError(f"{name}: is a kernel of 32 bits, the guest's programs are of 64")
    setup_bytes = (image[_SETUP_SECTS_AT] or _OLD_SETUP_SECTS) * _SECTOR_BYTES
    (paragraphs,) = struct.unpack_from("<I", image, _SYSSIZE_AT)
    whole = setup_bytes + _SECTOR_BYTES + paragraphs * _PARAGRAPH_BYTES
    if len(image) < whole:
        raise UserError(
            f"{name}: is cut short: its header tells of {whole} bytes, it has {len(image)}"
        )
    return _read_version(image, setup_bytes, name=name)


def _read_version(image: bytes, setup_bytes: int, *, name: str) -> str:
    pointer = _read_u16(image, _VERSION_AT)
    if not 0 < pointer < setup_bytes:
        raise UserError(f"{name}: its header does not say where the kernel's release is")
    start = pointer + _SECTOR_BYTES
    text = image[start : start + _RELEASE_BYTES + 1]
    match = _RELEASE.match(text)
    if match is None or match[0] == text or text[match.end()] not in b" \0":
        raise UserError(f"{name}: what its header points to is no kernel release: {_show(text)}")
    return match[0].decode("ascii")


def _guess_format(image: bytes) -> str:
    if not image:
        return "an empty file"
    for magic, what in _FORMATS:
        if image.startswith(magic):
            return what
    head = image[:_SECTOR_BYTES]
    if all(byte in b"\t\n\r" or 0x20 <= byte < 0x7F for byte in head):  # noqa: PLR2004 - ASCII
        return "a text file"
    return "none of the formats that a kernel comes in"


def _read_u16(image: bytes, at: int) -> int:
    (value,) = struct.unpack_from("<H", image, at)
    return int(value)


def _show(text: bytes) -> str:
    return repr(text.split(b"\0")[0].decode("ascii", errors="replace"))
