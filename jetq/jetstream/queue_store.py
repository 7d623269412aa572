"""
queue_store: the items of queues, and the schedules that bring items later.

Whoever makes a task runnable publishes its item (:meth:`QueueStore.put`), expecting that there is none. If there is
one, it may be about to be acknowledged by a worker that saw an older record, and then the task would be lost (it was:
up to 200 of 200). So:

1. The item was published for this record or a newer one: done.
2. Else the record is read again. Ended, blocked or waiting: done, since whoever wrote that put in place what it needs.
   Runnable or active: the item is replaced by one with the record's sequence, expecting the sequence of the item that
   was read; refused, the loop starts again.

A crash anywhere in the loop leaves a record without item, which the janitor finds; a repetition is harmless.
"""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from jetq.errors import MalformedItemError, RequestRefusedError, SequenceConflictError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import STREAM_NOT_FOUND
from jetq.jetstream.publisher import Publication, Publisher, expecting
from jetq.jetstream.remains import Remains
from jetq.jetstream.stream_message import StreamMessage, last_message, purge_subject
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.wire.codec import decode_item, encode_item
from jetq.wire.names import EXPECT_SUBJECT_SEQUENCE, SCHEDULE, SCHEDULE_TARGET, Names

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class QueueStore:
    """
    Puts items into queues, now or later.

    Args:
        connection: For reading.
        publisher: For writing.
        names: Of the namespace.
        tasks: The records.
    """

    def __init__(self, connection: Connection, publisher: Publisher, names: Names, tasks: TaskStore) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names
        self._tasks = tasks

    def publication(self, stored: Stored, *, expect: int = 0) -> Publication:
        """Return the message that puts the item of a record into its queue, expecting the item *expect* there."""
        record = stored.record
        data = encode_item(record.id, stored.sequence, stored.data)
        return Publication(self._names.item(record.queue, record.id), data, expecting(expect))

    async def put(self, stored: Stored, *, timeout: float | None = None) -> None:
        """
        Make sure that the queue holds an item for a record that was just made runnable.

        Raises:
            LimitReachedError: The queue is full.
            ServerTimeoutError: No answer; the item may be there.
        """
        expect = 0
        while True:
            try:
                await self._publisher.publish(self.publication(stored, expect=expect), timeout=timeout)
            except SequenceConflictError:
                pass
            else:
                return
            item = await self._item(stored, timeout)
            if item is None:
                expect = 0
                continue
            if published_for(item) >= stored.sequence:
                return
            expect = item.seq
            now = await self._tasks.read(stored.record.id, timeout=timeout)
            if now is None or not _wants_item(now):
                return
            stored = now

    async def _item(self, stored: Stored, timeout: float | None) -> StreamMessage | None:
        record = stored.record
        stream, subject = self._names.queue(record.queue), self._names.item(record.queue, record.id)
        return await last_message(self._connection, stream, subject, timeout=timeout)

    async def has_item(self, stored: Stored, *, timeout: float | None = None) -> bool:
        """Whether the queue holds an item for the task, of whatever age."""
        return await self._item(stored, timeout) is not None

    async def is_placed(self, stored: Stored, *, timeout: float | None = None) -> bool:
        """Whether anything brings the task to a worker: an item, or for one that waits its schedule or due item."""
        record = stored.record
        if record.is_waiting:  # in the order in which one becomes the other, so that none slips through
            for subject in (self._names.schedule(record.queue, record.id), self._names.due(record.queue, record.id)):
                stream = self._names.schedules
                if await last_message(self._connection, stream, subject, timeout=timeout) is not None:
                    return True
        return await self.has_item(stored, timeout=timeout)

    async def schedule(self, stored: Stored, *, timeout: float | None = None) -> None:
        """
        Let the server put the item into the queue when the record's ``due`` has come; replaces an earlier schedule.

        A due time in the past is served within a quarter of a second.

        Raises:
            ServerTimeoutError: No answer; the schedule may be there.
        """
        await self._publisher.publish(self._schedule(stored), timeout=timeout)

    async def schedule_unless_newer(self, stored: Stored, *, timeout: float | None = None) -> None:
        """
        The same for a record that others may have changed meanwhile: a schedule for a newer one stays.

        Raises:
            ServerTimeoutError: No answer; the schedule may be there.
        """
        expect = 0
        while True:
            publication = self._schedule(stored, {EXPECT_SUBJECT_SEQUENCE: str(expect)})
            with contextlib.suppress(SequenceConflictError):
                await self._publisher.publish(publication, timeout=timeout)
                return
            subject = publication.subject
            found = await last_message(self._connection, self._names.schedules, subject, timeout=timeout)
            if found is not None and published_for(found) >= stored.sequence:
                return
            expect = 0 if found is None else found.seq

    def _schedule(self, stored: Stored, headers: Mapping[str, str] = _NO_HEADERS) -> Publication:
        record = stored.record
        return Publication(
            self._names.schedule(record.queue, record.id),
            encode_item(record.id, stored.sequence, stored.data),
            {
                SCHEDULE: f"@at {_rfc3339(record.due or self._connection.clock.now())}",
                SCHEDULE_TARGET: self._names.due(record.queue, record.id),
                **headers,
            },
        )

    async def remove_item(self, remains: Remains) -> bool:
        """Remove the item of a record that is no longer the newest; say whether there was one."""
        names = self._names
        return await self._remove(remains, names.queue(remains.queue), names.item(remains.queue, remains.task_id))

    async def remove_schedule(self, remains: Remains) -> bool:
        """Remove its schedule, and its item that is due and not yet in the queue; say whether there was one."""
        names = self._names
        subjects = (place(remains.queue, remains.task_id) for place in (names.schedule, names.due))
        return any([await self._remove(remains, names.schedules, subject) for subject in subjects])

    async def _remove(self, remains: Remains, stream: str, subject: str) -> bool:
        try:
            found = await last_message(self._connection, stream, subject)
            if found is None or not await self._is_left_behind(remains, found):
                return False
            return await purge_subject(self._connection, stream, subject, through=found.seq) > 0
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return False
            raise

    async def _is_left_behind(self, remains: Remains, found: StreamMessage) -> bool:
        sequence = published_for(found)
        if sequence:
            return sequence < remains.before
        now = await self._tasks.read(remains.task_id)
        return now is None or now.sequence == remains.last


def published_for(item: StreamMessage) -> int:
    """Return the sequence of the record that an item was published for; 0 if it does not say."""
    try:
        return decode_item(item.data).seq
    except MalformedItemError:
        return 0


def _wants_item(stored: Stored) -> bool:
    record = stored.record
    return record.is_runnable or record.state == "active"


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
