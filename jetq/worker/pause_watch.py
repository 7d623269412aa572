"""
pause_watch: tells when a queue of this worker is paused, and when it goes on.

A paused queue simply gives no items, so the worker does nothing about it but say so.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from jetq.jetstream.backend import Backend
from jetq.jetstream.pausing import follow_pauses
from jetq.model.serving import QueuePaused, QueueResumed, paused_until


class PauseWatch:
    """
    Watches queues.

    Args:
        backend: The server.
        worker: The worker's id.

    Attributes:
        paused: The queues that are paused.
    """

    def __init__(self, backend: Backend, worker: str) -> None:
        self.paused: dict[str, datetime] = {}
        self._backend = backend
        self._worker = worker

    async def follow(self, queues: Iterable[str]) -> None:
        """Begin."""
        connection, names = self._backend.connection, self._backend.names
        await asyncio.gather(*(follow_pauses(connection, names, queue, self.note) for queue in queues))

    def note(self, queue: str, until: datetime | None) -> None:
        """Take note that a queue is paused until then, or with None that it is not, and tell it if it is news."""
        before = self.paused.pop(queue, None)
        if until is not None:
            self.paused[queue] = until
        if until == before:
            return
        if until is None:
            self._backend.bus.emit(QueueResumed(worker=self._worker, queue=queue))
        else:
            self._backend.bus.emit(QueuePaused(worker=self._worker, queue=queue, until=paused_until(until)))
