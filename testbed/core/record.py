"""The run record: what a run was asked, what it ran on, and what came of it.

``record.json`` is the contract for other tools. Its schema is ``record.schema.json`` beside this
module, generated from these types by :func:`record_schema`; a test holds the two together.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import TypeAdapter

from testbed.core.gcov import FileReach
from testbed.core.plan import Mode
from testbed.core.result import Crash, LogFile, TestResult, Verdict

SCHEMA_VERSION: Final = 1


class Role(StrEnum):
    """Which side of a comparison a kernel is on."""

    BASE = "base"
    PATCHED = "patched"
    STEP = "step"  # on the way from one to the other: with the first patches of the series


class ChangeKind(StrEnum):
    """How a test's verdict on the patched kernel relates to the one on the base."""

    REGRESSED = "regressed"
    FIXED = "fixed"
    STILL_FAILING = "still_failing"
    STILL_PASSING = "still_passing"
    STILL_SKIPPED = "still_skipped"
    KNOWN = "known"
    NEW = "new"
    NEW_FAILING = "new_failing"
    GONE = "gone"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The machine that the run was on; ``accel_reason`` says why that accelerator was taken."""

    cores: int
    memory_mib: int
    system: str
    accel: str
    accel_reason: str
    qemu_version: str
    compiler: str
    python_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRecord:
    """One kernel of the run.

    ``build_seconds`` is the time the build took when it was made, ``is_cached`` whether this run
    found it ready. ``compiled_files`` counts the compiler runs of this run.
    """

    role: Role
    key: str
    source_id: str
    series: tuple[str, ...]
    patch_ids: tuple[str, ...]
    kconfig: tuple[str, ...]
    kconfig_hash: str
    release: str
    build_seconds: float
    is_cached: bool
    compiled_files: int
    failure: str = ""
    logs: tuple[LogFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """One kernel on one topology. ``boot_crash`` is set where the kernel did not boot."""

    name: str
    kernel: KernelRecord
    topology: str
    seconds: float
    tests: tuple[TestResult, ...]
    boot_crash: Crash | None = None
    logs: tuple[LogFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One test on one topology, base against patched; a side it did not run on is None."""

    test: str
    topology: str
    kind: ChangeKind
    before: Verdict | None
    after: Verdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRecord:
    """A patch of the run's series; ``number`` counts from 1 through all series of the stack."""

    number: int
    filename: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """The kernel with all patches up to ``patch``, less those numbered in ``without``.

    ``cells`` is empty where it did not build.
    """

    patch: PatchRecord
    kernel: KernelRecord
    cells: tuple[CellRecord, ...]
    without: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """Which patch made a test fail: one of ``suspects``, more than one where steps did not tell.

    ``verdict`` is the first bad one; ``mended_by`` the patch after which the test was good again.
    """

    test: str
    topology: str
    verdict: Verdict | None
    suspects: tuple[PatchRecord, ...]
    mended_by: PatchRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All of a run. ``started`` is ISO 8601 in UTC; ``exit_reason`` explains ``exit_code``.

    ``seed`` is of ``mode`` "deterministic" alone. ``patches`` are those of all series; where each
    was tested, ``steps`` are the kernels after all but the last, and ``culprits`` what they told.
    ``reach`` is how much of the sources ran that the plan asks about, in all tests together.
    """

    schema_version: int
    id: str
    tool_version: str
    command: tuple[str, ...]
    plan: str
    started: str
    seconds: float
    host: HostFacts
    cells: tuple[CellRecord, ...]
    comparison: tuple[Change, ...]
    exit_code: int
    exit_reason: str
    mode: Mode = "normal"
    seed: int = 0
    patches: tuple[PatchRecord, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    culprits: tuple[Culprit, ...] = ()
    reach: tuple[FileReach, ...] = ()


_ADAPTER: Final = TypeAdapter(RunRecord)


def dump_record(record: RunRecord) -> str:
    """Return the JSON text of ``record``, indented, with a final newline."""
    return _ADAPTER.dump_json(record, indent=2).decode() + "\n"


def load_record(text: str | bytes) -> RunRecord:
    """Read a record back; raises :class:`pydantic.ValidationError` where it is none."""
    return _ADAPTER.validate_json(text, strict=True)


def record_schema() -> str:
    """Return the JSON schema of ``record.json``, as it is kept in the repository."""
    return json.dumps(_ADAPTER.json_schema(mode="serialization"), indent=2) + "\n"
