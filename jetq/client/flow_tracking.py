"""
flow_tracking: hear of the ends of many tasks at once.

Events wake the waiter and records convince it, as for a single task (`client.waiting`). But there may be ten thousand:
so there is one subscription for all of them beyond a few, an event of another task costs a look into a table, and a
record is read when an event says that it has ended. Events may be lost; so whenever nothing was heard for a while, some
of those that have not ended are read, and after a new connection all of them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Generic, Self, TypeVar

from jetq.errors import ConnectionClosedError, NoResponderError, ServerTimeoutError
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Incoming, Subscription
from jetq.jetstream.task_store import Stored
from jetq.settings import RESULT_POLL
from jetq.wire.events import TaskStateEvent, decode_event

_T = TypeVar("_T")

_FEW: Final = 16
"""Tasks that are listened for one by one; more of them share a subscription to all tasks."""
_SLICE: Final = 200
"""Records that are read when nothing was heard for two seconds."""


class FlowTracker(Generic[_T]):
    """
    Learns of the ends of tasks.

    Args:
        backend: Where they are.
        task_ids: They.
        keep: What is to be known of one that has ended, by its final record; None for one that has none (any more).
            Ten thousand records may be as many megabytes.

    Attributes:
        ended: What *keep* said of those that have ended, by id.
    """

    def __init__(self, backend: Backend, task_ids: Sequence[str], keep: Callable[[Stored | None], _T]) -> None:
        self.ended: dict[str, _T] = {}
        self._backend = backend
        self._keep = keep
        self._left = dict.fromkeys(task_ids)
        """Those that have not ended; the ones looked at last stand last."""
        self._heard: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._forget: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to hear."""
        names, ids = self._backend.names, [*self._left]
        for task_id in ids if len(ids) <= _FEW else ["*"]:
            subscription = await self._backend.connection.subscribe(names.task_event(task_id), self._on_event)
            subscription.on_end = lambda _denied: self._changed.set()  # to read again will say so
            self._subscriptions.append(subscription)
        self._forget = self._backend.connection.on_connected(self._on_connected)
        self._heard.update(self._left)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Hear no more."""
        if self._forget is not None:
            self._forget()
        for subscription in self._subscriptions:
            await subscription.unsubscribe()

    @property
    def left(self) -> int:
        """How many have not ended."""
        return len(self._left)

    def _on_event(self, message: Incoming) -> None:
        task_id = message.subject.rpartition(".")[2]
        if task_id not in self._left:
            return
        event = decode_event(message.data)
        if isinstance(event, TaskStateEvent) and event.is_final:
            self._heard[task_id] = None
            self._changed.set()

    def _on_connected(self, _generation: int) -> None:
        self._heard.update(self._left)
        self._changed.set()

    async def wait(self, is_done: Callable[[], bool], deadline: float | None) -> bool:
        """
        Wait until it is done, or nothing is left.

        Args:
            is_done: Asked after each reading.
            deadline: By the loop's time; None waits for ever.

        Returns:
            False if the deadline passed.

        Raises:
            ConnectionClosedError: This program closed the connection meanwhile.
        """
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            await self._read()
            if is_done() or not self._left:
                return True
            if self._heard and (deadline is None or loop.time() < deadline):
                continue
            pause = RESULT_POLL if deadline is None else min(RESULT_POLL, deadline - loop.time())
            if pause <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            if not self._heard:
                self._heard.update(dict.fromkeys([*self._left][:_SLICE]))

    async def _read(self) -> None:
        """Read those of which something was heard."""
        heard = [*self._heard][:_SLICE]
        for task_id in heard:
            del self._heard[task_id]
        try:
            found = await self._backend.tasks.read_each(heard, self._end)
        except ConnectionClosedError:
            raise ConnectionClosedError(f"waiting for {len(self._left):,} tasks") from None
        except (ServerTimeoutError, NoResponderError):
            return
        for task_id, end in zip(heard, found, strict=True):
            if task_id not in self._left:
                continue
            del self._left[task_id]
            if end:
                self.ended[task_id] = end[0]
            else:
                self._left[task_id] = None

    def _end(self, stored: Stored | None) -> tuple[_T] | None:
        """Return what is to be known of a task that has ended; None for one that has not."""
        return (self._keep(stored),) if stored is None or stored.record.is_final else None
