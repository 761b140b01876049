"""What is asked of a build, and what comes of it."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from testbed.core.build_log import BuildError
from testbed.core.kconfig import read_values
from testbed.core.series import Series
from testbed.host.bzimage import check_image
from testbed.host.gcov import NOTES_DIR, keep_notes
from testbed.host.vmlinux import keep_vmlinux

_NAMES: Final = {
    "image": "bzImage",
    "config": "config",
    "log": "build.log",
    "harness_dir": "harness",
    "vmlinux": "vmlinux",
}
_FACTS: Final = "kernel.json"
_IMAGE_DEPTH: Final = 3  # arch/x86/boot/


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What to build.

    ``source`` is ``debian:X.Y``; a ``tree`` of the user's takes its place, or with ``commit`` that
    revision of the git repository ``tree``. ``fragments`` are (name, text), laid on top of each
    other; ``series`` are stacked in their order; ``jobs`` are make's.
    """

    source: str
    fragments: tuple[tuple[str, str], ...]
    jobs: int
    series: tuple[Series, ...] = ()
    tree: Path | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """How long one step of a build took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a kernel is made of, built or not; ``key`` is a digest over all of it."""

    key: str
    source_id: str
    source_title: str
    patch_ids: tuple[str, ...]
    fragments: tuple[str, ...]
    kconfig_hash: str
    toolchain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel(Identity):
    """A kernel that is built and kept.

    ``build_seconds`` and ``phases`` tell of the build that made it, as does ``log``;
    ``compiled_files`` of this request: 0 where ``is_cached``. ``harness_dir`` has the kselftest
    headers of its source, ``vmlinux`` the symbols for a debugger, and the debug info if it has any.
    One that was built elsewhere has no ``log``, no ``vmlinux``, and maybe no ``config``; its
    drivers may be ``modules``, which are to be loaded in their order.
    """

    image: Path
    vmlinux: Path
    config: Path
    log: Path
    harness_dir: Path
    release: str
    build_seconds: float
    phases: tuple[Phase, ...]
    compiled_files: int
    is_cached: bool
    modules: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFailure(Identity):
    """A kernel that does not build, at ``stage`` ``config`` or ``make``.

    ``error`` is one line for the user: the first error of the log, its file relative to the
    source. ``first_error`` is the same in parts; None where no line is known as an error.
    """

    stage: str
    error: str
    first_error: BuildError | None
    log: Path
    build_seconds: float
    compiled_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Where a finished build lies, before it is kept."""

    image: Path
    config: Path
    log: Path
    source_dir: Path
    harness_dir: Path
    release: str
    build_seconds: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFiles:
    """What a debugger needs of a kernel that is kept; ``vmlinux`` may be missing in an old one."""

    image: Path
    vmlinux: Path
    config: Path


def find_kernel_files(folder: Path) -> KernelFiles:
    """Return where the files of the cache entry ``folder`` are."""
    return KernelFiles(
        image=folder / _NAMES["image"],
        vmlinux=folder / _NAMES["vmlinux"],
        config=folder / _NAMES["config"],
    )


def keep_kernel(product: Product, folder: Path) -> None:
    """Copy what is kept of a build into the new cache entry ``folder``.

    Raises :class:`testbed.errors.InfraError` where the image is not of the kernel that was linked.
    """
    for field in ("image", "config", "log"):
        shutil.copyfile(getattr(product, field), folder / _NAMES[field])
    vmlinux = product.image.parents[_IMAGE_DEPTH] / _NAMES["vmlinux"]
    if vmlinux.is_file():
        check_image(product.image, vmlinux)
        keep_vmlinux(vmlinux, folder / _NAMES["vmlinux"], config=product.config)
    if _counts_lines(product.config):
        keep_notes(product.config.parent, product.source_dir, folder / NOTES_DIR)
    harness = folder / _NAMES["harness_dir"]
    harness.mkdir()
    for header in product.harness_dir.glob("*.h"):
        shutil.copyfile(header, harness / header.name)
    facts = {
        "release": product.release,
        "build_seconds": product.build_seconds,
        "phases": [asdict(phase) for phase in product.phases],
    }
    (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")


def _counts_lines(config: Path) -> bool:
    """Whether the kernel has gcov: the folder of a build is large to look through in vain."""
    return "GCOV_KERNEL" in read_values(config.read_text(errors="replace").splitlines())


def load_kernel(folder: Path, identity: Identity, *, compiled_files: int | None = None) -> Kernel:
    """Return the kernel in a cache entry; ``compiled_files`` is None where it was found there."""
    facts: dict[str, Any] = json.loads((folder / _FACTS).read_bytes())
    return Kernel(
        **asdict(identity),
        image=folder / _NAMES["image"],
        vmlinux=folder / _NAMES["vmlinux"],
        config=folder / _NAMES["config"],
        log=folder / _NAMES["log"],
        harness_dir=folder / _NAMES["harness_dir"],
        release=facts["release"],
        build_seconds=facts["build_seconds"],
        phases=tuple(Phase(**phase) for phase in facts["phases"]),
        compiled_files=compiled_files or 0,
        is_cached=compiled_files is None,
    )
