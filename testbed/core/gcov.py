"""Which lines and branches of a kernel's sources ran, function by function, as gcov tells."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypedDict

from testbed.core.strict_yaml import StrictModel, parse_yaml

_TEXT_CHARS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreachedLine:
    """A line that never ran; ``why`` is empty where nobody has said a reason."""

    number: int
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionReach:
    """How much of a function ran. A line counts where code was made of it, a branch each way."""

    name: str
    first_line: int
    lines: int
    lines_reached: int
    branches: int
    branches_reached: int
    unreached: tuple[UnreachedLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReach:
    """How much of a source file ran; ``path`` is relative to the tree."""

    path: str
    functions: tuple[FunctionReach, ...]

    @property
    def lines(self) -> tuple[int, int]:
        """Lines reached, and lines there are."""
        return (
            sum(one.lines_reached for one in self.functions),
            sum(one.lines for one in self.functions),
        )

    @property
    def branches(self) -> tuple[int, int]:
        """Branches taken, and branches there are."""
        return (
            sum(one.branches_reached for one in self.functions),
            sum(one.branches for one in self.functions),
        )

    @property
    def unexplained(self) -> int:
        """How many lines did not run that nobody has said a reason for."""
        return sum(not line.why for one in self.functions for line in one.unreached)


class Reason(StrictModel):
    """Why lines of functions cannot run here, or need not.

    ``function`` may hold ``*``; with ``text`` only the lines are meant that contain it.
    """

    file: str
    function: str = "*"
    text: str = ""
    why: str

    def covers(self, path: str, function: str, text: str) -> bool:
        """Whether the reason is one for this line."""
        return self.file == path and fnmatchcase(function, self.function) and self.text in text


class _Reasons(StrictModel):
    unreached: tuple[Reason, ...]


class _Branch(TypedDict):
    count: int


class _Line(TypedDict):
    line_number: int
    function_name: str
    count: int
    branches: list[_Branch]


class _Function(TypedDict):
    name: str
    start_line: int


class _File(TypedDict):
    file: str
    functions: list[_Function]
    lines: list[_Line]


def parse_reasons(text: str, *, filename: str) -> tuple[Reason, ...]:
    """Read why lines are not reached; raises :class:`testbed.errors.PlanError`."""
    return parse_yaml(text, _Reasons, filename=filename).unreached


def read_gcov(
    text: str, *, path: str, source: Sequence[str], reasons: Iterable[Reason] = ()
) -> FileReach:
    """Read what ``gcov --json-format --stdout`` (gcc 9 to 14) says of the source ``path``.

    What was inlined from headers is left out. ``source`` is the text of the file, by lines.
    """
    files: list[_File] = json.loads(text)["files"]
    mine = [one for one in files if one["file"] == path or one["file"].endswith(f"/{path}")]
    starts = {f["name"]: f["start_line"] for one in mine for f in one["functions"]}
    lines: defaultdict[str, list[_Line]] = defaultdict(list)
    for one in mine:
        for line in one["lines"]:
            lines[line.get("function_name", "")].append(line)
    told = tuple(reasons)
    functions = tuple(
        _read_function(name, lines[name], starts=starts, path=path, source=source, reasons=told)
        for name in sorted(starts, key=lambda name: starts[name])
        if lines[name]
    )
    return FileReach(path=path, functions=functions)


def _read_function(
    name: str,
    lines: Sequence[_Line],
    *,
    starts: Mapping[str, int],
    path: str,
    source: Sequence[str],
    reasons: Sequence[Reason],
) -> FunctionReach:
    # A line of a macro or an inlined copy is told more than once: it ran where any of them did.
    counts: defaultdict[int, int] = defaultdict(int)
    for line in lines:
        counts[line["line_number"]] += line["count"]
    branches = [branch["count"] for line in lines for branch in line["branches"]]
    unreached = []
    for number in sorted(number for number, count in counts.items() if not count):
        text = source[number - 1].strip()[:_TEXT_CHARS] if number <= len(source) else ""
        why = next((one.why for one in reasons if one.covers(path, name, text)), "")
        unreached.append(UnreachedLine(number=number, text=text, why=why))
    return FunctionReach(
        name=name,
        first_line=starts[name],
        lines=len(counts),
        lines_reached=sum(count > 0 for count in counts.values()),
        branches=len(branches),
        branches_reached=sum(count > 0 for count in branches),
        unreached=tuple(unreached),
    )


def format_share(reached: int, total: int) -> str:
    """Return ``81 of 90 (90.0 %)``; of nothing, ``-``."""
    return f"{reached} of {total} ({100 * reached / total:.1f} %)" if total else "-"
