"""The files around a vmcore; the vmcores themselves are QEMU's (tests/vm/test_debug.py)."""

import io
import struct
from pathlib import Path

import pytest

from testbed.errors import InfraError
from testbed.host import proc
from testbed.host.vmcore import name_system, put_together
from testbed.host.vmlinux import (
    has_debug_info,
    is_placed_at_random,
    keep_vmlinux,
    make_vmcoreinfo,
    read_banner,
)

HEADER = b"makedumpfile".ljust(16, b"\0") + struct.pack(">qq", 1, 1)
END = struct.pack(">qq", -1, -1)


def flatten(*pieces: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack(">qq", offset, len(data)) + data for offset, data in pieces)
    return HEADER.ljust(4096, b"\0") + body


def assemble(flat: bytes) -> bytes:
    sink = io.BytesIO()
    put_together(io.BytesIO(flat), sink)
    return sink.getvalue()


def test_pieces_come_to_lie_where_they_say() -> None:
    # QEMU writes the header last again, when it knows the bitmaps.
    flat = flatten((0, b"????"), (6, b"tail"), (0, b"KDUM")) + END
    assert assemble(flat) == b"KDUM\0\0tail"


def test_a_file_that_is_not_flattened_stays_as_it_is() -> None:
    assert assemble(b"KDUMP   and more") == b"KDUMP   and more"


@pytest.mark.parametrize("cut", [1, len(END), len(END) + 1])
def test_a_file_that_is_cut_short_is_told(cut: int) -> None:
    whole = flatten((0, b"KDUMP   ")) + END
    with pytest.raises(InfraError, match="cut short"):
        assemble(whole[:-cut])


def test_the_header_gets_the_names_of_the_system() -> None:
    vmcore = io.BytesIO(b"KDUMP   \x06\0\0\0".ljust(1024, b"\xff"))
    name_system(vmcore, "6.12.1", "v" * 80)
    data = vmcore.getvalue()
    fields = [data[12 + n * 65 :][:65] for n in range(5)]
    assert [field.rstrip(b"\0") for field in fields[:3]] == [b"Linux", b"(none)", b"6.12.1"]
    assert fields[3] == b"v" * 64 + b"\0"
    assert fields[4] == b"\xff" * 65  # the machine, which QEMU has written
    assert data[:12] == b"KDUMP   \x06\0\0\0"


def test_an_image_says_what_release_it_is(tmp_path: Path) -> None:
    image = bytearray(4096)
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x20E, 0x300)
    banner = b"6.12.117 (me@here) #1 SMP Thu\0"
    image[0x500 : 0x500 + len(banner)] = banner
    path = tmp_path / "bzImage"
    path.write_bytes(image)
    assert read_banner(path) == ("6.12.117", "#1 SMP Thu")
    path.write_bytes(b"\x7fELF")
    assert read_banner(path) == ("", "")


@pytest.fixture
def vmlinux(tmp_path: Path) -> Path:
    """A program with one of the kernel's names, and much that is no symbol."""
    source = tmp_path / "a.c"
    source.write_text("char init_top_pgt[4096] = {1}; char text[4 << 20] = {1}; int main(){}\n")
    proc.run(["gcc", "-g", "-no-pie", "-o", str(tmp_path / "vmlinux"), str(source)])
    return tmp_path / "vmlinux"


@pytest.mark.parametrize(("line", "is_whole"), [("CONFIG_DEBUG_INFO=y\n", True), ("", False)])
def test_a_kernel_without_debug_info_is_kept_by_its_symbols(
    vmlinux: Path, tmp_path: Path, line: str, *, is_whole: bool
) -> None:
    config, kept = tmp_path / "config", tmp_path / "kept"
    config.write_text(f"CONFIG_DEBUG_INFO_NONE=y\n{line}")
    assert has_debug_info(config) is is_whole
    keep_vmlinux(vmlinux, kept, config=config)
    taken = kept.stat().st_blocks * 512
    assert (taken > 4 << 20) is is_whole
    assert [path.name for path in tmp_path.glob(".*")] == []
    address = proc.run(["nm", str(vmlinux)]).output.partition(" D init_top_pgt")[0][-16:]
    info = make_vmcoreinfo(kept, release="6.12.1")
    assert f"SYMBOL(swapper_pg_dir)={address}\n" in info
    assert "OSRELEASE=6.12.1\n" in info


def test_what_is_no_kernel_is_not_kept_and_not_believed(tmp_path: Path) -> None:
    toy, config = tmp_path / "vmlinux", tmp_path / "config"
    toy.write_text("toy")
    config.write_text("CONFIG_RANDOMIZE_BASE=y\n")
    keep_vmlinux(toy, tmp_path / "kept", config=config)
    assert not (tmp_path / "kept").exists()
    assert is_placed_at_random(config)
    with pytest.raises(InfraError, match="has no symbol init_top_pgt"):
        make_vmcoreinfo(Path("/bin/true"), release="6.12.1")
