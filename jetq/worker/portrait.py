"""
portrait: what a worker says of itself to those who list workers.
"""

import os
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from jetq.jetstream.presence import MOST_TOLD, WorkerPresence
from jetq.model.running import WorkerState
from jetq.worker.lease_table import LeaseTable

_HOST: Final = socket.gethostname()


class Portrait:
    """
    Says what a worker is, and does. Any thread may ask.

    Args:
        worker: Its id.
        table: Its runs.
        version: Of the application.
        slots: Tasks that it may run at one time.
        state: Returns what it does with its queues.

    Attributes:
        queues, patterns: What it serves; known once it has begun.
    """

    def __init__(
        self, worker: str, table: LeaseTable, *, version: str, slots: int, state: Callable[[], WorkerState]
    ) -> None:
        self.queues: Sequence[str] = ()
        self.patterns: Sequence[str] = ()
        self._worker = worker
        self._table = table
        self._version = version
        self._slots = slots
        self._state = state
        self._started = datetime.now(UTC)

    def presence(self) -> WorkerPresence:
        """Return its presence as of now."""
        return WorkerPresence(
            worker=self._worker,
            host=_HOST,
            pid=os.getpid(),
            version=self._version,
            started=self._started,
            queues=list(self.queues),
            patterns=list(self.patterns),
            slots=self._slots,
            running=len(self._table),
            state=self._state(),
            tasks=self._table.running()[:MOST_TOLD],
        )
