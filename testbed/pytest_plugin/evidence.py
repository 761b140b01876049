"""What a test measured and saw, gathered while it runs."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed.core.result import LogFile, Metric, NodeCount, Placement
from testbed.core.text import make_file_name


@dataclass(slots=True)
class Evidence:
    """Filled by C cases from their transcript, by Python tests through the ``report`` fixture."""

    metrics: list[Metric] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    logs: list[LogFile] = field(default_factory=list)

    def keep(self, kind: str, lines: Iterable[str], *, path: Path) -> None:
        """Write ``lines`` to a file beside the other logs, which the report then links to."""
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.logs.append(LogFile(kind=kind, path=path.name))


class Reporter:
    """The ``report`` fixture: a Python test's way to tell what it measured and saw.

    ``name`` is the test's, and ``folder`` that of the logs.
    """

    def __init__(self, evidence: Evidence, *, name: str, folder: Path) -> None:
        self._evidence = evidence
        self._name = name
        self._folder = folder

    def metric(self, name: str, value: float, unit: str) -> None:
        """Record a measured number; one that is none, such as NaN, is the test's own fault."""
        if not math.isfinite(value):
            raise ValueError(f"metric {name!r} is {value}: no number that can be compared")
        self._evidence.metrics.append(Metric(name=name, value=value, unit=unit))

    def placement(self, what: str, *, expected: Mapping[int, int], seen: Mapping[int, int]) -> None:
        """Record where pages were expected and seen (node to pages), and assert that they agree."""
        placement = Placement(what=what, expected=_count(expected), seen=_count(seen))
        self._evidence.placements.append(placement)
        if not placement.is_as_expected:
            raise AssertionError(f"{what}: expected {_say(expected)}, seen {_say(seen)}")

    def log(self, kind: str, lines: Iterable[str]) -> None:
        """Keep a text of the test's own, such as what a program in the guest had to say."""
        file = f"{make_file_name(self._name)}.{make_file_name(kind)}.log"
        self._evidence.keep(kind, lines, path=self._folder / file)


def _count(pages: Mapping[int, int]) -> tuple[NodeCount, ...]:
    return tuple(NodeCount(node=node, pages=count) for node, count in sorted(pages.items()))


def _say(pages: Mapping[int, int]) -> str:
    parts = [f"node {node}: {count} pages" for node, count in sorted(pages.items()) if count]
    return ", ".join(parts) or "no pages"
