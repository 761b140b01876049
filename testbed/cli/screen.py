"""What the commands share of the terminal and of the cache."""

from typing import Final

from rich.console import Console

from testbed.host.project import cache_dir
from testbed.host.store import Store
from testbed.terminal import LiveView

WIDTH: Final = 100


def make_console(*, is_stderr: bool = False) -> Console:
    """In a pipe there is no width to ask for: take the one that every table fits."""
    console = Console(highlight=False, stderr=is_stderr)
    if console.is_terminal:
        return console
    return Console(highlight=False, stderr=is_stderr, width=WIDTH)


def open_store(view: LiveView) -> Store:
    """Open the user's cache; what it has to say goes to ``view``."""
    return Store(cache_dir(), say=view.say)
