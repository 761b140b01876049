"""A tree's own Kconfig files, read, and the configuration that options come to by them.

No make is run and nothing is written into the tree or beside it: what ``make tinyconfig``, the
options and ``make olddefconfig`` come to is computed here, in a sixth of a second once the files
are read. The tests compare it with what make says.
"""

import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import kconfiglib

from testbed.core.kconfig import NOT_SET, Option, Version, format_options
from testbed.core.text import clean
from testbed.errors import KconfigError
from testbed.host.kbuild import read_compiler

# What Kconfig files ask the environment and the compiler for (scripts/Kconfig.include, 6.12).
_TOOLS: Final = {
    "CC": "gcc",
    "LD": "ld",
    "AR": "ar",
    "NM": "nm",
    "OBJCOPY": "objcopy",
    "HOSTCC": "gcc",
    "HOSTCXX": "g++",
    "RUSTC": "rustc",
    "BINDGEN": "bindgen",
    "PAHOLE": "pahole",
    "SRCARCH": "x86",
    "CONFIG_": "CONFIG_",  # kconfiglib takes the prefix of options from here
}

# scripts/kconfig/Makefile, 6.12: the first goes into allnoconfig, the others on top of it.
_TINY_BASE: Final = "kernel/configs/tiny-base.config"
_TINY: Final = ("kernel/configs/tiny.config", "arch/x86/configs/tiny.config")

_PLACE: Final = re.compile(r"\S+:\d+")

Expr: TypeAlias = Any
"""What options depend on: a symbol, a choice, or a tuple of them. kconfiglib has no types."""


class Kconfig(kconfiglib.Kconfig):  # type: ignore[misc]
    """kconfiglib for today's trees: 14.1.0 knows ``option modules``, not ``modules`` (5.15)."""

    def _open(self, filename: str, mode: str) -> Any:  # noqa: ANN401 - kconfiglib has no types
        file = super()._open(filename, mode)
        if "r" not in mode or not Path(filename).name.startswith("Kconfig"):
            return file
        with file:
            lines = file.read().split("\n")
        return io.StringIO(
            "\n".join("\toption modules" if line.strip() == "modules" else line for line in lines)
        )


def load_kconfig(src: Path, *, version: Version, arch: str = "x86_64") -> Kconfig:
    """Read the Kconfig files of the tree ``src``: 2 s for a kernel. ``arch`` is make's ``ARCH``.

    Raises :class:`KconfigError` with the file and the line of what cannot be read.
    """
    release = ".".join(str(part) for part in version)
    values = {
        **_TOOLS,
        "ARCH": arch,
        "CC_VERSION_TEXT": read_compiler(),
        "srctree": str(src),
        "KERNELVERSION": f"{release}.0",
    }
    try:
        with _environment(values):
            return Kconfig(warn=False)
    except (kconfiglib.KconfigError, OSError, UnicodeDecodeError, RecursionError) as err:
        raise KconfigError(f"the tree's Kconfig cannot be read: {_tell_reason(err)}") from err


def choose_arch(options: Iterable[Option]) -> str:
    """Return make's ``ARCH`` for the options: with x86_64, 64BIT cannot be turned off."""
    is_32bit = any(option.name == "64BIT" and option.value == NOT_SET for option in options)
    return "i386" if is_32bit else "x86_64"


def configure(kconfig: Kconfig, src: Path, options: Iterable[Option]) -> str:
    """Set ``kconfig`` to tinyconfig with ``options`` on top; return the ``.config`` that it is."""
    tiny = [path.read_text() for name in _TINY if (path := src / name).is_file()]
    with tempfile.TemporaryDirectory(prefix="testbed-") as folder:
        file = Path(folder) / "config"
        kconfig.unset_values()
        for symbol in kconfig.unique_defined_syms:
            symbol.set_value(2 if symbol.is_allnoconfig_y else 0)
        if (src / _TINY_BASE).is_file():
            kconfig.load_config(str(src / _TINY_BASE), replace=False)
        # By way of a file, as make does it: an option that has no say yet is not in it.
        for text in ("\n".join(tiny), format_options(options)):
            kconfig.write_config(str(file), save_old=False)
            with file.open("a", encoding="utf-8") as end:
                end.write(text)
            kconfig.load_config(str(file))
        kconfig.write_config(str(file), save_old=False)
        return file.read_text(encoding="utf-8")


def _tell_reason(err: Exception) -> str:
    """Return the first line of an error, and the first that says where if that is another."""
    lines = str(err).strip().splitlines() or [type(err).__name__]
    places = [line.strip() for line in lines if _PLACE.search(line)]
    return clean(": ".join(dict.fromkeys([lines[0], *places[:1]])))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have ``values`` in the environment, which is where kconfiglib looks."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
