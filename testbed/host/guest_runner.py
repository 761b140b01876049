"""One command in the guest, as Fabric runs it, with a bound on what is kept of its output."""

from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from typing import Final

from fabric import Connection
from fabric.runners import Remote

_CHUNK_BYTES: Final = 1 << 16


class BoundedRunner(Remote):  # type: ignore[misc]  # Fabric has no types
    """Keeps at most ``limit_bytes`` of stdout and of stderr, and ends a command that prints more.

    invoke itself gathers whatever comes, decodes chunk by chunk, so that a character between two
    chunks is lost, and joins all of it anew at each chunk (``respond()``, invoke 2.2).
    """

    read_chunk_size = _CHUNK_BYTES

    def __init__(self, connection: Connection, *, limit_bytes: int) -> None:
        super().__init__(context=connection, inline_env=True)
        self._limit_bytes = limit_bytes
        self.is_cut = False

    def read_proc_output(self, reader: Callable[[int], bytes]) -> Iterator[str]:
        """Yield the text of one stream; what is no UTF-8 becomes U+FFFD."""
        decoder = getincrementaldecoder("utf-8")(errors="replace")
        left_bytes = self._limit_bytes
        while data := reader(self.read_chunk_size):
            yield decoder.decode(data[:left_bytes])
            left_bytes -= len(data)
            if left_bytes < 0:
                self.is_cut = True
                self.kill()
                return
        yield decoder.decode(b"", final=True)

    def respond(self, buffer_: list[str]) -> None:
        """Answer nothing: no command is run with watchers."""
