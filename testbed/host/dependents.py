r"""Which objects are made from a file: what kbuild noted when it made them.

The notes are ``.name.o.cmd`` beside each object, which scripts/basic/fixdep.c (6.12) writes: a
line ``deps_<object> := \`` and below it each file that was read, a line each.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

_HOST_ONLY: Final = frozenset({"scripts", "tools", "usr"})


def find_dependents(out: Path, *, src: Path, paths: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return for each of ``paths`` the objects below ``out`` that are made from it, sorted.

    Both are relative, to ``out`` and to ``src``. Programs of the host are left out.
    """
    found: dict[str, set[str]] = {path: set() for path in paths}
    needles = {path: os.fsencode(f"{src}/{path}") for path in paths}
    for note in _list_notes(out):
        data = note.read_bytes()
        name = str(note.parent.relative_to(out) / note.name[1:].removesuffix(".cmd"))
        words: frozenset[bytes] = frozenset()
        for path, needle in needles.items():
            if needle in data:
                words = words or frozenset(data.split())
                if needle in words:
                    found[path].add(name)
    return {path: tuple(sorted(objects)) for path, objects in found.items()}


def _list_notes(out: Path) -> Iterator[Path]:
    for folder, dirs, files in os.walk(out):
        if Path(folder) == out:
            dirs[:] = [name for name in dirs if name not in _HOST_ONLY]
        for name in files:
            if name.startswith(".") and name.endswith(".o.cmd"):
                yield Path(folder) / name
