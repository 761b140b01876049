"""The modules of a kernel that was built elsewhere, put into the guest image for its devices."""

import gzip
import hashlib
import lzma
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from testbed.core.modules import DEVICE_MODULES, list_load_order
from testbed.errors import CommandError, UserError
from testbed.host import cpio, proc
from testbed.host.guest_image import GuestImage
from testbed.host.store import Store

_IMAGES: Final = "guest-images"
_FOLDER: Final = "modules"  # as in guest_init.sh
_OPENERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    ".ko": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
}


def find_modules(image: Path, release: str) -> tuple[Path, ...]:
    """Return the modules that the guest's devices need, in the order in which they are loaded.

    They are looked for in lib/modules/RELEASE below the folder that the image's own folder is in,
    as a distribution's package has it, and then of this host. Empty where there are none; raises
    :class:`UserError` for a folder that depmod cannot read.
    """
    for top in (image.absolute().parent.parent, Path("/")):
        folder = top / "lib/modules" / release
        if folder.is_dir():
            return _list_modules(top, release)
    return ()


def _list_modules(top: Path, release: str) -> tuple[Path, ...]:
    folder = top / "lib/modules" / release
    try:
        # The order that is there may be of before an update: it is worked out, and not written.
        listing = proc.run(["depmod", "-n", "-b", str(top), release]).output
        order = list_load_order(listing.splitlines(), frozenset(DEVICE_MODULES.values()))
    except (CommandError, ValueError) as err:
        raise UserError(f"{folder}: its modules cannot be listed: {err}") from err
    return tuple(folder / path for path in order)


def add_modules(store: Store, image: GuestImage, modules: Sequence[Path]) -> GuestImage:
    """Return ``image`` with ``modules`` in it, which its init loads in their order."""
    contents = [_read(path) for path in modules]
    digest = hashlib.sha256(f"{image.key} with modules".encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    key = digest.hexdigest()
    with store.lock(_IMAGES, key):
        if store.find(_IMAGES, key) is None:
            with store.create(_IMAGES, key) as fresh:
                _make(fresh, image, modules, contents)
    return GuestImage(key=key, folder=store.folder(_IMAGES, key))


def _make(
    fresh: Path, image: GuestImage, modules: Sequence[Path], contents: Sequence[bytes]
) -> None:
    root, added = fresh / "root", fresh / "added.cpio"
    (root / _FOLDER).mkdir(parents=True)
    root.chmod(0o755)
    for number, (path, content) in enumerate(zip(modules, contents, strict=True)):
        # The guest's shell loads them in the order of their names.
        name = f"{number:02}-{path.name.split('.ko')[0]}.ko"
        (root / _FOLDER / name).write_bytes(content)
    cpio.pack(root, added)
    target = GuestImage(key="", folder=fresh)
    cpio.join((image.initrd, added), target.initrd)
    shutil.copytree(
        image.tests_dir.parent, target.tests_dir.parent, copy_function=os.link, symlinks=True
    )
    shutil.rmtree(root)
    added.unlink()


def _read(path: Path) -> bytes:
    opener = _OPENERS.get(path.suffix)
    if opener is None:
        raise UserError(f"{path}: a module packed as {path.suffix} cannot be read: unpack it")
    try:
        return opener(path.read_bytes())
    except (OSError, EOFError, lzma.LZMAError) as err:
        raise UserError(f"{path}: this module cannot be read: {err}") from err
