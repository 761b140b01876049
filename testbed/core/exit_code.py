"""The exit code of a run, and the sentence that explains it.

3 outranks 1 outranks 69 outranks 0: what is wrong with a kernel is told before what is wrong with
a test, and either before what is wrong with the host.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from testbed.core.compare import is_bad
from testbed.core.record import CellRecord, Change, ChangeKind, Culprit, Role, StepRecord
from testbed.core.result import Verdict

EXIT_OK: Final = 0
EXIT_REGRESSED: Final = 1
EXIT_KERNEL: Final = 3
EXIT_INFRA: Final = 69

REGRESSIONS: Final = (ChangeKind.REGRESSED, ChangeKind.NEW_FAILING, ChangeKind.GONE)
"""The changes that make a run fail, in the order in which they are told."""

_UNRUN: Final = frozenset({Verdict.SKIPPED, Verdict.LOST})
_LABELS: Final = {
    ChangeKind.REGRESSED: "regressed",
    ChangeKind.NEW_FAILING: "new and failing",
    ChangeKind.GONE: "no longer run",
}
_SUCCESSES: Final = {
    ChangeKind.STILL_PASSING: "still passing",
    ChangeKind.NEW: "new",
    ChangeKind.FIXED: "fixed",
    ChangeKind.STILL_FAILING: "still failing",
    ChangeKind.KNOWN: "known",
    ChangeKind.STILL_SKIPPED: "skipped",
}
_SHOWN_CHARS: Final = 160


def did_build(cell: CellRecord) -> bool:
    """Whether the kernel of ``cell`` was built."""
    verdicts = (test.verdict for test in cell.tests)
    return not cell.kernel.failure and Verdict.BUILD_FAILED not in verdicts


def did_boot(cell: CellRecord) -> bool:
    """Whether the kernel of ``cell`` was built and came up on its topology.

    A boot that fails once among boots that succeed is the verdict of that one test.
    """
    all_failed = bool(cell.tests) and all(t.verdict is Verdict.BOOT_FAILED for t in cell.tests)
    return did_build(cell) and cell.boot_crash is None and not all_failed


def decide_exit(
    cells: Sequence[CellRecord],
    comparison: Sequence[Change],
    *,
    steps: Sequence[StepRecord] = (),
    culprits: Sequence[Culprit] = (),
) -> tuple[int, str]:
    """Return the exit code of a run and a one-line reason.

    ``comparison`` is empty where one kernel was run alone; any failure then counts. The codes: 3
    a kernel did not build or boot, on the way through a series too; 1 something regressed or
    failed, for a few patches only too; 69 tests were lost, or none ran; 0 otherwise, also where
    tests fail that failed on the base already.
    """
    rules: tuple[tuple[int, Callable[[], str]], ...] = (
        (EXIT_KERNEL, lambda: _join(_tell_steps(steps), _tell_kernels(cells, comparison))),
        (EXIT_REGRESSED, lambda: _tell_failures(cells, comparison)),
        (EXIT_REGRESSED, lambda: _tell_mended(culprits)),
        (EXIT_INFRA, lambda: _tell_unrun(cells)),
    )
    for code, tell in rules:
        if reason := tell():
            return code, reason
    return EXIT_OK, _tell_success(cells, comparison)


def _tell_kernels(cells: Sequence[CellRecord], comparison: Sequence[Change]) -> str:
    unbuilt = {c.kernel.key: c for c in cells if not did_build(c)}
    unbooted = [c for c in cells if did_build(c) and not did_boot(c)]
    told = [_tell_build(cell, cells) for cell in unbuilt.values()]
    told += [_tell_boot(cell, cells) for cell in unbooted]
    if not told:
        return ""
    down = {c.topology for c in cells if not did_boot(c)}
    rest = _tell_regressions([c for c in comparison if c.topology not in down])
    return "; ".join([*told, f"besides, {rest}"] if rest else told)


def _tell_steps(steps: Sequence[StepRecord]) -> str:
    return "; ".join(
        f"after patch {step.patch.number} ({step.patch.subject}) the kernel did not {what}"
        f"{_quote(cause)}"
        for step in steps
        if not step.without
        for what, cause in _find_step_failures(step)
    )


def _find_step_failures(step: StepRecord) -> list[tuple[str, str]]:
    if step.kernel.failure:
        return [("build", step.kernel.failure)]
    return [
        (f"boot on {cell.topology}", cell.boot_crash.title if cell.boot_crash else "")
        for cell in step.cells
        if not did_boot(cell)
    ]


def _tell_mended(culprits: Sequence[Culprit]) -> str:
    mended = sum(culprit.mended_by is not None for culprit in culprits)
    return f"{_count(mended, 'test')} failed in the middle of the series" if mended else ""


def _join(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _tell_build(cell: CellRecord, cells: Sequence[CellRecord]) -> str:
    does_base = any(c.kernel.role is Role.BASE and did_build(c) for c in cells)
    contrast = _contrast(cell, does_base=does_base)
    return f"the {cell.kernel.role} kernel did not build{contrast}{_quote(cell.kernel.failure)}"


def _tell_boot(cell: CellRecord, cells: Sequence[CellRecord]) -> str:
    rivals = [c for c in cells if c.kernel.role is Role.BASE and c.topology == cell.topology]
    contrast = _contrast(cell, does_base=any(did_boot(c) for c in rivals))
    title = cell.boot_crash.title if cell.boot_crash else ""
    return f"the {cell.kernel.role} kernel did not boot on {cell.topology}{contrast}{_quote(title)}"


def _contrast(cell: CellRecord, *, does_base: bool) -> str:
    is_regression = cell.kernel.role is Role.PATCHED and does_base
    return ", which the base kernel does: a regression" if is_regression else ""


def _tell_failures(cells: Sequence[CellRecord], comparison: Sequence[Change]) -> str:
    if comparison:
        told = _tell_regressions(comparison)
        fixed = sum(c.kind is ChangeKind.FIXED for c in comparison)
        notes = [f"{fixed} fixed"] if told and fixed else []
    else:
        failed = sum(is_bad(verdict) for verdict in _verdicts(cells))
        told = f"{_count(failed, 'test')} failed" if failed else ""
        notes = []
    lost = sum(verdict is Verdict.LOST for verdict in _verdicts(cells))
    if told and lost:
        notes.append(f"{lost} lost")
    return ", ".join([told, *notes])


def _tell_regressions(comparison: Iterable[Change]) -> str:
    """Return, say, ``2 tests regressed, 1 test no longer run``; nothing where there are none."""
    kinds = Counter(change.kind for change in comparison)
    seen = (kind for kind in REGRESSIONS if kinds[kind])
    return ", ".join(f"{_count(kinds[kind], 'test')} {_LABELS[kind]}" for kind in seen)


def _tell_unrun(cells: Sequence[CellRecord]) -> str:
    verdicts = Counter(_verdicts(cells))
    total, lost = verdicts.total(), verdicts[Verdict.LOST]
    if lost:
        return f"{lost} of {_count(total, 'test run')} lost to the host: run again"
    if not total:
        return "no test ran: none was selected or collected"
    if set(verdicts) <= _UNRUN:
        return f"no test ran: all {total} were skipped"
    return ""


def _tell_success(cells: Sequence[CellRecord], comparison: Sequence[Change]) -> str:
    if not comparison:
        verdicts = Counter(_verdicts(cells))
        others = (Verdict.KNOWN, Verdict.SKIPPED)
        rest = "".join(f", {verdicts[one]} {one}" for one in others if verdicts[one])
        return f"{_count(verdicts[Verdict.PASSED], 'test')} passed{rest}"
    kinds = Counter(change.kind for change in comparison)
    told = (f"{kinds[kind]} {label}" for kind, label in _SUCCESSES.items() if kinds[kind])
    return f"nothing regressed: {', '.join(told)}"


def _verdicts(cells: Iterable[CellRecord]) -> list[Verdict]:
    return [test.verdict for cell in cells for test in cell.tests]


def _quote(text: str) -> str:
    """Return ``text`` in brackets and in one line, or nothing; it may be a console's."""
    words = "".join(c if c.isprintable() else " " for c in text).split()
    line = " ".join(words)
    if len(line) > _SHOWN_CHARS:
        line = line[: _SHOWN_CHARS - 1] + "…"
    return f" ({line})" if line else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
