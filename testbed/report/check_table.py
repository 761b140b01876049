"""What came of a check, for the terminal: a row a patch, the variants, the findings, the verdict.

Everything that is printed is cleaned and never read as rich's markup: a patch's subject and a
compiler's words are the sender's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from testbed.core.check import (
    EXIT_CLEAN,
    CheckpatchCount,
    CheckReport,
    Finding,
    FindingKind,
    PatchCheck,
    VariantCheck,
    count_findings,
    decide_exit,
)
from testbed.report.text import clean_text, clip_lines, count, format_seconds, show_line

_BAD: Final = "bold red"
_GOOD: Final = "green"
_WARN: Final = "yellow"
_DIM: Final = "dim"

_FLEXIBLE: Final = frozenset({"patch", "remarks"})
_SUBJECT_MIN_WIDTH: Final = 12
_LINE_CHARS: Final = 400
_DETAIL_LINES: Final = 8
_MAX_FILES: Final = 4
_MAX_OF_A_KIND: Final = 12  # of one patch; all are counted
_NOUNS: Final = {
    FindingKind.DOES_NOT_APPLY: "patch that does not apply",
    FindingKind.DOES_NOT_BUILD: "patch that does not build",
    FindingKind.WARNING: "new warning",
    FindingKind.CHECKPATCH: "checkpatch error",
    FindingKind.HEADER: "header problem",
    FindingKind.KCONFIG: "kconfig problem",
    FindingKind.VARIANT: "finding in variants",
    FindingKind.SPARSE: "new message of sparse",
}
_PLURALS: Final = {
    FindingKind.DOES_NOT_APPLY: "patches that do not apply",
    FindingKind.DOES_NOT_BUILD: "patches that do not build",
    FindingKind.VARIANT: "findings in variants",
    FindingKind.SPARSE: "new messages of sparse",
}


@dataclass(frozen=True, slots=True)
class _Subject:
    """A line that is cut where the column ends: a subject's beginning says most."""

    text: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(self.text)
        return Measurement(min(_SUBJECT_MIN_WIDTH, width), width).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.text, no_wrap=True, overflow="ellipsis")


def render_check(report: CheckReport) -> RenderableType:
    """Return the tables, the findings in words, and the verdict as the last line."""
    parts: list[RenderableType] = [
        _text(f"{_line(report.name)} on {_line(report.source)}", "bold"),
        _render_patches(report.patches),
    ]
    parts += _render_notes(report.patches)
    if report.variants:
        parts += [Text(""), _render_variants(report.variants)]
    parts += _render_findings(report.findings)
    if report.notes:
        parts += [Text(""), *(_text(f"note: {_line(note)}", _DIM) for note in report.notes)]
    parts += [Text(""), _render_times(report), *_render_counts(report), _render_verdict(report)]
    return Group(*parts)


def _new_table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for head in heads:
        table.add_column(head, no_wrap=head not in _FLEXIBLE, overflow="fold")
    return table


def _render_patches(patches: Iterable[PatchCheck]) -> Table:
    table = _new_table("", "patch", "applies", "builds", "warnings", "checkpatch", "header")
    for one in patches:
        table.add_row(
            _text(str(one.number)),
            _Subject(_line(one.subject or one.filename)),
            _tell_applies(one),
            _tell_bool(one.builds, good="yes", bad="no"),
            _tell_count(one.warnings, "new"),
            _tell_checkpatch(one.checkpatch),
            _tell_count(one.header_problems, "wrong"),
        )
    return table


def _tell_applies(one: PatchCheck) -> Text:
    if one.applies and one.notes:
        return _text("not plainly", _WARN)
    return _tell_bool(one.applies, good="yes", bad="no")


def _tell_bool(value: bool | None, *, good: str, bad: str) -> Text:  # noqa: FBT001 - a result
    if value is None:
        return _text("-", _DIM)
    return _text(good, _GOOD) if value else _text(bad, _BAD)


def _tell_count(value: int | None, noun: str) -> Text:
    if value is None:
        return _text("-", _DIM)
    return _text(f"{value} {noun}", _BAD) if value else _text("none", _GOOD)


def _tell_checkpatch(found: CheckpatchCount | None) -> Text:
    """Return, say, ``1 error, 2 warnings``; checks only where there is nothing else."""
    if found is None:
        return _text("-", _DIM)
    told = [
        count(number, noun)
        for number, noun in ((found.errors, "error"), (found.warnings, "warning"))
        if number
    ]
    if told:
        return _text(", ".join(told), _BAD if found.errors else _WARN)
    return _text(count(found.checks, "check") if found.checks else "clean", _GOOD)


def _render_notes(patches: Iterable[PatchCheck]) -> Iterator[Text]:
    for one in patches:
        for note in one.notes:
            yield _text(f"patch {one.number}: {_line(note)}", _WARN)


def _render_variants(variants: Iterable[VariantCheck]) -> Table:
    table = _new_table("variant", "compiled", "found", "without the series too", "remarks")
    for one in variants:
        names = [*one.not_built[:_MAX_FILES], *(["..."] if one.not_built[_MAX_FILES:] else [])]
        words = f"not built in this variant: {', '.join(names)}" if names else ""
        table.add_row(
            _text(one.name),
            _text(count(one.files, "file"), "" if one.files else _WARN),
            _tell_count(one.findings, "new") if one.files or one.findings else _text("-", _DIM),
            _text(str(one.known) if one.known else "none", _DIM),
            _text(_line(one.trouble or words), _WARN if one.trouble else _DIM),
        )
    return table


def _render_findings(findings: Iterable[Finding]) -> Iterator[RenderableType]:
    shown: dict[tuple[FindingKind, int | None], int] = {}
    ordered = sorted(findings, key=lambda one: (one.patch_number is None, one.patch_number or 0))
    place: int | None = -1
    for one in ordered:
        key = (one.kind, one.patch_number)
        shown[key] = shown.get(key, 0) + 1
        if shown[key] > _MAX_OF_A_KIND:
            continue
        if one.patch_number != place:
            place = one.patch_number
            yield Text("")
            yield _text(_tell_place(one), "bold")
        style = _BAD if one.is_blocking else _WARN
        label = Text.assemble(_text(f"{one.kind}: ", style), _text(_line(one.title)))
        yield Padding(label, (0, 0, 0, 2), expand=False)
        if one.detail:
            detail = clip_lines(clean_text(one.detail), _DETAIL_LINES)
            # A path that is broken in two cannot be copied.
            for line in detail.splitlines():
                yield Text(f"    {line}", style=_DIM, no_wrap=" " not in line, overflow="ignore")
    left = {key: number - _MAX_OF_A_KIND for key, number in shown.items()}
    for (kind, number), more in left.items():
        if more > 0:
            where = f"patch {number}" if number else "the series"
            yield _text(f"  and {more} more of {where}: {kind}", _DIM)


def _tell_place(finding: Finding) -> str:
    if finding.patch_number is None:
        return "the series as a whole"
    return f"patch {finding.patch_number}: {_line(finding.patch)}"


def _render_times(report: CheckReport) -> Text:
    told = ", ".join(f"{one.stage} {format_seconds(one.seconds)}" for one in report.stages)
    return _text(told, _DIM)


def _render_counts(report: CheckReport) -> Iterator[Text]:
    """Yield a line of what was found, and of how much is told without counting."""
    kinds = count_findings(report.findings)
    told = [_count_kind(number, kind) for kind, number in kinds.items()]
    free = sum(not one.is_blocking for one in report.findings)
    if free:
        told.append(f"{free} told that {'does' if free == 1 else 'do'} not count")
    if told:
        yield _text(f"found: {', '.join(told)}")


def _render_verdict(report: CheckReport) -> Text:
    code = decide_exit(report)
    kinds = count_findings(report.findings)
    patches = count(len(report.patches), "patch", plural="patches")
    found = count(sum(kinds.values()), "finding") if kinds else "nothing found"
    line = f"{patches}, {found} in {format_seconds(report.seconds)}; exit {code}"
    return _text(line, _GOOD if code == EXIT_CLEAN else _BAD)


def _count_kind(number: int, kind: FindingKind) -> str:
    return count(number, _NOUNS[kind], plural=_PLURALS.get(kind, ""))


def _line(text: str) -> str:
    return show_line(text, width=_LINE_CHARS)


def _text(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="fold")
