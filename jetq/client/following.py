"""
following: what happens to one task, until its end.

Events say what happened, the record says what is so: it is read at the beginning, where events are missing, and
whenever nothing came for two seconds. So a lost event delays the end and does not hide it. A change that only the
record tells is given a moment, since events may come after what they tell of; then it is given as the event would have
been. What is older than that is passed over, so states come in the order of their writing. An event without the
record's sequence, as Go tells it, only says that it is worth reading the record.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final, Self

from jetq.client.clients import Clients
from jetq.client.event_stream import EventStream
from jetq.errors import ConnectionClosedError, NoResponderError, ServerTimeoutError, TaskNotFoundError
from jetq.jetstream.backend import Backend
from jetq.jetstream.event_reader import EventReader
from jetq.jetstream.task_store import Stored
from jetq.settings import RESULT_POLL
from jetq.wire.event_filter import EventFilter
from jetq.wire.events import TASK_STATE, TaskProgressEvent, TaskStateEvent, age_of, event_id

TaskEvent = TaskStateEvent | TaskProgressEvent
"""What happens to one task."""

_LATENESS: Final = 0.3
"""Seconds that an event may come after the record that it tells of."""


class Follower:
    """
    Follows one task.

    Args:
        backend: Where the task is.
        task_id: Which.
        reader: Hears of it.
    """

    def __init__(self, backend: Backend, task_id: str, reader: EventReader) -> None:
        self._backend = backend
        self._task_id = task_id
        self._what = f"following task {task_id}"
        self._reader = reader
        self._last: TaskStateEvent | None = None
        self._known = 0
        """A sequence of the record; what has no higher one tells nothing new."""
        self._is_closed = False

    @classmethod
    async def open(cls, backend: Backend, task_id: str) -> Self:
        """Begin to hear of a task."""
        wanted = EventFilter(task_id=task_id, progress=True)
        return cls(backend, task_id, await EventReader.open(backend.connection, backend.names, wanted))

    async def close(self) -> None:
        """Hear no more."""
        await self._reader.close()

    async def events(self) -> AsyncGenerator[TaskEvent, None]:
        """
        Yield the state as it is, then each change and each progress, until the task's end or :meth:`close`.

        Raises:
            TaskNotFoundError: There is no record (any more).
            ConnectionClosedError: This program closed the connection before the task's end.
            ServerError: The server refuses.
        """
        lateness = 0.0
        while not self._is_closed:
            stored, is_gone = await self._read()
            if is_gone or stored is not None:
                async for earlier in self._before(stored, lateness):
                    yield earlier
                if self._is_over:
                    return
                if is_gone:
                    raise TaskNotFoundError(self._task_id)
                if stored is not None and (told := self._told_by(stored)) is not None:
                    yield told
                if self._is_over:
                    return
                lateness = _LATENESS
            while (event := await self._next(RESULT_POLL)) is not None:
                yield event
                if self._is_over:
                    return

    @property
    def _is_over(self) -> bool:
        return self._last is not None and self._last.is_final

    async def _read(self) -> tuple[Stored | None, bool]:
        """Return the record, if the server answers, and whether there is none."""
        try:
            stored = await self._backend.tasks.read(self._task_id)
        except ConnectionClosedError:
            raise ConnectionClosedError(self._what) from None
        except (ServerTimeoutError, NoResponderError):
            return None, False
        return stored, stored is None

    async def _before(self, stored: Stored | None, lateness: float) -> AsyncGenerator[TaskEvent, None]:
        """Yield the events that led to a record with news, if they come soon."""
        loop = asyncio.get_running_loop()
        until = loop.time() + lateness
        while (stored is None or self._is_news(stored)) and (left := until - loop.time()) > 0:
            event = await self._next(left)
            if event is not None:
                yield event
            if self._is_over or self._is_closed:
                return

    async def _next(self, patience: float) -> TaskEvent | None:
        """Return the next event that tells something new; None when it is time to read the record."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while True:
            try:
                async with asyncio.timeout_at(until):
                    event = await self._reader.next()
            except TimeoutError:
                return None
            self._is_closed = event is None
            if self._is_closed and self._reader.is_cut_off:
                raise ConnectionClosedError(self._what)
            match event:
                case TaskStateEvent(sequence=sequence) if sequence > self._known:
                    self._last, self._known = event, sequence
                    return event
                case TaskProgressEvent():
                    if self._last is None or event.attempt >= self._last.attempt:
                        return event
                case TaskStateEvent() if event.sequence:
                    pass
                case _:
                    return None

    def _is_news(self, stored: Stored) -> bool:
        """Whether a record tells another state than the last that was given."""
        record, last = stored.record, self._last
        if stored.sequence <= self._known:
            return False
        return last is None or (record.state, record.runs, record.tries, record.due, record.end) != (
            last.state,
            last.attempt,
            last.tries,
            last.due,
            last.end,
        )

    def _told_by(self, stored: Stored) -> TaskStateEvent | None:
        """Return the event that a record with news would have been told by."""
        is_news = self._is_news(stored)
        self._known = max(self._known, stored.sequence)
        if not is_news:
            return None
        record, at = stored.record, stored.written or datetime.now(UTC)
        self._last = TaskStateEvent(
            event_id(record.id, stored.sequence),
            TASK_STATE,
            at,
            record.id,
            record.state,
            record.tries,
            record.queue,
            record.type,
            record.last_err,
            age_of(record.created, at),
            stored.sequence,
            record.due,
            record.end,
            record.run.worker if record.run is not None else "",
            record.runs,
            record.crashes,
        )
        return self._last


def task_events(clients: Clients, task_id: str) -> EventStream[TaskEvent]:
    """Return what happens to one task, until its end."""

    async def source(stack: AsyncExitStack) -> AsyncIterator[TaskEvent]:
        follower = await Follower.open((await clients.current()).backend, task_id)
        stack.push_async_callback(follower.close)
        return follower.events()

    return EventStream(source)
