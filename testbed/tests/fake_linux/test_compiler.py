"""ccache is used, and never hands out what another file has been taken into."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import InfraError
from testbed.host import proc
from testbed.host.bzimage import check_image, read_payload
from testbed.host.compiler import install_compiler

Compile = Callable[[str], bytes]
INCBIN = {
    "piggy.S": '.section .data\n.incbin "blob"\n',
    "configs.c": 'asm(".pushsection .data; .incbin \\"blob\\"; .popsection");\n',
}


@pytest.fixture
def compile_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Compile as kbuild does, in depend mode; return the object."""
    monkeypatch.delenv("CCACHE_DISABLE")
    monkeypatch.setenv("CCACHE_DIR", str(tmp_path / "ccache"))
    monkeypatch.setenv("CCACHE_DEPEND", "1")
    compiler = install_compiler(tmp_path / "cache").split()

    def run(name: str) -> bytes:
        proc.run([*compiler, f"-Wp,-MMD,.{name}.d", "-c", "-o", "out.o", name], cwd=tmp_path)
        return (tmp_path / "out.o").read_bytes()

    return run


def count_hits(folder: Path) -> int:
    env = {"CCACHE_DIR": str(folder / "ccache")}
    said = proc.run(["ccache", "--print-stats"], env=env).output
    stats = dict(line.split("\t") for line in said.splitlines())
    return int(stats["direct_cache_hit"])


@pytest.mark.parametrize("name", INCBIN)
def test_a_file_that_is_taken_in_is_always_the_present_one(
    tmp_path: Path, compile_file: Compile, name: str
) -> None:
    (tmp_path / name).write_text(INCBIN[name])
    for blob in (b"AAAA", b"BBBB", b"AAAA"):
        (tmp_path / "blob").write_bytes(blob)
        assert blob in compile_file(name)


def test_an_ordinary_file_comes_from_the_cache(tmp_path: Path, compile_file: Compile) -> None:
    (tmp_path / "plain.c").write_text("int x = 1;\n")
    first = compile_file("plain.c")
    assert count_hits(tmp_path) == 0
    assert compile_file("plain.c") == first
    assert count_hits(tmp_path) == 1


def make_bzimage(payload: bytes) -> bytes:
    """Return a bzImage as far as its header tells of the kernel packed in it."""
    setup = bytearray(5 * 512)
    setup[0x1F1] = 4
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", setup, 0x248, 32, len(payload))
    return bytes(setup) + bytes(32) + payload + bytes(64)


def link(folder: Path, text: str) -> Path:
    """Return a program with a build id that depends on ``text``."""
    (folder / "a.c").write_text(f'const char x[] = "{text}"; void _start(void) {{}}\n')
    path = folder / f"vmlinux-{text}"
    flags = ["-nostdlib", "-static", "-Wl,--build-id=sha1"]
    proc.run(["gcc", *flags, "-o", str(path), str(folder / "a.c")])
    return path


def test_an_image_with_another_kernel_in_it_is_never_kept(tmp_path: Path) -> None:
    own, other = link(tmp_path, "own"), link(tmp_path, "other")
    image = tmp_path / "bzImage"
    image.write_bytes(make_bzimage(gzip.compress(own.read_bytes())))

    check_image(image, own)
    with pytest.raises(InfraError, match="holds another kernel than the one that was linked"):
        check_image(image, other)


@pytest.mark.parametrize("image", [b"", b"toy", make_bzimage(b"\xfd7zXZ\0"), bytes(4096)])
def test_of_another_image_nothing_is_known(image: bytes) -> None:
    assert read_payload(image) is None
