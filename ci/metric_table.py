"""Prints what tests measured, over as many runs as there are in the files.

    .venv/bin/python -m ci.metric_table EVENTS...

Each EVENTS is the events.jsonl of a cell, or that of `testbed test`, to which each run of it adds.
The numbers of a series' page are from here.
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from testbed.core.events import Event, Finished, read_events
from testbed.core.result import Verdict

_WHOLE: Final = 1000.0  # three digits would not be all that are before the point

Measured = Mapping[tuple[str, str], Sequence[float]]
"""What was measured, in the order of the runs, by the name of the metric and its unit."""


@click.command()
@click.argument(
    "events", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def main(*, events: tuple[Path, ...]) -> None:
    """Print a row for each metric of the tests in EVENTS that passed."""
    measured = collect(event for path in events for event in _read(path))
    if not measured:
        raise click.ClickException("no test that passed has measured anything")
    for line in render(measured):
        click.echo(line)


def collect(events: Iterable[Event]) -> Measured:
    """Return the numbers of all runs; a test that did not pass has none that say anything."""
    measured: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if isinstance(event, Finished) and event.result.verdict is Verdict.PASSED:
            for metric in event.result.metrics:
                measured.setdefault((metric.name, metric.unit), []).append(metric.value)
    return measured


def render(measured: Measured) -> Iterator[str]:
    """Return the lines of a table: of each metric the median, the least, the most, and how many."""
    yield "| metric | unit | median | least | most | values |"
    yield "|---|---|---:|---:|---:|---:|"
    for (name, unit), values in measured.items():
        told = " | ".join(map(_tell, (statistics.median(values), min(values), max(values))))
        yield f"| {name} | {unit} | {told} | {len(values)} |"


def _tell(number: float) -> str:
    return f"{number:.3g}" if abs(number) < _WHOLE else f"{number:.0f}"


def _read(path: Path) -> tuple[Event, ...]:
    with path.open(encoding="utf-8") as file:
        try:
            return read_events(file)
        except ValueError as err:
            raise click.ClickException(f"{path} is no events.jsonl of a run") from err


if __name__ == "__main__":
    main()
