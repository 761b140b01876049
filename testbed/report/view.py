"""What a report shows of a run record, worked out once for the terminal and for HTML."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isfinite, log
from typing import Final

from testbed.core.compare import WORST_FIRST, is_bad
from testbed.core.exit_code import REGRESSIONS, did_boot, did_build
from testbed.core.record import CellRecord, Change, ChangeKind, KernelRecord, Role, RunRecord
from testbed.core.result import Metric, Placement, TestResult, Verdict
from testbed.report.text import join_line
from testbed.report.words import label_kind, label_verdict, tone_of

QUIET_KINDS: Final = frozenset(
    {ChangeKind.STILL_PASSING, ChangeKind.STILL_SKIPPED, ChangeKind.KNOWN}
)
"""The changes that are counted, not listed."""

_DOWN: Final = frozenset({Verdict.BOOT_FAILED, Verdict.BUILD_FAILED})
_GRAVE: Final = frozenset({*REGRESSIONS, ChangeKind.LOST})


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One kernel's end of a finding; ``result`` is None where the test did not run."""

    role: Role
    verdict: Verdict | None
    result: TestResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A test on a topology that a reader has to look at.

    ``sides`` are base and patched, or the one kernel of a run without a comparison; ``is_grave``
    tells what needs work from what is listed for completeness.
    """

    number: int
    kind: ChangeKind | None
    test: str
    topology: str
    sides: tuple[Side, ...]
    is_grave: bool

    @property
    def label(self) -> str:
        """What became of the test, in a word or two."""
        return label_kind(self.kind) if self.kind else label_verdict(self.sides[-1].verdict)

    @property
    def tone(self) -> str:
        """How bad it is: ``bad``, ``warn``, ``good`` or ``info``."""
        return tone_of(self.kind or self.sides[-1].verdict)

    @property
    def shown(self) -> TestResult | None:
        """The result that explains it: the patched kernel's, unless that is the good one."""
        ran = [s.result for s in reversed(self.sides) if s.result is not None]
        return next((r for r in ran if r.verdict is not Verdict.PASSED), ran[0] if ran else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A cell whose kernel did not build or boot, with all of its tests in one."""

    cell: CellRecord
    is_build: bool
    is_regression: bool

    @property
    def label(self) -> str:
        """What happened, as a predicate."""
        return "did not build" if self.is_build else "did not boot"

    @property
    def cause(self) -> str:
        """The first thing to read about it; empty where nothing is known."""
        crash = self.cell.boot_crash
        messages = (test.message for test in self.cell.tests)
        title = crash.title if crash else next(filter(None, messages), "")
        return self.cell.kernel.failure if self.is_build and self.cell.kernel.failure else title


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """A metric on both kernels; ``ratio`` is patched to base, None where there is none."""

    test: str
    topology: str
    name: str
    unit: str
    base: float | None
    patched: float | None

    @property
    def ratio(self) -> float | None:
        """Patched divided by base."""
        if self.base is None or self.patched is None or not self.base > 0 or not self.patched > 0:
            return None
        ratio = self.patched / self.base
        return ratio if isfinite(ratio) and ratio > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """A test with its result in each cell, in the order of :func:`list_columns`."""

    test: str
    results: tuple[TestResult | None, ...]
    findings: tuple[Finding | None, ...]
    kind: ChangeKind | None
    is_quiet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRows:
    """The tests of one file."""

    file: str
    rows: tuple[MatrixRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssue:
    """A test that is declared to fail on a kernel of the run, and why.

    It fails as declared on ``topologies``; where there are none, it passed wherever it ran, and the
    issue may be gone.
    """

    test: str
    why: str
    topologies: tuple[str, ...]


def split_id(test_id: str) -> tuple[str, str]:
    """Return file and case of a test id; a file alone is its own case."""
    file, found, case = test_id.partition("::")
    return (file, case) if found else ("", file)


def shared_folder(test_ids: Iterable[str]) -> str:
    """Return the folder, with its slash, that the files of all these tests lie in."""
    folders = [split_id(test_id)[0].split("/")[:-1] for test_id in test_ids]
    shared = folders[0] if folders else []
    for folder in folders[1:]:
        shared = [a for n, a in enumerate(shared) if folder[: n + 1] == shared[: n + 1]]
    return "".join(f"{name}/" for name in shared)


def list_kernels(record: RunRecord) -> tuple[KernelRecord, ...]:
    """Return the kernels of a run, each once, the base first."""
    kernels = {cell.kernel.key: cell.kernel for cell in record.cells}
    return tuple(sorted(kernels.values(), key=lambda k: k.role is not Role.BASE))


def list_columns(record: RunRecord) -> tuple[CellRecord, ...]:
    """Return the cells by topology, in the order of the run, the base first in each."""
    order = {name: n for n, name in reversed(list(enumerate(c.topology for c in record.cells)))}
    return tuple(
        sorted(record.cells, key=lambda c: (order[c.topology], c.kernel.role is not Role.BASE))
    )


def count_kinds(record: RunRecord) -> dict[ChangeKind, int]:
    """Return how many tests changed in each way, the worst first, none left out."""
    return {kind: sum(c.kind is kind for c in record.comparison) for kind in WORST_FIRST}


def count_verdicts(tests: Iterable[TestResult]) -> dict[Verdict, int]:
    """Return how many tests ended in each verdict that occurred."""
    counts = defaultdict[Verdict, int](int)
    for test in tests:
        counts[test.verdict] += 1
    return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}


def find_outages(record: RunRecord) -> tuple[Outage, ...]:
    """Return the cells whose kernel did not build or boot."""
    good = {c.topology for c in record.cells if c.kernel.role is Role.BASE and did_boot(c)}
    return tuple(
        Outage(
            cell=cell,
            is_build=not did_build(cell),
            is_regression=cell.kernel.role is Role.PATCHED and cell.topology in good,
        )
        for cell in list_columns(record)
        if not did_boot(cell)
    )


def list_findings(record: RunRecord) -> tuple[Finding, ...]:
    """Return what a reader has to look at, the worst first; an outage stands for its tests."""
    results = _index_results(record.cells)
    down = {(o.cell.kernel.role, o.cell.topology) for o in find_outages(record)}
    found = _compared(record, results) if record.comparison else _failed(record)
    kept = [
        (kind, test, topology, sides)
        for kind, test, topology, sides in found
        if not any(s.verdict in _DOWN and (s.role, topology) in down for s in sides)
    ]
    return tuple(
        Finding(
            number=number,
            kind=kind,
            test=test,
            topology=topology,
            sides=sides,
            is_grave=kind is None or kind in _GRAVE,
        )
        for number, (kind, test, topology, sides) in enumerate(kept, start=1)
    )


def list_matrix(record: RunRecord, findings: Sequence[Finding]) -> tuple[FileRows, ...]:
    """Return all tests by file, in the order in which they were first run."""
    columns = list_columns(record)
    by_cell = [{test.id: test for test in cell.tests} for cell in columns]
    found = {(f.topology, f.test): f for f in findings}
    kinds = _worst_kinds(record.comparison)
    files: defaultdict[str, list[MatrixRow]] = defaultdict(list)
    for test in dict.fromkeys(t.id for cell in columns for t in cell.tests):
        results = tuple(cell.get(test) for cell in by_cell)
        files[split_id(test)[0]].append(
            MatrixRow(
                test=test,
                results=results,
                findings=tuple(found.get((cell.topology, test)) for cell in columns),
                kind=kinds.get(test),
                is_quiet=_is_quiet(results, kinds.get(test)),
            )
        )
    return tuple(FileRows(file=file, rows=tuple(rows)) for file, rows in files.items())


def list_metrics(record: RunRecord) -> tuple[MetricRow, ...]:
    """Return every metric on both kernels, what changed the most first.

    A metric that a test reports several times is paired in the order of its reports.
    """
    rows = []
    results = _index_results(record.cells)
    for topology, test in dict.fromkeys((topology, test) for _, topology, test in results):
        base = _metrics_of(results.get((Role.BASE, topology, test)))
        patched = _metrics_of(results.get((Role.PATCHED, topology, test)))
        for name, unit in {**base, **patched}:
            pairs = zip_longest(base.get((name, unit), ()), patched.get((name, unit), ()))
            rows += [
                MetricRow(
                    test=test, topology=topology, name=name, unit=unit, base=before, patched=after
                )
                for before, after in pairs
            ]
    return tuple(sorted(rows, key=_by_movement))


def list_known(record: RunRecord) -> tuple[KnownIssue, ...]:
    """Return the tests that are declared to fail, those first that do."""
    seen: defaultdict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for cell in list_columns(record):
        for test in cell.tests:
            if test.known:
                topologies = seen[test.id, test.known]
                does_fail = test.verdict is not Verdict.PASSED
                topologies[cell.topology] = does_fail or topologies.get(cell.topology, False)
    issues = [
        KnownIssue(test=test, why=why, topologies=tuple(t for t, failed in on.items() if failed))
        for (test, why), on in seen.items()
    ]
    return tuple(sorted(issues, key=lambda issue: not issue.topologies))


def wrong_placements(result: TestResult | None) -> tuple[Placement, ...]:
    """Return the placements of ``result`` that were not as expected."""
    return tuple(p for p in result.placements if not p.is_as_expected) if result else ()


def first_line(result: TestResult) -> str:
    """Return the crash's title or the message's first line, whichever says what happened."""
    lines = (join_line(line) for line in result.message.splitlines())
    return result.crash.title if result.crash else next(filter(None, lines), "")


def _compared(
    record: RunRecord, results: Mapping[tuple[Role, str, str], TestResult]
) -> list[tuple[ChangeKind | None, str, str, tuple[Side, ...]]]:
    return [
        (change.kind, change.test, change.topology, _sides_of(change, results))
        for change in record.comparison
        if change.kind not in QUIET_KINDS
    ]


def _sides_of(
    change: Change, results: Mapping[tuple[Role, str, str], TestResult]
) -> tuple[Side, ...]:
    return tuple(
        Side(role=role, verdict=verdict, result=results.get((role, change.topology, change.test)))
        for role, verdict in ((Role.BASE, change.before), (Role.PATCHED, change.after))
    )


def _failed(record: RunRecord) -> list[tuple[ChangeKind | None, str, str, tuple[Side, ...]]]:
    return [
        (
            None,
            test.id,
            cell.topology,
            (Side(role=cell.kernel.role, verdict=test.verdict, result=test),),
        )
        for cell in list_columns(record)
        for test in cell.tests
        if is_bad(test.verdict) or test.verdict is Verdict.LOST
    ]


def _index_results(cells: Iterable[CellRecord]) -> dict[tuple[Role, str, str], TestResult]:
    """Index by role, topology and test; of several results of a test the failed one counts."""
    index: dict[tuple[Role, str, str], TestResult] = {}
    for cell in cells:
        for test in cell.tests:
            key = (cell.kernel.role, cell.topology, test.id)
            if key not in index or is_bad(test.verdict):
                index[key] = test
    return index


def _by_movement(row: MetricRow) -> tuple[bool, float, str, str, str]:
    moved = 0.0 if row.ratio is None else round(abs(log(row.ratio)), 4)
    return row.ratio is None, -moved, row.name, row.test, row.topology


def _metrics_of(result: TestResult | None) -> dict[tuple[str, str], list[float]]:
    metrics: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for metric in _finite(result.metrics if result else ()):
        metrics[metric.name, metric.unit].append(metric.value)
    return metrics


def _finite(metrics: Iterable[Metric]) -> Iterable[Metric]:
    return (metric for metric in metrics if isfinite(metric.value))


def _worst_kinds(comparison: Iterable[Change]) -> dict[str, ChangeKind]:
    kinds: dict[str, ChangeKind] = {}
    for change in comparison:
        other = kinds.get(change.test, change.kind)
        kinds[change.test] = min(other, change.kind, key=WORST_FIRST.index)
    return kinds


def _is_quiet(results: Iterable[TestResult | None], kind: ChangeKind | None) -> bool:
    if kind is not None:
        return kind in QUIET_KINDS
    return not any(r and (is_bad(r.verdict) or r.verdict is Verdict.LOST) for r in results)
