"""What is told while a run goes on."""

from typing import Protocol

from testbed.core.events import Event


class Observer(Protocol):
    """What is told while a run goes on."""

    def say(self, line: str) -> None:
        """Take a line that stays on the screen."""

    def building(self, what: str, compiled: int, line: str) -> None:
        """Take the progress of a build: files compiled so far and make's latest line."""

    def cell_event(self, cell: str, event: Event) -> None:
        """Take an event of a cell."""
