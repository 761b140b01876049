"""The kernel's own build system: which commands are run, in which environment."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.build_log import is_compile_line
from testbed.core.kconfig import Option, format_options
from testbed.errors import UserError
from testbed.host.held import Holder, Outcome
from testbed.host.proc import find_tool, run
from testbed.host.store import Store

RECIPE: Final = 2
"""Raise it when a change here makes other kernels of the same sources."""

# The same bytes on any machine (Documentation/kbuild/reproducible-builds.rst, 6.12).
_SAME_EVERYWHERE: Final = {
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan 1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "testbed",
    "KBUILD_BUILD_HOST": "testbed",
    "KBUILD_BUILD_VERSION": "1",
}
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "TZ")
_STAMP: Final = ".testbed-config"

# The top Makefile refuses spaces and colons; the others mean something to make or to a shell.
_UNFIT_PATH: Final = re.compile(r"[^\w/.,+@-]")

Progress = Callable[[int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How a make ended, and how many files it compiled."""

    outcome: Outcome
    compiled_files: int


class Kbuild:
    """make for one source and one build folder; ``log`` gets all that it prints."""

    def __init__(
        self, *, src: Path, out: Path, holder: Holder, log: Path, cache_root: Path
    ) -> None:
        self._src = src
        self._out = out
        self._holder = holder
        self._log = log
        make = str(find_tool("make"))
        self._start = (*_list_environment(cache_root), make, "-C", str(src), f"O={out}")
        prefix = "ccache " if shutil.which("ccache") else ""
        self._tools = (f"CC={prefix}gcc", f"HOSTCC={prefix}gcc", "LOCALVERSION=")

    @property
    def config(self) -> Path:
        """The ``.config``."""
        return self._out / ".config"

    def configure(self, options: Iterable[Option], *, inputs: str) -> Outcome:
        """Make the ``.config``: tinyconfig, ``options`` on top, and what follows from them.

        Nothing is run where it was made from the same ``inputs``; where it comes out the same,
        it keeps its time, and make takes no notice.
        """
        text = format_options(options)
        stamp = self._out / _STAMP
        digest = hashlib.sha256(f"{inputs}\n{text}".encode()).hexdigest()
        if self.config.is_file() and stamp.is_file() and stamp.read_text() == digest:
            return Outcome(returncode=0, tail=())
        stamp.unlink(missing_ok=True)
        before = (self.config.read_bytes(), self.config.stat()) if self.config.is_file() else None
        outcome = self._make("tinyconfig")
        if outcome.returncode == 0:
            with self.config.open("a") as file:
                file.write(text)
            outcome = self._make("olddefconfig")
        if before is not None and self.config.is_file() and self.config.read_bytes() == before[0]:
            os.utime(self.config, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))
        if outcome.returncode == 0:
            stamp.write_text(digest)
        return outcome

    def build(self, *, jobs: int, on_progress: Progress | None) -> Made:
        """Build the bzImage; ``on_progress`` gets the files compiled so far, and each line."""
        compiled = 0

        def count(line: str) -> None:
            nonlocal compiled
            compiled += is_compile_line(line)
            if on_progress is not None:
                on_progress(compiled, line)

        outcome = self._make("bzImage", f"-j{jobs}", on_line=count)
        return Made(outcome=outcome, compiled_files=compiled)

    def read_release(self) -> str:
        """Return what ``uname -r`` will say."""
        return (self._out / "include/config/kernel.release").read_text().strip()

    @property
    def image(self) -> Path:
        """The bzImage."""
        return self._out / "arch/x86/boot/bzImage"

    def _make(self, *words: str, on_line: Callable[[str], None] | None = None) -> Outcome:
        return self._holder.run(
            [*self._start, *self._tools, *words], log=self._log, on_line=on_line
        )


def check_path(root: Path) -> None:
    """Raise :class:`UserError` where kernels cannot be built below ``root``."""
    unfit = _UNFIT_PATH.search(str(root))
    if unfit:
        raise UserError(
            f"kernels cannot be built in the cache {root}: the kernel's Makefile takes no "
            f"{unfit.group()!r} in a path: set TESTBED_CACHE to a folder without"
        )


def read_compiler() -> str:
    """Return the compiler's own line about its version."""
    return run(["gcc", "--version"]).output.splitlines()[0]


def identify_toolchain(store: Store) -> str:
    """Return the versions of the compiler and the linker; asked again when the files change."""
    tools = {name: find_tool(name).resolve() for name in ("gcc", "ld")}
    stats = {name: path.stat() for name, path in tools.items()}
    seen = {n: [str(p), stats[n].st_size, stats[n].st_mtime_ns] for n, p in tools.items()}
    fact = store.read_fact("toolchain")
    if fact.get("seen") != seen:
        versions = [run([name, "--version"]).output.splitlines()[0] for name in tools]
        fact = {"seen": seen, "id": "; ".join(versions)}
        store.write_fact("toolchain", fact)
    return str(fact["id"])


def _list_environment(cache_root: Path) -> tuple[str, ...]:
    """Return the start of a command with a known environment: kbuild heeds many variables."""
    inherited: Mapping[str, str] = os.environ
    kept = {name: inherited[name] for name in _KEPT_VARIABLES if name in inherited}
    ccache = {name: value for name, value in inherited.items() if name.startswith("CCACHE_")}
    values = {
        **kept,
        "CCACHE_DIR": str(cache_root / "ccache"),
        # Without it every miss is preprocessed first: 34 s instead of 26 s for all of mm/, 6.12.
        "CCACHE_DEPEND": "1",
        **ccache,
        "CCACHE_NOHARDLINK": "1",  # objtool writes into the objects
        **_SAME_EVERYWHERE,
        "LC_ALL": "C",
        "ARCH": "x86_64",
    }
    return ("env", "-i", *(f"{name}={value}" for name, value in values.items()))
