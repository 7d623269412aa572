"""
supervision: a worker's end of the pipe to its supervisor, and the memory that they share.

The lease thread reads and writes the pipe, so that a blocked event loop keeps nobody waiting. The end of the pipe,
however it comes, says that the supervisor is gone.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from jetq.errors import WireError
from jetq.wire.in_flight import RunsInFlight
from jetq.wire.liveness import HEADER_SIZE, FromChild, Measured, ToChild, body_size, frame, read_to_child


class Supervision:
    """
    The supervisor, as a worker sees it.

    Args:
        end: Of the pipe.
        memory: Shared with the supervisor.
        say_metrics: Returns what this process counted; None says nothing.
    """

    def __init__(
        self, end: socket.socket, memory: memoryview, *, say_metrics: Callable[[], bytes] | None = None
    ) -> None:
        self._end = end
        self._memory = memory
        self._say_metrics = say_metrics
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._early: list[FromChild] = []

    def notes(self, worker: str) -> RunsInFlight:
        """Return where the worker with this id notes its runs."""
        return RunsInFlight(self._memory, worker)

    async def converse(self, on_message: Callable[[ToChild], None]) -> None:
        """Hand on what the supervisor says until it is gone; in the lease thread's loop, once."""
        self._loop = asyncio.get_running_loop()
        reader, self._writer = await asyncio.open_unix_connection(sock=self._end)
        for message in self._early:
            self._write(message)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, WireError):
            while True:
                size = body_size(await reader.readexactly(HEADER_SIZE))
                heard = read_to_child(await reader.readexactly(size))
                if heard is not None:
                    on_message(heard)

    def say(self, message: FromChild) -> None:
        """Send a message; from any thread."""
        if self._loop is None:
            self._early.append(message)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
            self._loop.call_soon_threadsafe(self._write, message)

    def measure(self) -> None:
        """Say what this process counted, if anybody wants to know; in the lease thread."""
        if self._say_metrics is not None:
            self._write(Measured(self._say_metrics()))

    def _write(self, message: FromChild) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

    async def farewell(self) -> None:
        """Say the last numbers, and close."""
        self.measure()
        if self._writer is not None:
            with contextlib.suppress(OSError):
                await self._writer.drain()
            self._writer.close()
