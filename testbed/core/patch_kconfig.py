"""The kernel options that a patch brings."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from testbed.core.patch import Patch

_CONFIG_LINE: Final = re.compile(r"(?P<sign>[+-])\s*(?:menu)?config\s+(?P<name>\w+)\s*(?:#.*)?")
_FILE_LINE: Final = re.compile(r"(?:\+\+\+|---) (?P<path>\S+)")


def find_added_options(patch: Patch) -> tuple[str, ...]:
    """Return the options that a patch adds to Kconfig files, in order; one that moves is none."""
    added: dict[str, None] = {}
    removed: set[str] = set()
    for line in _list_kconfig_lines(patch):
        if match := _CONFIG_LINE.fullmatch(line):
            if match["sign"] == "+":
                added[match["name"]] = None
            else:
                removed.add(match["name"])
    return tuple(name for name in added if name not in removed)


def _list_kconfig_lines(patch: Patch) -> Iterator[str]:
    is_kconfig = False
    for line in patch.text.splitlines():
        if line.startswith("diff --git "):
            is_kconfig = False
        elif match := _FILE_LINE.match(line):
            is_kconfig = PurePosixPath(match["path"]).name.startswith("Kconfig")
        elif is_kconfig:
            yield line.rstrip()
