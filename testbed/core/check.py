"""What `testbed check` finds in a series: the values, and what they come to."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from testbed.core.series import Patch

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_DOES_NOT_APPLY: Final = 2
EXIT_DOES_NOT_BUILD: Final = 3


class Stage(StrEnum):
    """The parts of a check, in their order."""

    APPLIES = "applies"
    HEADER = "header"
    CHECKPATCH = "checkpatch"
    BUILDS = "builds"
    WARNINGS = "warnings"
    KCONFIG = "kconfig"
    VARIANTS = "variants"
    SPARSE = "sparse"


class FindingKind(StrEnum):
    """What a finding is about."""

    DOES_NOT_APPLY = "does not apply"
    DOES_NOT_BUILD = "does not build"
    WARNING = "new warning"
    CHECKPATCH = "checkpatch"
    HEADER = "header"
    KCONFIG = "kconfig"
    VARIANT = "variant"
    SPARSE = "sparse"


_READ: Final = frozenset({".c", ".h", ".S", ".inc"})
# What is text, is built for the host, or by rules of its own (6.12).
_NOT_KERNEL: Final = frozenset({"Documentation", "LICENSES", "samples", "scripts", "tools", "usr"})
_PROSE: Final = frozenset({".rst", ".txt", ".yaml"})
_CODES: Final = {
    FindingKind.DOES_NOT_APPLY: EXIT_DOES_NOT_APPLY,
    FindingKind.DOES_NOT_BUILD: EXIT_DOES_NOT_BUILD,
}
# Where several hold, the first counts: what comes later was not looked at, or means little.
_OUTRANKING: Final = (EXIT_DOES_NOT_APPLY, EXIT_DOES_NOT_BUILD, EXIT_FINDINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a series.

    ``patch_number`` counts from 1 through the whole stack; None, with ``patch`` empty, where it is
    not known to be of one patch. ``title`` is one line, ``detail`` may be several. What is not
    ``is_blocking`` is told, and does not fail the check.
    """

    kind: FindingKind
    title: str
    detail: str = ""
    patch_number: int | None = None
    patch: str = ""
    is_blocking: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpatchCount:
    """How many lines checkpatch printed, by their level; ``checks`` are those of --strict."""

    errors: int
    warnings: int
    checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchCheck:
    """What came of one patch; None stands for what was not looked at.

    ``notes`` tell how it was applied, where not simply. ``warnings`` are those that it adds.
    """

    number: int
    filename: str
    subject: str
    applies: bool | None = None
    notes: tuple[str, ...] = ()
    builds: bool | None = None
    warnings: int | None = None
    checkpatch: CheckpatchCount | None = None
    header_problems: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantCheck:
    """The touched files in another configuration, with the series and without.

    ``files`` were compiled; ``not_built`` are touched files that a kernel of this configuration
    has not, and that were not compiled. ``known`` counts what is wrong without the series too,
    ``findings`` what the series brings. ``trouble`` is told where nothing could be compiled.
    """

    name: str
    files: int
    not_built: tuple[str, ...] = ()
    known: int = 0
    findings: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """How long a stage took."""

    stage: Stage
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """A series, checked; ``notes`` are single lines about what was looked at, and what was not."""

    name: str
    source: str
    patches: tuple[PatchCheck, ...]
    variants: tuple[VariantCheck, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    stages: tuple[StageTime, ...]

    @property
    def seconds(self) -> float:
        """How long the check took."""
        return sum(one.seconds for one in self.stages)


def decide_exit(report: CheckReport) -> int:
    """Return the exit code.

    2 a patch does not apply; 3 a patch does not build, or the base does not; 1 anything else was
    found that blocks; 0 nothing.
    """
    codes = {_CODES.get(one.kind, EXIT_FINDINGS) for one in report.findings if one.is_blocking}
    return next((code for code in _OUTRANKING if code in codes), EXIT_CLEAN)


def count_findings(findings: Iterable[Finding]) -> dict[FindingKind, int]:
    """Return how many blocking findings there are of each kind, in the kinds' order."""
    kinds = Counter(one.kind for one in findings if one.is_blocking)
    return {kind: kinds[kind] for kind in FindingKind if kinds[kind]}


def list_sources(patches: Iterable[Patch]) -> tuple[str, ...]:
    """Return the .c files that the patches change or make and that are there in the end, sorted."""
    found: set[str] = set()
    for patch in patches:
        for change in patch.changes:
            if not change.is_copy:
                found.discard(change.old or "")
            found.add(change.new or "")
    return tuple(sorted(name for name in found if name.endswith(".c") and _is_kernel(name)))


def changes_code(patch: Patch) -> bool:
    """Whether ``patch`` can make any difference to what a compiler says of the kernel."""
    return any(
        _is_kernel(name) and PurePosixPath(name).suffix not in _PROSE and name != "MAINTAINERS"
        for name in patch.touched
    )


def list_included(patches: Iterable[Patch]) -> tuple[str, ...]:
    """Return the files of the base that the patches change and that objects may include, sorted."""
    names = (change.old for patch in patches for change in patch.changes)
    return tuple(sorted({name for name in names if name and PurePosixPath(name).suffix in _READ}))


def _is_kernel(name: str) -> bool:
    return PurePosixPath(name).parts[0] not in _NOT_KERNEL


def name_object(source: str) -> str:
    """Return the object that kbuild makes from a .c file."""
    return str(PurePosixPath(source).with_suffix(".o"))


def choose_spread(names: Sequence[str], *, near: Sequence[str], limit: int) -> tuple[str, ...]:
    """Return at most ``limit`` of ``names``, sorted: those in the folders of ``near``, then any.

    The others are taken evenly, so that all parts of the kernel have a say.
    """
    folders = {PurePosixPath(name).parent for name in near}
    close = [name for name in names if PurePosixPath(name).parent in folders][:limit]
    others = sorted(set(names).difference(close))
    room = min(limit - len(close), len(others))
    spread = [others[place * len(others) // room] for place in range(room)]
    return tuple(sorted([*close, *spread]))
