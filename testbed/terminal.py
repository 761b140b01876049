"""The live view of a run: one line on a terminal, plain lines in a pipe."""

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from testbed.core.events import (
    Booted,
    BootFailed,
    Broken,
    Collected,
    Event,
    Finished,
    Noted,
    Started,
)
from testbed.core.result import TestResult, Verdict
from testbed.core.text import clean, shorten_middle

_REFRESH_HZ: Final = 8
_QUIET: Final = frozenset({Verdict.PASSED, Verdict.SKIPPED})
_BUILD_NOTE_S: Final = 60.0  # in a pipe: how often a long build says that it goes on


class LiveView:
    """Shows a run as it goes; use it as a context manager.

    Lines passed to :meth:`say` stay; the progress line is redrawn under them, and is left out
    where the output is no terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(
            console=console, refresh_per_second=_REFRESH_HZ, transient=True, auto_refresh=True
        )
        self._planned: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._now: dict[str, str] = {}
        self._bad = 0
        self._noted = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(clean(line)), soft_wrap=True)

    def building(self, what: str, compiled: int, line: str) -> None:
        """Show how far a build is."""
        text = f"{what} kernel: {compiled} files compiled  {clean(line).strip()}"
        self._show(text)
        if not self._console.is_terminal and time.monotonic() - self._noted > _BUILD_NOTE_S:
            self._noted = time.monotonic()
            self.say(f"{what} kernel: {compiled} files compiled so far")

    def cell_event(self, cell: str, event: Event) -> None:
        """Show what a cell reports; failures stay on the screen."""
        if isinstance(event, Collected):
            self._planned[cell] = len(event.ids)
        elif isinstance(event, Started):
            self._now[cell] = event.id
        elif isinstance(event, Finished):
            self._finish(cell, event.result)
        elif isinstance(event, Booted):
            self._now[cell] = f"booted in {event.seconds:.1f} s"
        elif isinstance(event, BootFailed):
            self.say(f"{cell}: did not boot: {event.crash.title}")
        elif isinstance(event, Broken):
            self.say(f"{cell}: {event.reason}")
        elif isinstance(event, Noted):
            self.say(f"{cell}: {event.line}")
        self._show(self._describe_cells())

    def _finish(self, cell: str, result: TestResult) -> None:
        self._done[cell] = self._done.get(cell, 0) + 1
        if result.verdict not in _QUIET:
            self._bad += 1
            if result.verdict is not Verdict.BOOT_FAILED:
                self.say(f"{cell}: {result.verdict}: {result.id}")

    def _describe_cells(self) -> str:
        done, planned = sum(self._done.values()), sum(self._planned.values())
        now = "  ".join(f"{cell}: {name}" for cell, name in self._now.items())
        bad = f", {self._bad} not passed" if self._bad else ""
        return f"tests: {done} of {planned}{bad}  {now}"

    def _show(self, text: str) -> None:
        self._live.update(Text(shorten_middle(text, width=max(20, self._console.width - 1))))
