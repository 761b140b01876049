"""Single objects, compiled with other flags or another configuration than a kernel's.

What came of it is kept beside the folder that they are compiled in, by a digest of all that went
into it: the same request compiles nothing.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.core.kconfig import hash_options
from testbed.host.job import Job
from testbed.host.kbuild import RECIPE, X86_64
from testbed.host.kernel import BuildRequest
from testbed.host.out_dir import Purpose
from testbed.host.store import write_atomically

OBJECTS: Final = "objects"
_OUTCOMES: Final = "outcomes"
_MAX_OUTCOMES: Final = 256
_RECIPE: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRequest:
    """Objects to compile, as paths below the source.

    ``build`` says of which kernel; options of its fragments that do not land are let go. ``flags``
    are words for make, such as W=1; ``arch`` is make's ARCH. ``checker`` identifies a program that
    the flags name. Without ``targets`` the kernel is only configured.
    """

    build: BuildRequest
    targets: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    arch: str = X86_64
    checker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectOutcome:
    """What came of it.

    ``built`` are the targets that a kernel of this configuration has, and that were compiled;
    ``lines`` what was printed meanwhile, paths relative to the source; ``options_on`` the options
    that the configuration has on, without ``CONFIG_``. With another ``returncode`` than 0 the
    kernel could not be configured, or an object not compiled.
    """

    returncode: int
    built: tuple[str, ...]
    lines: tuple[str, ...]
    options_on: frozenset[str]
    is_cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectJob:
    """A request whose inputs are known."""

    request: ObjectRequest
    job: Job

    @property
    def digest(self) -> str:
        """Covers what can change a word of the outcome."""
        identity, request = self.job.identity, self.request
        asked = [sorted(request.targets), request.flags, request.checker]
        parts = [_RECIPE, RECIPE, identity.key, request.arch, asked]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    @property
    def purpose(self) -> Purpose:
        """What the folder is for that it is compiled in."""
        parts = [hash_options(self.job.merged.options), self.request.arch, self.request.flags]
        return Purpose(
            config=hashlib.sha256(json.dumps(parts).encode()).hexdigest(),
            toolchain=self.job.toolchain,
            is_base=not self.job.request.series,
        )

    @property
    def config_inputs(self) -> str:
        """What the .config depends on besides the options that are asked for."""
        return f"{self.job.config_inputs} {self.request.arch}"


def load_outcome(folder: Path, digest: str) -> ObjectOutcome | None:
    """Return what was kept below ``folder``, the source's; None where it is not there."""
    try:
        data = json.loads(_find_place(folder, digest).read_bytes())
        return ObjectOutcome(
            returncode=int(data["returncode"]),
            built=tuple(map(str, data["built"])),
            lines=tuple(map(str, data["lines"])),
            options_on=frozenset(map(str, data["options_on"])),
            is_cached=True,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_outcome(outcome: ObjectOutcome, folder: Path, digest: str) -> None:
    """Keep an outcome for the next one who asks; the oldest go."""
    place = _find_place(folder, digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "returncode": outcome.returncode,
        "built": outcome.built,
        "lines": outcome.lines,
        "options_on": sorted(outcome.options_on),
    }
    write_atomically(place, json.dumps(data))
    kept = sorted(place.parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    for old in kept[:-_MAX_OUTCOMES]:
        old.unlink(missing_ok=True)


def _find_place(folder: Path, digest: str) -> Path:
    return folder / OBJECTS / _OUTCOMES / f"{digest}.json"
