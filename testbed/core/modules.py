"""Modules of a kernel: which ones the guest's devices need, and in which order they are loaded."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

DEVICE_MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "VIRTIO_PCI": "virtio_pci",
        "VIRTIO_CONSOLE": "virtio_console",
        "VIRTIO_NET": "virtio_net",
        "VIRTIO_BLK": "virtio_blk",
        "VIRTIO_MEM": "virtio_mem",
    }
)
"""Options without ``CONFIG_`` that may as well be modules, and what these are called."""

# A line of modules.dep (depmod(8)): a module, and all that it needs, what is needed last first.
_LINE: Final = re.compile(r"(?P<module>\S+\.ko(?:\.\w+)?):(?P<needed>(?: \S+)*)\s*")


def list_load_order(lines: Iterable[str], names: Collection[str]) -> tuple[str, ...]:
    """Return the files of the modules ``names`` and of all that they need, the first to load first.

    ``lines`` are those of a modules.dep; lines of another form, and names without a module, are
    left out. Raises :class:`ValueError` for a path that leads out of the modules' folder.
    """
    order: dict[str, None] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or name_module(match["module"]) not in names:
            continue
        for path in (*reversed(match["needed"].split()), match["module"]):
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"{path!r} is outside the modules' folder")
            order[path] = None
    return tuple(order)


def name_module(path: str) -> str:
    """Return the name that the kernel has for a module's file: ``virtio-rng.ko`` is virtio_rng."""
    return PurePosixPath(path).name.split(".ko")[0].replace("-", "_")
