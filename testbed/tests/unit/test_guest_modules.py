"""Drivers as modules, of a kernel that was built elsewhere."""

import gzip
import lzma
from pathlib import Path
from typing import Final

import pytest

from testbed.core.modules import DEVICE_MODULES, list_load_order, name_module
from testbed.core.prebuilt import NEEDED_TO_RUN, find_missing_options
from testbed.errors import UserError
from testbed.host import cpio, proc
from testbed.host.guest_image import GuestImage, load_guest_image
from testbed.host.guest_modules import add_modules, find_modules
from testbed.host.store import Store

# As depmod prints it for Debian's 6.1 (kmod 30), shortened.
DEP: Final = """# Aliases extracted from modules themselves.
kernel/virtio/virtio.ko:
kernel/virtio/virtio_ring.ko:
kernel/virtio/virtio_pci.ko: kernel/virtio/virtio.ko kernel/virtio/virtio_ring.ko
kernel/char/virtio_console.ko.xz: kernel/virtio/virtio.ko kernel/virtio/virtio_ring.ko
kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko
alias virtio:d00000003v* virtio_console
""".splitlines()


def test_what_a_module_needs_is_loaded_before_it_and_once() -> None:
    order = list_load_order(DEP, {"virtio_console", "virtio_pci"})
    assert [name_module(path) for path in order] == [
        "virtio_ring",
        "virtio",
        "virtio_pci",
        "virtio_console",
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("kernel/drivers/char/hw_random/virtio-rng.ko", "virtio_rng"),
        ("a/virtio_net.ko.zst", "virtio_net"),
        ("x.ko", "x"),
    ],
)
def test_a_module_is_called_what_the_kernel_calls_it(path: str, name: str) -> None:
    assert name_module(path) == name


@pytest.mark.parametrize("needed", ["../../../etc/shadow.ko", "/etc/shadow.ko"])
def test_a_module_outside_its_folder_is_refused(needed: str) -> None:
    with pytest.raises(ValueError, match="outside the modules' folder"):
        list_load_order([f"kernel/virtio_pci.ko: {needed}"], {"virtio_pci"})


def test_a_driver_may_be_a_module_where_there_is_one_and_nothing_else_may() -> None:
    text = "".join(f"CONFIG_{name}=m\n" for name in NEEDED_TO_RUN)
    missing = [one.option for one in find_missing_options(text, modules={"virtio_pci"})]
    assert "VIRTIO_PCI" not in missing
    assert {"VIRTIO_CONSOLE", "PROC_FS"} <= set(missing)
    assert set(missing) | {"VIRTIO_PCI"} == set(NEEDED_TO_RUN)
    assert DEVICE_MODULES["VIRTIO_PCI"] == "virtio_pci"


def test_a_kernel_without_modules_has_none(tmp_path: Path) -> None:
    assert find_modules(tmp_path / "boot/vmlinuz", "0.0.0-nowhere") == ()


@pytest.fixture
def image(tmp_path: Path) -> GuestImage:
    """An image with an init and one test program."""
    folder = tmp_path / "image"
    (folder / "root").mkdir(parents=True)
    (folder / "root/init").write_text("init")
    cpio.pack(folder / "root", folder / "initrd.cpio")
    (folder / "programs/tests/migrate").mkdir(parents=True)
    (folder / "programs/tests/migrate/move_pages").write_text("program")
    return GuestImage(key="i1", folder=folder)


def unpack(image: GuestImage, folder: Path) -> dict[str, bytes]:
    """Return the files of an initramfs, as the kernel unpacks archives that follow each other."""
    folder.mkdir()
    data = image.initrd.read_bytes()
    parts = [part for part in data.split(b"TRAILER!!!") if b"070701" in part]
    for number, part in enumerate(parts):
        start = part.index(b"070701")
        archive = folder.with_name(f"{folder.name}-{number}")
        archive.write_bytes(part[start:] + b"TRAILER!!!" + bytes(512))
        proc.run(["cpio", "--quiet", "-idu", "--file", str(archive)], cwd=folder, check=False)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_image_with_modules_is_the_image_and_the_modules_in_their_order(
    image: GuestImage, tmp_path: Path
) -> None:
    packed = {"b.ko": b"second", "a.ko.gz": gzip.compress(b"first"), "c.ko.xz": lzma.compress(b"3")}
    for name, data in packed.items():
        (tmp_path / name).write_bytes(data)
    store = Store(tmp_path / "cache", say=print)
    modules = [tmp_path / name for name in ("a.ko.gz", "b.ko", "c.ko.xz")]

    whole = add_modules(store, image, modules)

    assert unpack(whole, tmp_path / "unpacked") == {
        "init": b"init",
        "modules/00-a.ko": b"first",
        "modules/01-b.ko": b"second",
        "modules/02-c.ko": b"3",
    }
    assert (whole.tests_dir / "migrate/move_pages").read_text() == "program"
    assert load_guest_image(whole.folder) == whole
    assert add_modules(store, image, modules) == whole
    assert add_modules(store, image, modules[::-1]).key != whole.key


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.ko.zst", b"x", "packed as .zst cannot be read: unpack it"),
        ("a.ko.gz", b"x", "this module cannot be read: Not a gzipped file"),
        ("a.ko.xz", b"x", "this module cannot be read"),
    ],
)
def test_a_module_that_cannot_be_read_is_named(
    image: GuestImage, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=rf"{name}: .*{said}"):
        add_modules(Store(tmp_path / "cache", say=print), image, [tmp_path / name])
