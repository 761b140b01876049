"""QEMU's machine protocol, over an inherited socket, with events that can be waited for.

The library (qemu.qmp) is asyncio; pytest is not. A thread of our own runs the event loop.
"""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError, Runstate

from testbed.errors import InfraError

_COMMAND_TIMEOUT_S: Final = 30.0

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class QmpEvent:
    """An event as QEMU sent it, for instance ``DEVICE_DELETED`` with its ``data``."""

    name: str
    data: Mapping[str, Any]


class QmpRefusedError(InfraError):
    """QEMU answered a command with an error; ``kind`` is its class, ``str()`` its words."""

    def __init__(self, command: str, kind: str, description: str) -> None:
        self.kind = kind
        super().__init__(f"QEMU refused {command}: {description}")


class Qmp:
    """A connected monitor. Every message of an event is also written to ``log``, one a line."""

    def __init__(self, connection: socket.socket, log: Path) -> None:
        self.log = log
        self.timeout_s = _COMMAND_TIMEOUT_S  # of a command, for QEMU to answer it
        self._events: list[QmpEvent] = []
        self._arrived = threading.Condition()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="qmp", daemon=True)
        self._thread.start()
        self._client = QMPClient("testbed")
        self._listener = EventListener()
        try:
            self._listening, self._watching = self._wait(self._connect(connection))
        except QMPError as err:
            self._stop_loop()
            raise InfraError(f"QEMU did not answer on its monitor: {err}") from err

    def execute(self, command: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - JSON, by command
        """Run a QMP command (qemu-qmp-ref(7)) and return its value.

        Underscores in argument names stand for hyphens. Raises :class:`QmpRefusedError` when QEMU
        refuses, :class:`InfraError` when it is gone.
        """
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            return self._wait(self._client.execute(command, named or None))
        except ExecuteError as err:
            raise QmpRefusedError(command, err.error.error.class_, err.error.error.desc) from err
        except QMPError as err:
            raise InfraError(f"QEMU is gone: no answer to {command}") from err

    def send_fd(self, fd: int, name: str) -> None:
        """Give QEMU a copy of the open file ``fd``, under ``name``."""
        try:
            self._wait(self._give(fd))
        except (QMPError, OSError) as err:
            raise InfraError("QEMU is gone: it takes no file") from err
        self.execute("getfd", fdname=name)

    @property
    def is_closed(self) -> bool:
        """Whether QEMU has ended."""
        return self._is_closed

    def mark(self) -> int:
        """Return how many events have come so far."""
        with self._arrived:
            return len(self._events)

    def events_since(self, mark: int) -> tuple[QmpEvent, ...]:
        """Return the events after ``mark``."""
        with self._arrived:
            return tuple(self._events[mark:])

    def wait_event(
        self, is_wanted: Callable[[QmpEvent], bool], *, since: int, timeout_s: float
    ) -> QmpEvent | None:
        """Return the first wanted event after ``since``; None at the time-out or QEMU's end."""

        def find() -> QmpEvent | None:
            return next((event for event in self._events[since:] if is_wanted(event)), None)

        with self._arrived:
            self._arrived.wait_for(lambda: self._is_closed or find(), timeout_s)
            return find()

    def close(self) -> None:
        """Disconnect and end the thread."""
        self._loop.call_soon_threadsafe(self._listening.cancel)
        self._loop.call_soon_threadsafe(self._watching.cancel)
        # QEMU ended first, which is how most guests end.
        try:
            with contextlib.suppress(QMPError, EOFError, OSError, InfraError):
                self._wait(self._client.disconnect())
        finally:
            self._stop_loop()

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _connect(
        self, connection: socket.socket
    ) -> tuple["asyncio.Task[None]", "asyncio.Task[None]"]:
        self._client.register_listener(self._listener)
        await self._client.connect(connection)
        return asyncio.create_task(self._listen()), asyncio.create_task(self._watch())

    async def _give(self, fd: int) -> None:
        self._client.send_fd_scm(fd)

    async def _watch(self) -> None:
        """Wake those who wait for an event when QEMU ends, for it will not come."""
        while self._client.runstate is Runstate.RUNNING:
            await self._client.runstate_changed()
        with self._arrived:
            self._is_closed = True
            self._arrived.notify_all()

    async def _listen(self) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            async for message in self._listener:
                log.write(json.dumps(dict(message)) + "\n")
                log.flush()
                event = QmpEvent(name=str(message["event"]), data=message.get("data", {}))  # type: ignore[arg-type]
                with self._arrived:
                    self._events.append(event)
                    self._arrived.notify_all()

    def _wait(self, work: Coroutine[Any, Any, Value]) -> Value:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(self.timeout_s)
        except TimeoutError as err:
            raise InfraError(f"QEMU did not answer within {self.timeout_s:g} s") from err
