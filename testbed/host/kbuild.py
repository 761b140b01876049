"""The kernel's own build system: which commands are run, in which environment."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.build_log import is_compile_line
from testbed.core.kconfig import Option, format_options
from testbed.errors import UserError
from testbed.host.compiler import install_compiler
from testbed.host.held import Holder, Outcome
from testbed.host.proc import find_tool, run
from testbed.host.store import Store, write_atomically

RECIPE: Final = 3
"""Raise it when a change here makes other kernels of the same sources."""
X86_64: Final = "x86_64"

# The same bytes on any machine (Documentation/kbuild/reproducible-builds.rst, 6.12).
_SAME_EVERYWHERE: Final = {
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan 1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "testbed",
    "KBUILD_BUILD_HOST": "testbed",
    "KBUILD_BUILD_VERSION": "1",
}
_KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "TZ")
_STAMP: Final = ".testbed-config"

# Make reads it before any Makefile. Where kbuild has come to a folder that was asked for, and all
# of its lists are known, it tells which of the objects are on them: a file whose option is off
# would be compiled too if it were named. 6.12 makes what is named a goal of the folder's make
# (scripts/Makefile.build), 6.1 a prerequisite of __build.
_LIST_NAME: Final = "testbed-list.mk"
_LIST_GOAL: Final = "testbed.lst"
_LIST_MARK: Final = "testbed-built:"
_LIST_RULES: Final = """\
testbed-wanted := {wanted}
testbed-lists = $(real-obj-y) $(real-obj-m) $(lib-y) $(extra-y) $(always-y)
testbed-tell = $(info {mark} $(sort $(filter $(testbed-wanted),$(testbed-lists))))
.PHONY: testbed-list
testbed-list: ; @$(testbed-tell):
__build: testbed-list
{goals}: ; @$(testbed-tell):
"""
# Names that mean nothing to make, to a shell or to the rules above.
_FIT_OBJECT: Final = re.compile(r"\w[\w/.,+-]*\.o")

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
        self,
        *,
        src: Path,
        out: Path,
        holder: Holder,
        log: Path,
        cache_root: Path,
        arch: str = X86_64,
    ) -> None:
        self._src = src
        self._out = out
        self._holder = holder
        self._log = log
        make = str(find_tool("make"))
        self._environment = _list_environment(cache_root, arch)
        self._make_words = (make, "-C", str(src), f"O={out}")
        compiler = install_compiler(cache_root)
        self._tools = (f"CC={compiler}", f"HOSTCC={compiler}", "LOCALVERSION=")

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
        return self._make_counted("bzImage", f"-j{jobs}", on_progress=on_progress)

    def list_built(
        self, objects: Iterable[str], *, flags: Sequence[str], jobs: int
    ) -> tuple[Outcome, tuple[str, ...]]:
        """Return those of ``objects`` that a kernel of this configuration is made of, sorted.

        What has to be made before any object is made too, with the same ``flags``.
        """
        wanted = [name for name in objects if is_fit_object(name)]
        if not wanted:
            return Outcome(returncode=0, tail=()), ()
        rules = self._out / _LIST_NAME
        goals = sorted({f"{name.rpartition('/')[0]}/{_LIST_GOAL}".lstrip("/") for name in wanted})
        text = _LIST_RULES.format(wanted=" ".join(wanted), mark=_LIST_MARK, goals=" ".join(goals))
        write_atomically(rules, text)
        built: set[str] = set()

        def take(line: str) -> None:
            if line.startswith(_LIST_MARK):
                built.update(line.removeprefix(_LIST_MARK).split())

        outcome = self._make(
            f"-j{jobs}", *flags, *goals, on_line=take, variables=[f"MAKEFILES={rules}"]
        )
        return outcome, tuple(sorted(built.intersection(wanted)))

    def compile(
        self,
        objects: Sequence[str],
        *,
        flags: Sequence[str],
        jobs: int,
        on_progress: Progress | None,
    ) -> Made:
        """Compile ``objects`` anew, as far as it goes, so that each says what is wrong with it."""
        for name in objects:
            (self._out / name).unlink(missing_ok=True)
        words = (f"-j{jobs}", "--keep-going", *flags, *objects)
        return self._make_counted(*words, on_progress=on_progress)

    def read_release(self) -> str:
        """Return what ``uname -r`` will say."""
        return (self._out / "include/config/kernel.release").read_text().strip()

    @property
    def image(self) -> Path:
        """The bzImage."""
        return self._out / "arch/x86/boot/bzImage"

    def _make_counted(self, *words: str, on_progress: Progress | None) -> Made:
        compiled = 0

        def count(line: str) -> None:
            nonlocal compiled
            compiled += is_compile_line(line)
            if on_progress is not None:
                on_progress(compiled, line)

        outcome = self._make(*words, on_line=count)
        return Made(outcome=outcome, compiled_files=compiled)

    def _make(
        self,
        *words: str,
        on_line: Callable[[str], None] | None = None,
        variables: Sequence[str] = (),
    ) -> Outcome:
        return self._holder.run(
            [*self._environment, *variables, *self._make_words, *self._tools, *words],
            log=self._log,
            on_line=on_line,
        )


def is_fit_object(name: str) -> bool:
    """Whether ``name`` can be given to make: nothing in it means anything but itself."""
    return _FIT_OBJECT.fullmatch(name) is not None and ".." not in name.split("/")


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


def identify_checker(name: str) -> str:
    """Return what changes when the program ``name`` is another; empty where there is none."""
    found = shutil.which(name)
    if found is None:
        return ""
    info = Path(found).stat()
    return f"{found} {info.st_size} {info.st_mtime_ns}"


def _list_environment(cache_root: Path, arch: str) -> tuple[str, ...]:
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
        "ARCH": arch,
    }
    return ("env", "-i", *(f"{name}={value}" for name, value in values.items()))
