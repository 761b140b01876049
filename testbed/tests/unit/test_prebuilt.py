import os
import struct
from pathlib import Path

import pytest

from testbed.core.kconfig import merge_fragments
from testbed.core.prebuilt import (
    NEEDED_FOR_SSH,
    NEEDED_TO_RUN,
    describe_missing,
    find_missing_options,
    read_release,
)
from testbed.errors import UserError
from testbed.host.catalog import read_enabled_options
from testbed.host.kernel import Kernel
from testbed.host.prebuilt import load_prebuilt
from testbed.host.project import data_dir
from testbed.host.store import Store

RELEASE = "6.12.117-test+"
EVERYTHING = "".join(f"CONFIG_{name}=y\n" for name in (*NEEDED_TO_RUN, *NEEDED_FOR_SSH))


def make_image(
    text: bytes = f"{RELEASE} (a@b) #1 SMP\0".encode(),
    *,
    setup_sects: int = 4,
    pointer: int = 0x400,
    protocol: int = 0x20F,
    xloadflags: int = 0x3F,
    body: int = 64,
) -> bytes:
    """Return a bzImage as far as its header tells (Documentation/arch/x86/boot.rst, 6.12)."""
    setup = bytearray(((setup_sects or 4) + 1) * 512)
    setup[0:2] = b"MZ"  # an EFI stub is in front of all of today's
    setup[0x1F1] = setup_sects
    for form, at, value in (
        ("<I", 0x1F4, body // 16),
        ("<H", 0x1FE, 0xAA55),
        ("<H", 0x206, protocol),
        ("<H", 0x20E, pointer),
        ("<H", 0x236, xloadflags),
    ):
        struct.pack_into(form, setup, at, value)
    setup[0x202:0x206] = b"HdrS"
    start = pointer + 0x200
    setup[start : start + len(text)] = text
    return bytes(setup[: ((setup_sects or 4) + 1) * 512]) + bytes(body)


@pytest.mark.parametrize("setup_sects", [0, 4, 39])
@pytest.mark.parametrize("text", [f"{RELEASE} (a@b) #1\0".encode(), f"{RELEASE}\0".encode()])
def test_the_release_is_what_the_header_points_to(setup_sects: int, text: bytes) -> None:
    assert read_release(make_image(text, setup_sects=setup_sects), name="bzImage") == RELEASE


def test_a_signature_behind_the_kernel_is_no_matter() -> None:
    assert read_release(make_image() + b"signed", name="bzImage") == RELEASE


@pytest.mark.parametrize(
    ("image", "looks_like"),
    [
        (b"", "an empty file"),
        (b"\x7fELF" + bytes(4096), "an ELF file, such as vmlinux"),
        (b"\x1f\x8b" + bytes(4096), "a gzip archive"),
        (b"\xfd7zXZ\0" + bytes(4096), "an xz archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(4096), "a zstd archive"),
        (b"!<arch>\ndebian-binary", "a Debian package"),
        (b"070701", "a cpio archive"),
        (b"MZ" + bytes(4096), "an EFI program or a kernel for another architecture"),
        (b"CONFIG_X86=y\n" * 400, "a text file"),
        (bytes(4096), "none of the formats"),
        (make_image()[:0x210], "an EFI program"),
    ],
)
def test_what_is_no_bzimage_is_told_what_it_seems_to_be(image: bytes, looks_like: str) -> None:
    with pytest.raises(UserError, match=f"^x: is no bzImage: it looks like {looks_like}"):
        read_release(image, name="x")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (make_image()[:-1], "is cut short: its header tells of 2624 bytes, it has 2623"),
        (make_image()[:1024], "is cut short"),
        (make_image(body=1 << 20)[:5000], "is cut short"),
        (make_image(xloadflags=0), "is a kernel of 32 bits"),
        (make_image(protocol=0x204), "is a kernel of 32 bits"),
        (make_image(b"", pointer=0), "does not say where"),
        (make_image(pointer=4 * 512), "does not say where"),
        (make_image(pointer=0xFFFF), "does not say where"),
        (make_image(b"\0"), "is no kernel release: ''"),
        (make_image(b"\x1b[31mred\0"), r"is no kernel release: '\\x1b\[31mred'"),
        (make_image(b"../../etc/passwd\0"), "is no kernel release"),
        (make_image(b"6.12/../x\0"), "is no kernel release"),
        (make_image(b"6.12\xff\0"), "is no kernel release"),
        (make_image(b"6." + b"1" * 500 + b"\0"), "is no kernel release"),
    ],
)
def test_a_hostile_or_broken_image_is_refused(image: bytes, message: str) -> None:
    with pytest.raises(UserError, match=f"^x: .*{message}"):
        read_release(image, name="x")


def test_every_prefix_of_an_image_is_refused() -> None:
    image = make_image()
    for size in range(len(image)):
        with pytest.raises(UserError, match=r"is no bzImage|is cut short"):
            read_release(image[:size], name="x")


def test_a_release_at_the_very_end_of_the_file_needs_its_end() -> None:
    image = make_image(b"6.12", pointer=4 * 512 - 4, body=0)
    assert image.endswith(b"6.12")

    with pytest.raises(UserError, match="is no kernel release"):
        read_release(image, name="x")


def test_our_own_configuration_has_all_that_is_needed() -> None:
    text = (data_dir() / "kconfigs/base.config").read_text(encoding="utf-8")
    asked = {o.name: o.value for o in merge_fragments([("base", text)], version=(6, 12)).options}

    for name in (*NEEDED_TO_RUN, *NEEDED_FOR_SSH):
        assert asked[name] == "y", name


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("CONFIG_VIRTIO_CONSOLE=m", "CONFIG_VIRTIO_CONSOLE=m, needs y (the command port)"),
        (
            "# CONFIG_VIRTIO_CONSOLE is not set",
            "CONFIG_VIRTIO_CONSOLE is not set, needs y (the command port)",
        ),
        ("", "CONFIG_VIRTIO_CONSOLE is not set, needs y (the command port)"),
        (
            "CONFIG_VIRTIO_CONSOLE=\x1b[31m\u202eyes",
            "CONFIG_VIRTIO_CONSOLE=\N{REPLACEMENT CHARACTER}yes, needs y (the command port)",
        ),
    ],
)
def test_an_option_that_is_not_built_in_is_told_with_its_use(line: str, told: str) -> None:
    text = EVERYTHING.replace("CONFIG_VIRTIO_CONSOLE=y", line)

    missing = find_missing_options(text)

    assert [str(one) for one in missing] == [told]
    assert describe_missing(missing).startswith(f"this kernel cannot run the guests: {told}. ")


def test_nothing_is_missing_where_all_is_built_in() -> None:
    assert find_missing_options(EVERYTHING) == ()
    assert [one.option for one in find_missing_options("")] == list(NEEDED_TO_RUN)


class Shelf:
    """A folder with an image, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.store = Store(folder / "cache", say=self.said.append)
        self.harness = folder / "harness"
        self.image = folder / "vmlinuz"
        self.image.write_bytes(make_image())
        self.config = folder / "a.config"
        self.config.write_text(EVERYTHING)

    def load(self, image: Path, config: Path | None = None) -> Kernel:
        return load_prebuilt(
            image, config, harness_dir=self.harness, store=self.store, say=self.said.append
        )


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_prebuilt_kernel_is_kept_beside_those_of_our_own(shelf: Shelf) -> None:
    kernel = shelf.load(shelf.image, shelf.config)
    bytes_before = shelf.image.read_bytes()
    shelf.image.write_bytes(b"built anew")

    assert kernel.image.read_bytes() == bytes_before
    assert read_enabled_options(kernel.config) == {*NEEDED_TO_RUN, *NEEDED_FOR_SSH}
    assert kernel.image.parent == shelf.store.find("kernels", kernel.key)
    assert (kernel.release, kernel.compiled_files, kernel.is_cached) == (RELEASE, 0, True)
    assert kernel.build_seconds == 0.0
    assert kernel.harness_dir == shelf.harness
    assert not kernel.vmlinux.exists()
    assert shelf.said == []


def test_the_key_changes_with_the_image_and_with_the_config(shelf: Shelf) -> None:
    kernel = shelf.load(shelf.image, shelf.config)
    again = shelf.load(shelf.image, shelf.config)
    without = shelf.load(shelf.image)
    shelf.config.write_text(f"{EVERYTHING}CONFIG_NUMA=y\n")
    with_more = shelf.load(shelf.image, shelf.config)
    shelf.image.write_bytes(make_image(body=128))
    another = shelf.load(shelf.image, shelf.config)

    assert again == kernel
    assert len({one.key for one in (kernel, without, with_more, another)}) == 4
    assert len({one.source_id for one in (kernel, without, with_more)}) == 1
    assert another.source_id != kernel.source_id


def test_the_config_of_a_distribution_is_found_by_itself(shelf: Shelf, tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    boot.mkdir()
    shelf.image.rename(boot / f"vmlinuz-{RELEASE}")
    shelf.config.rename(boot / f"config-{RELEASE}")
    shelf.image.symlink_to(boot / f"vmlinuz-{RELEASE}")

    for image in (shelf.image, boot / f"vmlinuz-{RELEASE}"):
        assert shelf.load(image).config.read_text() == EVERYTHING
    assert shelf.said == []


def test_a_kernel_without_a_config_is_taken_and_told_of(shelf: Shelf) -> None:
    kernel = shelf.load(shelf.image)

    assert not kernel.config.exists()
    assert kernel.kconfig_hash == ""
    assert shelf.said == [
        f"{shelf.image}: no config-{RELEASE} beside it: what tests need of it cannot be checked"
    ]


def test_a_kernel_that_cannot_run_the_guests_is_refused_before_it_is_kept(shelf: Shelf) -> None:
    shelf.config.write_text(EVERYTHING.replace("VIRTIO_PCI=y", "VIRTIO_PCI=m"))

    with pytest.raises(UserError, match=r"vmlinuz: this kernel cannot run .*VIRTIO_PCI=m, needs y"):
        shelf.load(shelf.image, shelf.config)
    assert shelf.store.usage() == ()


def test_a_kernel_without_a_network_is_taken_and_told_of(shelf: Shelf) -> None:
    shelf.config.write_text(EVERYTHING.replace("VIRTIO_NET=y", "VIRTIO_NET=m"))

    shelf.load(shelf.image, shelf.config)

    (said,) = shelf.said
    assert said.startswith(f"{shelf.image}: C tests only, there is no SSH to its guests: ")
    assert said.endswith(": CONFIG_VIRTIO_NET=m, needs y (its network card)")


@pytest.mark.parametrize(
    ("which", "kind", "message"),
    [
        ("image", "missing", "vmlinuz: there is no such file"),
        ("image", "folder", "vmlinuz: is no file"),
        ("image", "pipe", "vmlinuz: is no file"),
        ("image", "large", r"vmlinuz: is too large for a kernel image: more than 256 MiB"),
        ("image", "text", "vmlinuz: is no bzImage: it looks like a text file"),
        ("config", "missing", r"a\.config: there is no such file"),
        ("config", "large", r"a\.config: is too large for a kernel's \.config: more than 16 MiB"),
        ("config", "text", r"a\.config: is no \.config of a kernel: it sets no option"),
    ],
)
def test_a_file_that_is_none_is_refused(shelf: Shelf, which: str, kind: str, message: str) -> None:
    path: Path = getattr(shelf, which)
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        path.touch()
        os.truncate(path, 1 << 40)  # takes no room on the disk
    elif kind == "text":
        path.write_text("hello\n")

    with pytest.raises(UserError, match=message):
        shelf.load(shelf.image, shelf.config)
