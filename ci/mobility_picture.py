"""Writes the picture and the table of what each mode of page_mobility= leaves of a node's memory.

    .venv/bin/python -m ci.mobility_picture off=EVENTS lite=EVENTS full=EVENTS

Each EVENTS is the events.jsonl of a cell in which series/page-mobility/test_fragmentation.py ran,
on a kernel in that mode. The picture goes to patches/page-mobility/fragmentation.svg, the table
between the two marks of the README beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from ci.marked import rewrite
from testbed.core.events import Finished, read_events
from testbed.core.result import Verdict
from testbed.host.project import data_dir

BEGIN: Final = "<!-- fragmentation: written by ci/mobility_picture.py -->"
END: Final = "<!-- end of fragmentation -->"
_TESTS: Final = "series/page-mobility/test_fragmentation.py::test_"
_FOLDER: Final = "patches/page-mobility"
_MODES: Final = ("off", "lite", "full")
_COLOURS: Final = {"off": "#b24a3b", "lite": "#c9963a", "full": "#3b7a57"}
_LEFT: Final = 60
_BAR: Final = 300
_ROW: Final = 16
_GAP: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A number to be shown: its metric, what it says, and where its scale ends."""

    metric: str
    title: str
    most: float
    digits: int = 0


_PANELS: Final = (
    Panel(metric="dense: blocks_unmovable", title="dense: unmovable pageblocks, of 256", most=256),
    Panel(metric="dense: blocks_reclaimable", title="dense: reclaimable ones", most=256),
    Panel(metric="dense: unusable_left", title="dense: unusable index of 2 MiB", most=1, digits=3),
    Panel(metric="dense: huge_left", title="dense: huge pages to be had, of 256", most=256),
    Panel(metric="sparse: unusable_left", title="sparse: unusable index", most=1, digits=3),
    Panel(metric="sparse: huge_left", title="sparse: huge pages to be had", most=256),
    Panel(metric="sparse: offlined_left", title="sparse: memory blocks offlined, of 4", most=4),
)

Numbers = Mapping[str, Mapping[str, float]]


@click.command()
@click.argument("events", nargs=-1, required=True)
def main(*, events: tuple[str, ...]) -> None:
    """Write the picture and the table from EVENTS, MODE=FILE each."""
    files = dict(word.split("=", 1) for word in events if "=" in word)
    if sorted(files) != sorted(_MODES):
        raise click.ClickException(f"give {', '.join(f'{mode}=FILE' for mode in _MODES)}")
    numbers = {mode: read_metrics(Path(files[mode])) for mode in _MODES}
    folder = data_dir() / _FOLDER
    (folder / "fragmentation.svg").write_text("\n".join(draw(numbers)) + "\n", encoding="utf-8")
    rewrite(folder / "README.md", render(numbers), begin=BEGIN, end=END)


def read_metrics(path: Path) -> dict[str, float]:
    """Return the numbers that the test measured, its last time; one that failed has none."""
    found: dict[str, float] = {}
    with path.open(encoding="utf-8") as file:
        for event in read_events(file):
            if isinstance(event, Finished) and event.result.id.startswith(_TESTS):
                density = event.result.id.removeprefix(_TESTS)
                passed = event.result.verdict is Verdict.PASSED
                for metric in event.result.metrics if passed else ():
                    found[f"{density}: {metric.name}"] = metric.value
    if missing := [panel.metric for panel in _PANELS if panel.metric not in found]:
        raise click.ClickException(f"{path}: the test did not measure {', '.join(missing)}")
    return found


def draw(numbers: Numbers) -> Iterator[str]:
    """Return the lines of the picture: for each number a bar a mode."""
    height = len(_PANELS) * (len(_MODES) * _ROW + _GAP)
    width = _LEFT + _BAR + _LEFT
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">'
    )
    yield f'<rect width="{width}" height="{height}" fill="white"/>'
    top = 0
    for panel in _PANELS:
        yield f'<text x="{_LEFT}" y="{top + 18}" font-weight="bold">{panel.title}</text>'
        top += _GAP - 6
        for mode in _MODES:
            value = numbers[mode][panel.metric]
            length = round(_BAR * value / panel.most)
            base = top + _ROW - 5
            yield f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end">{mode}</text>'
            yield (
                f'<rect x="{_LEFT}" y="{top}" width="{length}" height="{_ROW - 4}" '
                f'fill="{_COLOURS[mode]}"/>'
            )
            yield f'<text x="{_LEFT + length + 4}" y="{base}">{tell(panel, value)}</text>'
            top += _ROW
        top += 6
    yield "</svg>"


def render(numbers: Numbers) -> Iterator[str]:
    """Return the lines of the table: a row for each number."""
    yield ""
    yield f"| | {' | '.join(_MODES)} |"
    yield f"|---|{'---|' * len(_MODES)}"
    for panel in _PANELS:
        cells: Sequence[str] = [tell(panel, numbers[mode][panel.metric]) for mode in _MODES]
        yield f"| {panel.title} | {' | '.join(cells)} |"
    yield ""


def tell(panel: Panel, value: float) -> str:
    """Return a number as it is to be read."""
    return f"{value:.{panel.digits}f}"


if __name__ == "__main__":
    main()
