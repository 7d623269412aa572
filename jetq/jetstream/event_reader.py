"""
event_reader: events as they happen, for one reader, within bounds.

Events are told over core NATS, so what happens while the connection is lost is not heard; and a reader that is slower
than what happens must not fill the memory. Both leave a gap, and the reader is told in its place.

Two tellings of one change, as after a crash, carry the same id; the later one is passed over if it comes soon.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Self

from msgspec import Struct

from jetq.errors import PermissionDeniedError
from jetq.jetstream.connection import Connection, Incoming, Subscription
from jetq.settings import EVENT_BUFFER
from jetq.wire.event_filter import EventFilter
from jetq.wire.events import LifecycleEvent, decode_event
from jetq.wire.names import Names

_REMEMBERED: Final = 1000
"""Ids of the last events, which a second telling is known by."""


class EventsMissed(Struct, frozen=True):
    """
    Events are missing in this place.

    Attributes:
        missed: How many came while the reader's buffer was full; None if the connection was lost, and nobody knows.
    """

    missed: int | None


ReadEvent = LifecycleEvent | EventsMissed


class EventReader:
    """
    Hears events from :meth:`open` on, and hands them over one by one.

    Args:
        connection: Where from.
        names: Of the namespace.
        wanted: Which.
        buffer: So many may wait; what comes beyond that is missed.

    Attributes:
        is_cut_off: The connection was closed, and not this reader alone.
    """

    def __init__(
        self, connection: Connection, names: Names, wanted: EventFilter, *, buffer: int = EVENT_BUFFER
    ) -> None:
        self._connection = connection
        self._names = names
        self._wanted = wanted
        self._buffer = buffer
        self._waiting: deque[ReadEvent] = deque()
        self._missed = 0
        self._seen: dict[str, None] = {}
        self._arrived = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._denied: PermissionDeniedError | None = None
        self._ended = False
        self.is_cut_off = False
        self._forget = connection.on_connected(self._on_connected)

    @classmethod
    async def open(
        cls, connection: Connection, names: Names, wanted: EventFilter, *, buffer: int = EVENT_BUFFER
    ) -> Self:
        """Begin to hear: what is sent on this connection afterwards happens after that."""
        reader = cls(connection, names, wanted, buffer=buffer)
        for subject in wanted.subjects(names):
            subscription = await connection.subscribe(subject, reader._take)
            subscription.on_end = reader._on_end
            reader._subscriptions.append(subscription)
        return reader

    async def next(self) -> ReadEvent | None:
        """
        Return the next event; None when the connection was closed.

        Raises:
            PermissionDeniedError: The server does not permit to hear such events.
        """
        while True:
            if self._waiting:
                return self._waiting.popleft()
            if self._missed:
                return self._gap()
            if self._denied is not None:
                raise self._denied
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()

    async def __aiter__(self) -> AsyncIterator[ReadEvent]:
        """Yield events until the connection is closed."""
        while (event := await self.next()) is not None:
            yield event

    async def close(self) -> None:
        """Hear no more. Idempotent."""
        self._forget()
        self._end(None)
        for subscription in self._subscriptions:
            await subscription.unsubscribe()

    def _take(self, message: Incoming) -> None:
        event = decode_event(message.data)
        if event is None or not self._wanted.matches(event) or self._is_known(event.event_id):
            return
        if len(self._waiting) >= self._buffer:
            self._missed += 1
            return
        if self._missed:
            self._waiting.append(self._gap())
        self._waiting.append(event)
        self._arrived.set()

    def _is_known(self, event_id: str) -> bool:
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False

    def _gap(self) -> EventsMissed:
        gap, self._missed = EventsMissed(self._missed), 0
        return gap

    def _on_connected(self, _generation: int) -> None:
        if not (self._waiting and self._waiting[-1] == EventsMissed(None)):
            self._waiting.append(EventsMissed(None))
        self._arrived.set()

    def _on_end(self, denied: PermissionDeniedError | None) -> None:
        """Nothing comes any more. Who may read tasks and no elections, as with Go's own permissions, reads tasks."""
        self.is_cut_off = self.is_cut_off or denied is None
        if denied is None or denied.subject != self._names.leader_event("*"):
            self._end(denied)

    def _end(self, denied: PermissionDeniedError | None) -> None:
        self._denied, self._ended = self._denied or denied, True
        self._arrived.set()
