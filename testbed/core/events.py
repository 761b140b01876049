"""What the tests of a cell report while they run, one JSON object a line.

The lines are both the live progress and, kept in the cell's ``events.jsonl``, the durable account
from which the record is made: a killed run loses no finished test.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from testbed.core.result import Crash, TestResult

BOOT_TEST: Final = "boot"
"""The id of the first test of every cell: that the kernel comes up without a splat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The tests of a cell are about to be started, again where the run was resumed.

    ``at_s`` is the time in seconds since the epoch; ``spent_s`` is how long the cell's tests had
    been running before, in parts of the run that were cut short.
    """

    at_s: float
    spent_s: float = 0.0
    event: Literal["begun"] = "begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """A test that this cell's topology cannot host, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The tests that will run on this cell, and those that cannot."""

    ids: tuple[str, ...]
    not_applicable: tuple[NotApplicable, ...] = ()
    event: Literal["collected"] = "collected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """A guest answered, ``seconds`` after QEMU was started."""

    seconds: float
    event: Literal["booted"] = "booted"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFailed:
    """The kernel did not boot on this cell."""

    crash: Crash
    event: Literal["boot_failed"] = "boot_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A test began."""

    id: str
    event: Literal["started"] = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A test ended."""

    result: TestResult
    event: Literal["finished"] = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something that the user should know and that is no verdict."""

    line: str
    event: Literal["noted"] = "noted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The cell cannot go on, for a reason that is not the kernel's."""

    reason: str
    event: Literal["broken"] = "broken"


Event = Begun | Collected | Booted | BootFailed | Started | Finished | Noted | Broken

_ADAPTER: Final[TypeAdapter[Event]] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def dump_event(event: Event) -> str:
    """Return ``event`` as one line, with its newline."""
    return _ADAPTER.dump_json(event).decode() + "\n"


def parse_event(line: str | bytes) -> Event:
    """Read an event back; raises :class:`ValueError` where the line is none."""
    return _ADAPTER.validate_json(line, strict=True)


def read_events(lines: Iterable[str]) -> tuple[Event, ...]:
    """Read the events of a cell. A last line cut short by a kill is dropped, no other is."""
    whole = list(lines)
    events: list[Event] = []
    for number, line in enumerate(whole):
        try:
            events.append(parse_event(line))
        except ValidationError:
            if number != len(whole) - 1:
                raise
    return tuple(events)
