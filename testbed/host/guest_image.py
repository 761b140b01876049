"""The guest image: an initramfs with busybox, dropbear, tools of numactl and the guest tests.

It is the same byte for byte from the same inputs, holds no secret, and is kept in the cache under
a digest of all that goes into it.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.case_list import parse_case_list
from testbed.errors import CommandError, UserError
from testbed.host import cpio, proc
from testbed.host.catalog import guest_tests_dir
from testbed.host.harness import HEADERS
from testbed.host.store import Store

_RECIPE: Final = 3  # raise it when the layout of the image changes
_INIT: Final = Path(__file__).with_name("guest_init.sh")
# Programs of the host that the guest gets, with their shared libraries, and where they are there.
_PROGRAMS: Final = {
    "dropbear": Path("usr/sbin/dropbear"),
    "migratepages": Path("usr/bin/migratepages"),
    "migspeed": Path("usr/bin/migspeed"),
}
_LIBRARY: Final = re.compile(r"(?:=>\s+)?(/\S+)\s+\(0x")  # ldd(1)
_FOLDERS: Final = (
    "bin",
    "sbin",
    "dev",
    "proc",
    "sys",
    "tmp",
    "run",
    "root",
    "var/log",
    "etc/dropbear",
)
_ETC: Final = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/shells": "/bin/sh\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestImage:
    """A packed image. ``tests_dir`` holds the same test programs for the host to list."""

    key: str
    folder: Path

    @property
    def initrd(self) -> Path:
        """The initramfs, without the keys that each boot adds."""
        return self.folder / "initrd.cpio"

    @property
    def tests_dir(self) -> Path:
        """The guest's /tests."""
        return self.folder / "programs/tests"


def build_guest_image(store: Store, harness_dir: Path, *, say: Callable[[str], None]) -> GuestImage:
    """Return the image for the present guest tests, compiling and packing it if it is new.

    ``harness_dir`` holds kselftest_harness.h and kselftest.h of a kernel tree. Raises
    :class:`UserError` with the compiler's words when a test does not compile.
    """
    libraries = find_libraries([proc.find_tool(name) for name in _PROGRAMS])
    key = _digest(harness_dir, libraries)
    with store.lock("guest-images", key):
        if store.find("guest-images", key) is None:
            say("guest image: compiling the guest tests")
            with store.create("guest-images", key) as fresh:
                _compile(harness_dir, fresh / "programs")
                _stage(fresh / "root", fresh / "programs", libraries)
                cpio.pack(fresh / "root", fresh / "initrd.cpio")
                shutil.rmtree(fresh / "root")
    return GuestImage(key=key, folder=store.folder("guest-images", key))


def load_guest_image(folder: Path) -> GuestImage:
    """Return the image in ``folder``; raises :class:`UserError` where there is none."""
    image = GuestImage(key=folder.name, folder=folder)
    if not image.initrd.is_file():
        raise UserError(f"{folder} holds no guest image; `testbed build` makes one and names it")
    return image


def list_cases(program: Path) -> tuple[str, ...]:
    """Return the cases of a test program, by its own option ``-l``; nothing of it is run."""
    listing = proc.run([str(program), "-l"], check=False, timeout_s=10)
    return parse_case_list(listing.output.splitlines())


def _sources() -> tuple[Path, ...]:
    root = guest_tests_dir()
    return (root / "Makefile", *sorted(p for p in root.rglob("*.[ch]")))


def _digest(harness_dir: Path, libraries: tuple[Path, ...]) -> str:
    """Return a digest of every file that goes into the image, and of the compiler."""
    root = guest_tests_dir()
    tools = (proc.find_tool(name).resolve() for name in ("busybox", "gcc", *_PROGRAMS))
    inputs = {str(path.relative_to(root)): path for path in _sources()}
    inputs |= {name: harness_dir / name for name in HEADERS}
    inputs |= {str(path): path for path in (*tools, *libraries)} | {"init": _INIT}
    digest = hashlib.sha256(f"guest-image {_RECIPE}".encode())
    for name, path in sorted(inputs.items()):
        digest.update(f"\0{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _compile(harness_dir: Path, target: Path) -> None:
    jobs = os.cpu_count() or 1
    argv = ["make", "--no-print-directory", f"-j{jobs}", "-C", str(guest_tests_dir())]
    try:
        proc.run([*argv, f"O={target}", f"HARNESS={harness_dir}"])
    except CommandError as err:
        raise UserError(f"the guest tests do not compile:\n{err.tail}") from err


def _stage(root: Path, programs: Path, libraries: tuple[Path, ...]) -> None:
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    for name, text in _ETC.items():
        (root / name).write_text(text)
    shutil.copy(_INIT, root / "init")
    (root / "init").chmod(0o755)
    busybox = proc.find_tool("busybox")
    shutil.copy(busybox, root / "bin/busybox")
    for applet in proc.run([str(busybox), "--list"]).output.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    compiled = sorted(path for path in programs.glob("t*/**/*") if path.is_file())
    _copy_programs(root, dict.fromkeys((*libraries, *find_libraries(compiled))))
    for kind in ("tests", "tools"):
        if (programs / kind).is_dir():
            shutil.copytree(programs / kind, root / kind)
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _copy_programs(root: Path, libraries: Iterable[Path]) -> None:
    for name, place in _PROGRAMS.items():
        _copy_into(root, place, proc.find_tool(name))
    for library in libraries:
        _copy_into(root, library.relative_to("/"), library)


def _copy_into(root: Path, name: Path, source: Path) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, root / name)


def find_libraries(programs: Sequence[Path]) -> tuple[Path, ...]:
    """Return the shared libraries of ``programs`` and their loader, where the loader finds them."""
    listing = proc.run(["ldd", *map(str, programs)]).output
    return tuple(dict.fromkeys(_iterate_libraries(listing)))


def _iterate_libraries(listing: str) -> Iterator[Path]:
    for line in listing.splitlines():
        if found := _LIBRARY.search(line):
            yield Path(found[1])
