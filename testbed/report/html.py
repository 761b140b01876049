"""What came of a run, as one HTML file that needs nothing but itself.

The page carries no script and fetches nothing: its own Content-Security-Policy forbids both, so
that what a guest printed stays text even if it got past the escaping.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log2
from typing import Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from testbed.core.record import ChangeKind, Role, RunRecord
from testbed.core.result import LogFile, NodeCount, Placement, TestResult
from testbed.report import view, words
from testbed.report.steps import describe_step, list_steps
from testbed.report.text import (
    clean_text,
    clip_text,
    count,
    describe_counts,
    describe_node,
    format_number,
    format_seconds,
    is_inside,
    tail_lines,
)

_MESSAGE_CHARS: Final = 6_000
_EXCERPT_CHARS: Final = 12_000
_TAIL_LINES: Final = 60
_TAIL_CHARS: Final = 16_000
_BINARY: Final = frozenset({"vmcore"})
_EMBEDDED_LOGS: Final = 60
_CHARTS: Final = 24
_CHART_NODES: Final = 64
_METRICS: Final = 1000
_STRING_CHARS: Final = 20_000  # whatever it is, more of it makes no reader wiser
_FULL_BAR_LOG2: Final = 1.0  # a metric bar is full at half or double the base
_STEADY_RATIO_PERCENT: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bar:
    pages: int
    percent: float
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chart:
    """Pages per node of one mapping: ``rows`` are (node, a bar a column)."""

    what: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[_Bar, ...]], ...]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """A link to a log, and its end where that is worth showing.

    ``href`` is empty where the path leads out of the run directory.
    """

    kind: str
    href: str
    path: str
    tail: str


def render_report(record: RunRecord, *, read_log: Callable[[str], str]) -> str:
    """Return the report of a run as HTML.

    ``read_log`` returns the text of a log, given its path in the run directory; where it raises
    OSError the report links to the log and shows nothing of it. Links are relative, so that the
    file belongs into the run directory itself.
    """
    logs = _LogReader(read_log)
    metrics = view.list_metrics(record)
    findings = [f for f in view.list_findings(record) if f.kind is not ChangeKind.NEW]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            headline=words.headline(record),
            tone=_run_tone(record),
            is_compared=bool(record.comparison),
            kinds=view.count_kinds(record) if record.comparison else {},
            verdicts=view.count_verdicts(t for cell in record.cells for t in cell.tests),
            outages=view.find_outages(record),
            findings=findings,
            columns=view.list_columns(record),
            files=view.list_matrix(record, findings),
            metrics=metrics[:_METRICS],
            metrics_left=max(0, len(metrics) - _METRICS),
            kernels=view.list_kernels(record),
            known=view.list_known(record),
            steps=list_steps(record),
            read_logs=logs.read,
            kind_meanings=words.KIND_MEANINGS,
            verdict_meanings=words.VERDICT_MEANINGS,
            roles=[role for role in Role if any(c.kernel.role is role for c in record.cells)],
        )
    )


def _is_text(log: LogFile) -> bool:
    return is_inside(log.path) and log.kind not in _BINARY


class _LogReader:
    """Reads the ends of logs, up to a number of them that keeps the page loadable."""

    def __init__(self, read_log: Callable[[str], str]) -> None:
        self._read_log = read_log
        self._left = _EMBEDDED_LOGS

    def read(self, logs: Iterable[LogFile], *, with_tail: bool) -> list[_Log]:
        """Return links to ``logs``, with their ends if asked for."""
        return [
            _Log(
                kind=log.kind,
                href=f"./{quote(log.path, errors='replace')}" if is_inside(log.path) else "",
                path=log.path,
                tail=self._tail(log.path) if with_tail and _is_text(log) else "",
            )
            for log in logs
        ]

    def _tail(self, path: str) -> str:
        if self._left <= 0:
            return ""
        try:
            text = self._read_log(path)
        except OSError:
            return ""
        self._left -= 1
        return tail_lines(clean_text(text[-_TAIL_CHARS:]), _TAIL_LINES)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("testbed.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters.update(
        case=lambda test_id: view.split_id(test_id)[1],
        charts=_charts,
        count=count,
        excerpt=lambda text: clip_text(clean_text(text), _EXCERPT_CHARS),
        file=lambda test_id: view.split_id(test_id)[0],
        first_line=view.first_line,
        kind=words.label_kind,
        message=lambda text: clip_text(clean_text(text), _MESSAGE_CHARS),
        number=format_number,
        ratio=_ratio,
        seconds=format_seconds,
        step=describe_step,
        tone=words.tone_of,
        verdict=words.label_verdict,
        verdict_counts=view.count_verdicts,
    )
    return environment


def _finalize(value: object) -> object:
    """Clean and bound every string that the template puts out, whoever forgot to."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return clip_text(clean_text(value), _STRING_CHARS)


def _run_tone(record: RunRecord) -> str:
    return {0: "good", 69: "warn"}.get(record.exit_code, "bad")


def _charts(finding: view.Finding) -> list[_Chart]:
    """Chart the mappings that lie elsewhere than expected on any side, with all sides.

    A test may check a mapping of one name several times; its checks are paired in their order.
    """
    by_side = {side.role: _number_placements(side.result) for side in finding.sides}
    checks = dict.fromkeys(key for placements in by_side.values() for key in placements)
    wrong = [k for k in checks if any(k in p and not p[k].is_as_expected for p in by_side.values())]
    return [
        _chart(key[0], [(role, p[key]) for role, p in by_side.items() if key in p])
        for key in wrong[:_CHARTS]
    ]


def _number_placements(result: TestResult | None) -> dict[tuple[str, int], Placement]:
    numbers: Counter[str] = Counter()
    placements = {}
    for placement in result.placements if result else ():
        numbers[placement.what] += 1
        placements[placement.what, numbers[placement.what]] = placement
    return placements


def _chart(what: str, seen: Sequence[tuple[Role, Placement]]) -> _Chart:
    last = seen[-1][1]
    expected = _by_node(last.expected)
    columns = [expected, *(_by_node(placement.seen) for _, placement in seen)]
    most = max((pages for column in columns for pages in column.values()), default=0) or 1
    nodes = sorted({n for column in columns for n in column}, key=lambda n: (n < 0, n))
    nodes = nodes[:_CHART_NODES]
    rows = tuple(
        (
            describe_node(node),
            tuple(
                _Bar(
                    pages=column.get(node, 0),
                    percent=round(100 * column.get(node, 0) / most, 1),
                    is_right=column.get(node, 0) == expected.get(node, 0),
                )
                for column in columns
            ),
        )
        for node in nodes
    )
    return _Chart(
        what=what,
        heads=("expected", *(f"seen on {role}" for role, _ in seen)),
        rows=rows,
        summary=f"expected {describe_counts(last.expected)} / seen {describe_counts(last.seen)}",
    )


def _by_node(counts: Iterable[NodeCount]) -> dict[int, int]:
    return {c.node: c.pages for c in counts if c.pages}


def _ratio(ratio: float) -> dict[str, object]:
    """Return how a ratio is written and how long its bar is, in percent of half the track."""
    change = (ratio - 1) * 100
    return {
        "factor": f"×{ratio:.3f}" if ratio < 10 else f"×{ratio:,.0f}",  # noqa: RUF001, PLR2004 - a times sign; three digits
        "change": f"{change:+.1f} %" if abs(change) < 1000 else "",  # noqa: PLR2004 - more says nothing
        "percent": round(min(abs(log2(ratio)) / _FULL_BAR_LOG2, 1.0) * 50, 1),
        "is_more": ratio > 1,
        "is_steady": abs(change) < _STEADY_RATIO_PERCENT,
    }
