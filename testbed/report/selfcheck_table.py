"""What came of the self test of the suites: a line a mutant while it goes, then a table.

Everything that is printed is cleaned and never read as rich's markup: a mutant's words are its
author's, and a test's are the guest's.
"""

import io
from collections import Counter
from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from testbed.core.result import Verdict
from testbed.core.selfcheck import EXIT_ALL_KILLED, Kill, MutantResult, SelfcheckReport, Status
from testbed.report.text import count, format_seconds, show_line

_LINE_CHARS: Final = 200
_NAME_CHARS: Final = 40
_MAX_KILLS: Final = 8
_MAX_LEFT_OUT: Final = 8
_TONES: Final = {
    Status.KILLED: "green",
    Status.EQUIVALENT: "green",
    Status.SURVIVED: "bold red",
    Status.NOT_EQUIVALENT: "bold red",
    Status.DOES_NOT_APPLY: "yellow",
    Status.DOES_NOT_BUILD: "yellow",
    Status.DOES_NOT_BOOT: "yellow",
}
_LABELS: Final = {Status.NOT_EQUIVALENT: "not equivalent"}
_BY_NEED: Final = (
    Status.DOES_NOT_APPLY,
    Status.DOES_NOT_BUILD,
    Status.DOES_NOT_BOOT,
    Status.NOT_EQUIVALENT,
    Status.SURVIVED,
    Status.EQUIVALENT,
    Status.KILLED,
)


def describe_mutant(result: MutantResult, *, number: int, total: int) -> str:
    """Return the line of a mutant while others are still to come."""
    why, *others = _tell_why(result)
    more = f" and {len(result.kills) - 1} more" if len(result.kills) > 1 else ""
    more = more or "".join(f", {other}" for other in others)
    line = f"{number}/{total} {result.name}: {result.status}: {why}{more}"
    return f"{_line(line)} ({format_seconds(result.seconds)})"


def render_selfcheck(report: SelfcheckReport) -> RenderableType:
    """Return the table, the survivors in words, and the score in the last line."""
    head = f"{count(len(report.mutants), 'mutant')} of {_line(report.source)}, "
    head += f"{count(report.base_tests, 'test')} on {', '.join(report.topologies)}"
    parts: list[RenderableType] = [_text(head, "bold"), _render_table(report)]
    parts += _render_survivors(report)
    parts += _render_left_out(report)
    return Group(*parts, Text(""), _render_score(report))


def render_selfcheck_text(report: SelfcheckReport, *, width: int) -> str:
    """Return the same as plain text."""
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, color_system=None)
    console.print(render_selfcheck(report), crop=False)
    return out.getvalue()


def _render_table(report: SelfcheckReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1))
    for head in ("mutant", "came to", "by"):
        table.add_column(head, no_wrap=head != "by", overflow="fold")
    table.add_column("time", justify="right", no_wrap=True)
    for one in sorted(report.mutants, key=lambda one: (_BY_NEED.index(one.status), one.name)):
        table.add_row(
            _text(show_line(one.name, width=_NAME_CHARS)),
            _text(_LABELS.get(one.status, str(one.status)), _TONES[one.status]),
            Text("\n".join(_tell_why(one)), overflow="fold"),
            _text(format_seconds(one.seconds)),
        )
    return table


def _tell_why(result: MutantResult) -> list[str]:
    """Return what killed a mutant, or why nothing did, in lines."""
    if result.kills:
        told = [_name_kill(kill) for kill in result.kills[:_MAX_KILLS]]
        more = len(result.kills) - _MAX_KILLS
        return [*told, f"and {more} more"] if more > 0 else told
    if result.reason:
        return [_line(result.reason)]
    told = [f"{count(result.tests, 'test')} passed"]
    if result.unconfirmed:
        told += [f"{count(len(result.unconfirmed), 'test')} failed once and then passed"]
    return told


def _name_kill(kill: Kill) -> str:
    """Return, say, ``mbind.shared.move (mempolicy/mbind.c on two-nodes: crashed)``."""
    file, _, case = kill.test.rpartition("::")
    how = "" if kill.verdict is Verdict.FAILED else f": {kill.verdict.replace('_', ' ')}"
    return _line(f"{case} ({f'{file} ' if file else ''}on {kill.topology}{how})")


def _render_survivors(report: SelfcheckReport) -> Iterator[RenderableType]:
    survivors = [one for one in report.mutants if one.status is Status.SURVIVED]
    if survivors:
        yield Text("")
        yield _text("no test looks at these:", "bold")
    for one in survivors:
        items = ", ".join(map(str, one.contract))
        item = f" (contract: {items})" if items else ""
        yield Padding(_text(_line(f"{one.name}: {one.subject}{item}")), (0, 0, 0, 2), expand=False)


def _render_left_out(report: SelfcheckReport) -> Iterator[RenderableType]:
    if not report.left_out:
        return
    yield Text("")
    yield _text(f"{count(len(report.left_out), 'test')} left out, since the base does not pass:")
    for line in report.left_out[:_MAX_LEFT_OUT]:
        yield Padding(_text(_line(line), "dim"), (0, 0, 0, 2), expand=False)
    if len(report.left_out) > _MAX_LEFT_OUT:
        yield _text(f"  and {len(report.left_out) - _MAX_LEFT_OUT} more", "dim")


def _render_score(report: SelfcheckReport) -> Text:
    counts = Counter(one.status for one in report.mutants)
    there = [status for status in Status if counts[status]]
    told = [f"{counts[status]} {_LABELS.get(status, status)}" for status in there]
    score = "" if report.score is None else f"; mutation score {100 * report.score:.4g} %"
    resumed = f", {report.resumed} known from before" if report.resumed else ""
    line = f"{', '.join(told)}{score}; {format_seconds(report.seconds)}{resumed}"
    line += f"; exit {report.exit_code}"
    return _text(line, "green" if report.exit_code == EXIT_ALL_KILLED else "bold red")


def _line(text: str) -> str:
    return show_line(text, width=_LINE_CHARS)


def _text(text: str, style: str = "") -> Text:
    return Text(text, style=style, overflow="fold")
