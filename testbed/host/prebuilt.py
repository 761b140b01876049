"""Kernels that were built elsewhere: looked at, and kept in the cache beside those of our own."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from testbed.core.kconfig import read_values
from testbed.core.modules import name_module
from testbed.core.prebuilt import (
    NEEDED_FOR_SSH,
    describe_missing,
    find_missing_options,
    read_release,
)
from testbed.errors import UserError
from testbed.host.guest_modules import find_modules
from testbed.host.kernel import Kernel, find_kernel_files
from testbed.host.store import Store
from testbed.host.workshop import KERNELS

_MIB: Final = 1024 * 1024
_MAX_IMAGE_BYTES: Final = 256 * _MIB
_MAX_CONFIG_BYTES: Final = 16 * _MIB
_KEY_CHARS: Final = 32
_ID_CHARS: Final = 16


def load_prebuilt(
    image: Path,
    config: Path | None = None,
    *,
    harness_dir: Path,
    store: Store,
    say: Callable[[str], None],
) -> Kernel:
    """Return the bzImage ``image`` as a kernel that needs no build; both files are copied.

    Where ``config`` is None, ``config-RELEASE`` beside the image is taken, as distributions have
    it in /boot; without one the kernel's ``config`` is a path where no file is, and what tests
    need of it is not checked. There is no ``log`` and no ``vmlinux`` either. Drivers may be modules
    (:func:`testbed.host.guest_modules.find_modules`). ``harness_dir`` is that of another kernel
    (:func:`testbed.host.harness.find_harness`).

    Raises :class:`UserError` for what is no bzImage of x86-64 and for a kernel whose configuration
    cannot run the guests.
    """
    data = _read(image, limit_bytes=_MAX_IMAGE_BYTES, what="a kernel image")
    release = read_release(data, name=str(image))
    config = config or _find_config(image, release)
    if config is None:
        say(f"{image}: no config-{release} beside it: what tests need of it cannot be checked")
    modules = find_modules(image, release)
    names = frozenset(name_module(path.name) for path in modules)
    config_data = _read_config(config, image=image, modules=names, say=say) if config else b""
    image_sha, config_sha = _hash(data), _hash(config_data) if config else ""
    key = _hash(json.dumps(["prebuilt", image_sha, config_sha]).encode())[:_KEY_CHARS]
    if store.find(KERNELS, key) is None:
        with store.create(KERNELS, key) as fresh:
            files = find_kernel_files(fresh)
            files.image.write_bytes(data)
            if config:
                files.config.write_bytes(config_data)
    folder = store.folder(KERNELS, key)
    files = find_kernel_files(folder)
    return Kernel(
        key=key,
        source_id=f"prebuilt-{image_sha[:_ID_CHARS]}",
        source_title=f"{image.name} (built elsewhere)",
        patch_ids=(),
        fragments=(),
        kconfig_hash=config_sha,
        toolchain="",
        image=files.image,
        vmlinux=files.vmlinux,
        config=files.config,
        log=folder / "build.log",
        harness_dir=harness_dir,
        release=release,
        build_seconds=0.0,
        phases=(),
        compiled_files=0,
        is_cached=True,
        modules=modules,
    )


def _read_config(
    config: Path, *, image: Path, modules: frozenset[str], say: Callable[[str], None]
) -> bytes:
    """Return the configuration of ``image``; raises where it cannot run the guests."""
    data = _read(config, limit_bytes=_MAX_CONFIG_BYTES, what="a kernel's .config")
    text = data.decode(errors="replace")
    if not read_values(text.splitlines()):
        raise UserError(f"{config}: is no .config of a kernel: it sets no option")
    missing = find_missing_options(text, modules=modules)
    if missing:
        raise UserError(f"{image}: {describe_missing(missing)}")
    without = find_missing_options(text, NEEDED_FOR_SSH, modules=modules)
    if without:
        listed = "; ".join(str(one) for one in without)
        say(f"{image}: C tests only, there is no SSH to its guests: {listed}")
    return data


def _find_config(image: Path, release: str) -> Path | None:
    """Return ``config-RELEASE`` beside the image, or beside what it is a symlink to."""
    folders = (image.parent, image.resolve().parent)
    found = (folder / f"config-{release}" for folder in folders)
    return next((path for path in found if path.is_file()), None)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path, *, limit_bytes: int, what: str) -> bytes:
    if not path.is_file():
        raise UserError(
            f"{path}: there is no such file" if not path.exists() else f"{path}: is no file"
        )
    if path.stat().st_size > limit_bytes:
        raise UserError(f"{path}: is too large for {what}: more than {limit_bytes // _MIB} MiB")
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes)
    except PermissionError as err:
        raise UserError(f"{path}: cannot be read: {err.strerror}") from err
