"""What came of a run, for the terminal: a table, the regressions in detail, one line of counts.

Everything that is printed goes through :func:`_text`: it is never read as rich's markup, and a
guest cannot send escape sequences to the user's terminal.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from testbed.core.gcov import FileReach, format_share
from testbed.core.record import ChangeKind, RunRecord
from testbed.core.result import Crash, LogFile, TestResult, Verdict
from testbed.core.text import shorten_middle
from testbed.report.steps import describe_step, list_steps
from testbed.report.text import (
    clean_text,
    clip_lines,
    clip_text,
    count,
    describe_counts,
    format_seconds,
    show_line,
)
from testbed.report.view import (
    Finding,
    Outage,
    count_kinds,
    find_outages,
    list_findings,
    list_known,
    shared_folder,
    wrong_placements,
)
from testbed.report.words import headline, label_kind, label_verdict, tone_of

_STYLES: Final = {
    "bad": "bold red",
    "warn": "yellow",
    "good": "green",
    "info": "cyan",
    "calm": "dim",
}
_ID_MIN_WIDTH: Final = 12
_MESSAGE_LINES: Final = 12
_MESSAGE_CHARS: Final = 1200
_FRAMES: Final = 5
_PLACEMENTS: Final = 6
_LINE_CHARS: Final = 300
_TEXT_CHARS: Final = 2000
_MAX_KNOWN: Final = 12
_MAX_FINDINGS: Final = 8  # more would push the table off the screen; the page has them all


@dataclass(frozen=True, slots=True)
class _Shortened:
    """A line that gives up its middle where it does not fit the column."""

    text: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(self.text)
        return Measurement(min(_ID_MIN_WIDTH, width), width).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = shorten_middle(self.text, width=options.max_width)
        yield Text(shown, no_wrap=True, overflow="ellipsis")


def render_summary(record: RunRecord) -> RenderableType:
    """Return the table of what changed, the details of what regressed, and the line of counts.

    Tests that pass or are skipped on both kernels are counted in one line, and so are those that
    fail as is known of them, with what is known. Without a comparison the table holds the tests
    that failed.
    """
    outages, findings = find_outages(record), list_findings(record)
    parts: list[RenderableType] = []
    if outages or findings:
        parts.append(_render_table(record, outages, findings))
    quiet = [*_quiet_lines(record), *_known_lines(record)]
    parts += [Padding(_text(line, "dim"), (0, 0, 0, 1)) for line in quiet]
    parts += _render_blocks(outages, findings)
    if record.steps:
        parts.append(Padding(_render_steps(record), (1, 0, 0, 0)))
    if record.reach:
        parts.append(Padding(_render_reach(record.reach), (1, 0, 0, 0)))
    return Group(*parts, Text(""), _render_last_line(record))


def render_details(record: RunRecord) -> RenderableType:
    """Return a block for each kernel that is down and each test that regressed or failed."""
    return Group(*_render_blocks(find_outages(record), list_findings(record)))


def _render_table(
    record: RunRecord, outages: tuple[Outage, ...], findings: tuple[Finding, ...]
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=False, padding=(0, 1))
    folder = shared_folder(finding.test for finding in findings)
    table.add_column(_text(f"test in {_line(folder)}" if folder else "test"))
    heads = ("base", "patched", "change") if record.comparison else ("verdict",)
    table.add_column("topology")
    for head in heads:
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for outage in outages:
        table.add_row(*_outage_cells(outage, is_compared=bool(record.comparison)))
    for finding in findings:
        verdicts = [_verdict_text(side.verdict) for side in finding.sides]
        change = [_text(finding.label, _STYLES[finding.tone])] if finding.kind else []
        test = _Shortened(_line(finding.test.removeprefix(folder)))
        table.add_row(test, _Shortened(_line(finding.topology)), *verdicts, *change)
    return table


def _outage_cells(outage: Outage, *, is_compared: bool) -> Iterator[RenderableType]:
    role = outage.cell.kernel.role
    yield _text(f"all {count(len(outage.cell.tests), 'test')}", _STYLES["bad"])
    yield _Shortened(_line(outage.cell.topology))
    verdict = Verdict.BUILD_FAILED if outage.is_build else Verdict.BOOT_FAILED
    if not is_compared:
        yield _verdict_text(verdict)
        return
    for side in ("base", "patched"):
        yield _verdict_text(verdict) if side == role else _text("")
    kind = ChangeKind.REGRESSED if outage.is_regression else None
    yield _text(label_kind(kind) if kind else "", _STYLES["bad"])


def _render_steps(record: RunRecord) -> Table:
    """Return the table of what each patch did."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=False, padding=(0, 1))
    table.add_column("", justify="right")
    table.add_column("patch", ratio=1)
    table.add_column("what it does to the tests", ratio=1, overflow="fold")
    for row in list_steps(record):
        subject = _Shortened(_line(row.patch.subject))
        words = _text(describe_step(row), _STYLES[row.tone])
        table.add_row(str(row.patch.number), subject, words)
    return table


def _render_reach(reach: Sequence[FileReach]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=True, show_edge=False, padding=(0, 1))
    table.add_column("what ran of", overflow="ellipsis")
    for head in ("lines", "branches", "lines without a reason"):
        table.add_column(head, justify="right")
    for file in reach:
        table.add_row(
            _Shortened(_line(file.path)),
            _text(format_share(*file.lines)),
            _text(format_share(*file.branches)),
            _text(str(file.unexplained)),
        )
    return table


def _quiet_lines(record: RunRecord) -> Iterator[str]:
    if record.comparison:
        kinds = count_kinds(record)
        for kind in (ChangeKind.STILL_PASSING, ChangeKind.STILL_SKIPPED, ChangeKind.KNOWN):
            if kinds[kind]:
                yield f"{count(kinds[kind], 'test')} {label_kind(kind)}"
        return
    verdicts = Counter(test.verdict for cell in record.cells for test in cell.tests)
    for verdict in (Verdict.PASSED, Verdict.SKIPPED, Verdict.KNOWN):
        if verdicts[verdict]:
            yield f"{count(verdicts[verdict], 'test')} {label_verdict(verdict)}"


def _known_lines(record: RunRecord) -> Iterator[str]:
    """Yield the issues that are declared of the kernel: those that are there, and those gone."""
    issues = list_known(record)
    there = [issue for issue in issues if issue.topologies]
    gone = [issue for issue in issues if not issue.topologies]
    for found, what in ((there, "known to fail"), (gone, "passed, though known to fail")):
        if found:
            yield f"{count(len(found), 'test')} {what}:"
        for issue in found[:_MAX_KNOWN]:
            yield f"  {_line(issue.test)}: {_line(issue.why)}"
        if len(found) > _MAX_KNOWN:
            yield f"  … and {len(found) - _MAX_KNOWN} more"


def _render_blocks(
    outages: tuple[Outage, ...], findings: tuple[Finding, ...]
) -> list[RenderableType]:
    grave = [finding for finding in findings if finding.is_grave]
    blocks = [_render_outage(outage) for outage in outages]
    blocks += [_render_finding(finding) for finding in grave[:_MAX_FINDINGS]]
    if len(grave) > _MAX_FINDINGS:
        left = count(len(grave) - _MAX_FINDINGS, "more test")
        blocks.append(_text(f"the report has the details of {left}", "dim"))
    return [Padding(block, (1, 1, 0, 1)) for block in blocks]


def _render_outage(outage: Outage) -> RenderableType:
    cell = outage.cell
    title = f"the {cell.kernel.role} kernel {outage.label}"
    lines: list[RenderableType] = [_heading(title, cell.topology, _STYLES["bad"])]
    if outage.cause:
        lines.append(_message(outage.cause))
    if cell.boot_crash:
        lines += _render_crash(cell.boot_crash, is_titled=outage.cause != cell.boot_crash.title)
    lines += _render_logs(cell.kernel.logs if outage.is_build else cell.logs)
    return Group(*lines)


def _render_finding(finding: Finding) -> RenderableType:
    ends = ", ".join(f"{label_verdict(side.verdict)} on {side.role}" for side in finding.sides)
    lines: list[RenderableType] = [
        _heading(finding.label, finding.topology, _STYLES[finding.tone]),
        _text(_line(finding.test), "bold"),
        _text(f"  {ends}", "dim"),
    ]
    result = finding.shown
    if result is None:
        return Group(*lines)
    if result.crash:
        lines += _render_crash(result.crash, is_titled=True)
    if result.message:
        lines.append(_message(result.message))
    return Group(*lines, *_render_placements(result), *_render_logs(result.logs))


def _render_placements(result: TestResult) -> Iterator[RenderableType]:
    wrong = wrong_placements(result)
    for placement in wrong[:_PLACEMENTS]:
        expected, seen = (_line(describe_counts(c)) for c in (placement.expected, placement.seen))
        yield _text(f"  {_line(placement.what)}")
        yield Text.assemble(
            "    expected ", (expected, _STYLES["good"]), " / seen ", (seen, _STYLES["bad"])
        )
    if len(wrong) > _PLACEMENTS:
        yield _text(f"  … and {count(len(wrong) - _PLACEMENTS, 'more mapping')} elsewhere", "dim")


def _render_crash(crash: Crash, *, is_titled: bool) -> Iterator[RenderableType]:
    if is_titled:
        yield _text(f"  {_line(crash.title)}", _STYLES["bad"])
    if crash.frames:
        shown = " < ".join(_line(frame) for frame in crash.frames[:_FRAMES])
        more = " < …" if len(crash.frames) > _FRAMES else ""
        yield Padding(_text(f"in {shown}{more}"), (0, 0, 0, 4))


def _render_logs(logs: tuple[LogFile, ...]) -> Iterator[RenderableType]:
    for log in logs:
        # A path that is broken in two cannot be copied.
        line = f"  {_line(log.kind)}: {_line(log.path)}"
        yield Text(line, style="dim", no_wrap=True, overflow="ignore")


def _render_last_line(record: RunRecord) -> Text:
    style = _STYLES["good" if record.exit_code == 0 else "bad"]
    line = Text.assemble((headline(record), style), ": ")
    if record.comparison:
        kinds = count_kinds(record)
        told = [(f"{n} {label_kind(k)}", _STYLES[tone_of(k)]) for k, n in kinds.items() if n]
    else:
        verdicts = Counter(test.verdict for cell in record.cells for test in cell.tests)
        told = [
            (f"{verdicts[v]} {label_verdict(v)}", _STYLES[tone_of(v)])
            for v in Verdict
            if verdicts[v]
        ]
    line.append_text(
        Text(", ").join(_text(words, tone) for words, tone in told or [("0 tests", "")])
    )
    line.append(f" in {format_seconds(record.seconds)}; exit {record.exit_code}")
    if record.exit_code not in (0, 1):
        line.append_text(_text(f": {_line(record.exit_reason)}"))
    return line


def _heading(label: str, topology: str, style: str) -> Text:
    return Text.assemble(_text(label, style), " on ", _text(_line(topology)))


def _verdict_text(verdict: Verdict | None) -> Text:
    return _text(label_verdict(verdict), _STYLES[tone_of(verdict)])


def _message(message: str) -> RenderableType:
    shown = clip_lines(clip_text(clean_text(message), _MESSAGE_CHARS), _MESSAGE_LINES)
    return Padding(Text(shown, overflow="fold"), (0, 0, 0, 4))


def _line(text: str) -> str:
    return show_line(text, width=_LINE_CHARS)


def _text(text: str, style: str = "") -> Text:
    return Text(clip_text(clean_text(text), _TEXT_CHARS), style=style, overflow="fold")
