"""
condition: how a worker is, for whoever asks from outside of its event loop.

The lease thread, the loop and the bus say what they see; a thread that serves a page puts it together. So there is an
answer also while a handler blocks the loop.
"""

import os
import time
from collections.abc import Callable
from typing import Final

from jetq.model.events import ConnectionLost, ConnectionRestored
from jetq.model.running import WorkerState
from jetq.observe.bus import Bus
from jetq.wire.health import SchedulerHealth, WorkerHealth, said_of_blocked
from jetq.wire.liveness import Blocked

_SILENT: Final = 10.0
"""Seconds without a look of the lease thread, which looks every second, after which the process counts as stuck."""
_STATES: Final = {
    WorkerState.QUIET: "it was told to take no more tasks",
    WorkerState.STOPPING: "it is stopping",
}
_PURPOSES: Final = {"worker": "for tasks", "lease": "for their leases"}


class Condition:
    """
    What is known of a worker. Any thread may write a part of it, and ask.

    Args:
        worker: Its id.
        state: Returns what it does with its queues.
        bus: Tells of connections that are lost and restored.

    Attributes:
        stalled: Why nothing arrives from a queue, by the queue's name.
        scheduler: Says how the scheduler beside the worker is, which is to be ready as well; None if there is none.
    """

    def __init__(self, worker: str, state: Callable[[], WorkerState], bus: Bus) -> None:
        self.stalled: dict[str, str] = {}
        self.scheduler: Callable[[], SchedulerHealth] | None = None
        self._worker = worker
        self._state = state
        self._begun = False
        self._lost: dict[str, str] = {}
        self._looked = 0.0
        self._running = 0
        self._blocked: Blocked | None = None
        self._overdue = ""
        bus.listen_to(ConnectionLost, self._on_lost)
        bus.listen_to(ConnectionRestored, self._on_restored)

    def _on_lost(self, event: ConnectionLost) -> None:
        self._lost[event.connection] = event.reason

    def _on_restored(self, event: ConnectionRestored) -> None:
        self._lost.pop(event.connection, None)

    def begin(self) -> None:
        """It takes tasks from now on."""
        self._begun, self._looked = True, time.monotonic()

    def look(self, running: int, blocked: Blocked | None, overdue: str) -> None:
        """Take note of what the lease thread sees, which does so every second."""
        self._looked, self._running, self._blocked, self._overdue = time.monotonic(), running, blocked, overdue

    def reasons(self) -> list[str]:
        """Return why it takes no tasks, or its scheduler does not work; nothing if all is well."""
        return self._reasons(None if self.scheduler is None else self.scheduler())

    def _reasons(self, scheduler: SchedulerHealth | None) -> list[str]:
        found = [] if scheduler is None else [f"its scheduler: {reason}" for reason in scheduler.reasons]
        if not self._begun:
            return ["it has not begun to take tasks", *found]
        if (said := _STATES.get(self._state())) is not None:
            found.append(said)
        for connection, reason in self._lost.copy().items():
            found.append(f"the connection {_PURPOSES.get(connection, connection)} is lost: {reason}")
        for queue, reason in self.stalled.copy().items():
            found.append(f"tasks wait in {queue}, slots are free, and nothing arrives: {reason}")
        if self._blocked is not None:
            found.append(said_of_blocked(self._blocked))
        return found

    def health(self) -> WorkerHealth:
        """Return how it is."""
        scheduler = None if self.scheduler is None else self.scheduler()
        reasons, live = self._reasons(scheduler), scheduler is None or scheduler.live
        ready = not reasons
        silent = time.monotonic() - self._looked if self._begun else 0.0
        if silent > _SILENT:
            live = False
            reasons.append(f"its lease thread gave no sign of life for {silent:.0f} s")
        if self._overdue:
            reasons.append(self._overdue)
            live = live and self._blocked is None
        return WorkerHealth(
            live=live,
            ready=ready and live,
            reasons=reasons,
            worker=self._worker,
            pid=os.getpid(),
            state=self._state() if self._begun else "starting",
            running=self._running,
            blocked=self._blocked,
            overdue=self._overdue,
            scheduler=scheduler,
        )
