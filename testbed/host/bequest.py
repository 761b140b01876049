"""What a child inherits: descriptors that are its own once it has started."""

import os
import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Self


class Bequest:
    """Gathers descriptors; those that were given away are closed here when the block ends."""

    def __init__(self) -> None:
        self._closing = ExitStack()
        self._fds: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def fds(self) -> tuple[int, ...]:
        """All that is inherited."""
        return tuple(self._fds)

    def give(self, fd: int) -> int:
        """Give ``fd`` away and return it."""
        self._closing.callback(os.close, fd)
        return self.lend(fd)

    def lend(self, fd: int) -> int:
        """Let the child have ``fd``, which stays ours too, and return it."""
        self._fds.append(fd)
        return fd

    def give_socket(self, ours: ExitStack) -> tuple[socket.socket, int]:
        """Give one end of a socket pair; our end, which ``ours`` will close, and theirs."""
        mine, theirs = socket.socketpair()
        ours.enter_context(mine)
        return mine, self.give(theirs.detach())
