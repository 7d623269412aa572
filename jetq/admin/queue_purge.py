"""
queue_purge: empty a queue, and end the tasks that were queued there.

An item that is removed would leave its task waiting for nothing. So the order is: record (``expired``, end ``purged``)
→ what follows from that end → all items up to the one that was the last when the purge began. What comes in later
stays, and so does a task that somebody retries meanwhile: its new item stands behind that one.

Dead in between: the items of tasks that ended are still there; the worker that gets one finds the final record, repeats
what follows from it, and removes it. Then the purge can be begun again.

Not all that has an item is queued. A task that runs is left alone, and its item is put back, since without it nobody
would miss a worker that dies. A task that waits for its time has left an item behind that asks for nothing; its
schedule is made sure of, since who dies between a record and its schedule leaves it to that item. But a task that its
schedule brought waits no longer, though its record says so until it is claimed.

What is listed may lack an item when others are taken out meanwhile; so the list is read until it brings nothing new.
"""

import asyncio
from typing import Final

from msgspec import Struct

from jetq.admin.placement import Placement
from jetq.errors import (
    MalformedItemError,
    MalformedRecordError,
    SequenceConflictError,
    ServerTimeoutError,
    UnknownQueueError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.stream_message import StreamMessage, last_message, purge_subject
from jetq.jetstream.subject_list import list_subjects
from jetq.jetstream.task_store import Stored
from jetq.model.state import End, State
from jetq.model.transition import ended
from jetq.wire.codec import Document, Item, decode_item, decode_record

_CHUNK: Final = 500
"""Tasks whose items are read, and whose records are written, together."""
_ROUNDS: Final = 3
_TRIES: Final = 20
PURGED: Final = "its queue was purged"
DELETED: Final = "its queue was deleted"


class _Found(Struct, frozen=True):
    """An item, and the record that its task had when that was published, if it says."""

    item: Item
    stored: Stored | None


class QueuePurge:
    """
    Empties one queue, once.

    Args:
        backend: The server.
        queue: Its name.
        reason: What the records of its tasks tell.
    """

    def __init__(self, backend: Backend, queue: str, *, reason: str = PURGED) -> None:
        self._backend = backend
        self._queue = queue
        self._reason = reason
        self._placement = Placement(backend)
        self._seen: set[str] = set()
        self._running: list[Stored] = []
        self._last = 0

    async def run(self) -> int:
        """
        End the tasks, remove the items and return the number of these.

        Raises:
            UnknownQueueError: There is no such queue.
            ServerError: No answer, or a refusal; some tasks may have ended.
        """
        backend, names = self._backend, self._backend.names
        stream = await find_stream(backend.connection, names.queue(self._queue))
        if stream is None:
            raise UnknownQueueError(self._queue)
        self._last = stream["state"]["last_seq"]
        if stream["state"]["messages"]:
            await backend.know_store()
        for _ in range(_ROUNDS):
            if not await self._end_listed():
                break
        removed = await purge_subject(
            backend.connection, names.queue(self._queue), names.items_subject(self._queue), through=self._last
        )
        for stored in self._running:
            await backend.queues.put(stored)
        return removed

    async def _end_listed(self) -> bool:
        """Deal with the items that are listed and were not before; say whether there were any."""
        names, fresh = self._backend.names, list[str]()
        size = len(names.item(self._queue, ""))

        def take(subject: str) -> None:
            task_id = subject[size:]
            if task_id not in self._seen:
                fresh.append(task_id)

        stream, subjects = names.queue(self._queue), names.items_subject(self._queue)
        await list_subjects(self._backend.connection, stream, subjects, take)
        self._seen.update(fresh)
        for start in range(0, len(fresh), _CHUNK):
            await self._end_chunk(fresh[start : start + _CHUNK])
        return bool(fresh)

    async def _end_chunk(self, task_ids: list[str]) -> None:
        """End tasks together: those whose items carry the newest record, which is almost all, in one round trip."""
        found = [one for one in await asyncio.gather(*map(self._find, task_ids)) if one is not None]
        quick = [(one, document) for one in found if (document := self._ended(one, one.stored)) is not None]
        backend = self._backend
        publications = [
            backend.tasks.publication(document.record.id, document.encode(), one.item.seq, self._ttl(document))
            for one, document in quick
        ]
        answers = await backend.publisher.publish_many(publications)
        quickly: set[str] = set()
        for (one, document), publication, answer in zip(quick, publications, answers, strict=True):
            if isinstance(answer, int):
                quickly.add(one.item.job)
                await self._placement.conclude(Stored(document, answer, publication.data))
        await asyncio.gather(*(self._end_slowly(one.item) for one in found if one.item.job not in quickly))

    async def _find(self, task_id: str) -> _Found | None:
        names = self._backend.names
        message = await last_message(
            self._backend.connection, names.queue(self._queue), names.item(self._queue, task_id)
        )
        return None if message is None or message.seq > self._last else _read(message, task_id)

    def _ended(self, one: _Found, stored: Stored | None) -> Document | None:
        """Return the end of a task whose item is in the queue; None if the task is not queued there."""
        if stored is None or stored.record.is_final or stored.record.state is State.ACTIVE:
            return None
        if stored.record.is_waiting and one.item.seq != stored.sequence:
            return None
        if stored.record.queue != self._queue:
            return None
        return stored.document.updated(ended(stored.record, End.PURGED, self._reason))

    def _ttl(self, document: Document) -> float:
        return self._backend.retention.ttl(document.record)

    async def _end_slowly(self, item: Item) -> None:
        """End a task by its record as it stands now, or see to it that it needs no item."""
        backend, doubt = self._backend, None
        for _ in range(_TRIES):
            stored = await self._backend.tasks.read_sound(item.job)
            document = self._ended(_Found(item, stored), stored)
            if stored is None or stored.record.is_final or stored.record.queue != self._queue:
                return
            if document is None:
                await self._leave(stored)
                return
            try:
                written = await backend.tasks.write(document, stored.sequence, ttl=self._ttl(document))
            except (SequenceConflictError, ServerTimeoutError) as error:
                doubt = error
            else:
                await self._placement.conclude(written)
                return
        raise doubt or ServerTimeoutError(f"the end of task {item.job}", 0.0)

    async def _leave(self, stored: Stored) -> None:
        """Let a task go on that is not queued."""
        if stored.record.is_waiting:
            await self._backend.queues.schedule(stored)
        elif stored.record.state is State.ACTIVE:
            self._running.append(stored)


def _read(message: StreamMessage, task_id: str) -> _Found | None:
    try:
        item = decode_item(message.data)
    except MalformedItemError:
        return None
    if item.job != task_id:
        return None
    data = bytes(item.task)
    if not item.seq or not data:
        return _Found(item, None)
    try:
        document = decode_record(item.task)
    except MalformedRecordError:
        return _Found(item, None)
    return _Found(item, Stored(document, item.seq, data) if document.record.id == task_id else None)
