"""
occurrences: makes the tasks of schedules, each once, whoever else makes the same.

The id of an occurrence says which one it is, and its record is created with the expectation that there is none. So of
all who make it, be they two leaders at one time or one after the other, one creates it, and the others see it. What a
crash or a lost answer at each arrow leaves behind:

===============================  ======================================================================================
at                               what follows
===============================  ======================================================================================
before the record                nothing is stored; the next leader finds it due, since the state was not written
record: answer lost              the record is read: with this nonce it is ours, and the item follows
record: refused                  it is read: ``new`` or ``queue_error``: perhaps nobody queued it, so its item is
                                 published, expecting none; anything else, or gone again: it was made
dead after the record            the next leader finds it due, and the row above holds; so does the janitor's pass
item: answer lost                it is made again: the record is refused, the item is refused since it is there
item: refused, the queue full    a schedule for now takes its place, which waits at the server until there is room
dead after the item              the next leader makes it again, as above, and writes the state
===============================  ======================================================================================

A record is kept for an hour after its end at least (`jetstream.retention`), so that it is there to refuse another one.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from jetq.errors import (
    JetqError,
    LimitReachedError,
    PayloadTooLargeError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
    UnknownQueueError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.publisher import Publication
from jetq.jetstream.task_store import Stored
from jetq.model.events import state_change
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.model.stored_schedule import StoredSchedule
from jetq.model.timetable import Occurrence
from jetq.model.transition import renewed
from jetq.observe.fault_points import Point, fault_point
from jetq.settings import RECORD_MARGIN, Queue
from jetq.wire.codec import Document, new_document
from jetq.wire.ids import new_nonce
from jetq.wire.signature import Signer

_QUEUED: Final = frozenset({State.NEW, State.QUEUE_ERROR})
"""States of a record that may never have been queued."""


class Planned(Struct, frozen=True, gc=False):
    """An occurrence that is to be made, and its schedule."""

    schedule: StoredSchedule
    occurrence: Occurrence


class _Draft(Struct, frozen=True, gc=False):
    document: Document
    publication: Publication


class OccurrenceMaker:
    """
    Makes occurrences through one backend.

    Args:
        backend: Where to.
        signer: Signs every task; None leaves them unsigned.
    """

    def __init__(self, backend: Backend, signer: Signer | None = None) -> None:
        self._backend = backend
        self._signer = signer

    async def make_many(self, planned: Sequence[Planned]) -> list[JetqError | None]:
        """
        Make occurrences together, all of one queue.

        Returns:
            For each, in order, None if it is stored and queued, whoever did that, or what was wrong.

        Raises:
            UnknownQueueError: The queue does not exist and may not be created.
            ServerError: No answer, or a refusal.
        """
        backend = self._backend
        await backend.queue(Queue(planned[0].schedule.queue))
        now = backend.connection.clock.now()
        drafts = [self._draft_or_error(each, now) for each in planned]
        fit = [draft for draft in drafts if isinstance(draft, _Draft)]
        answers = await backend.publisher.publish_many([draft.publication for draft in fit])
        fault_point(Point.OCCURRENCE_STORED)
        written = [
            self._written(draft, answer) if isinstance(answer, int) else None
            for draft, answer in zip(fit, answers, strict=True)
        ]
        items = [backend.queues.publication(each) for each in written if each is not None and each.record.due is None]
        acks = iter(await backend.publisher.publish_many(items))
        queued = [each is not None and each.record.due is None and isinstance(next(acks), int) for each in written]
        doubtful = [
            self._finish(draft, answer if stored is None else stored)
            for draft, answer, stored, done in zip(fit, answers, written, queued, strict=True)
            if not done
        ]
        finished = iter(await asyncio.gather(*doubtful))
        fault_point(Point.OCCURRENCE_QUEUED)
        ends = iter([None if done else next(finished) for done in queued])
        return [next(ends) if isinstance(draft, _Draft) else draft for draft in drafts]

    def _draft_or_error(self, planned: Planned, now: datetime) -> _Draft | JetqError:
        document = new_document(_record(planned, now))
        if self._signer is not None:
            document = self._signer.signed(document)
        data, record = document.encode(), document.record
        limit = self._backend.connection.max_payload - RECORD_MARGIN
        if len(data) > limit:
            return PayloadTooLargeError(record.type, len(data), limit)
        return _Draft(document, self._backend.tasks.publication(record.id, data, 0))

    def _written(self, draft: _Draft, sequence: int) -> Stored:
        self._tell(draft.document.record, sequence)
        return Stored(draft.document, sequence, draft.publication.data)

    def _tell(self, record: TaskRecord, sequence: int) -> None:
        self._backend.bus.emit(state_change(record, self._backend.connection.clock.now(), sequence=sequence))

    async def _finish(self, draft: _Draft, answer: Stored | int | ServerError) -> JetqError | None:
        """Bring one occurrence to its queue, from its stored record on, or from the server's refusal or silence."""
        try:
            stored = answer if isinstance(answer, Stored) else await self._resolve(draft, answer)
            if stored is not None:
                await self._place(stored)
        except JetqError as error:
            return error
        return None

    async def _resolve(self, draft: _Draft, answer: int | ServerError) -> Stored | None:
        """Find out whose record stands there; return it if it may never have been queued."""
        if not isinstance(answer, SequenceConflictError | ServerTimeoutError):
            raise answer if isinstance(answer, ServerError) else AssertionError(answer)
        wanted = draft.document.record
        found = await self._backend.tasks.read(wanted.id)
        if found is None:
            if isinstance(answer, ServerTimeoutError):
                raise answer
            return None
        record = found.record
        if record.nonce == wanted.nonce and record.state is State.NEW:
            self._tell(wanted, found.sequence)
            return found
        if record.state not in _QUEUED:
            return None
        if record.state is State.NEW:
            return found
        mine = found.document.updated(renewed(record, wanted))
        if self._signer is not None:
            mine = self._signer.signed(mine)
        written = await self._backend.tasks.write(mine, found.sequence)
        self._tell(written.record, written.sequence)
        return written

    async def _place(self, stored: Stored) -> None:
        record, queues = stored.record, self._backend.queues
        try:
            if record.is_waiting:
                await queues.schedule_unless_newer(stored)
            else:
                await queues.put(stored)
        except LimitReachedError:
            await queues.schedule(stored)  # it waits there until the queue has room
        except ServerTimeoutError:
            if await find_stream(self._backend.connection, self._backend.names.queue(record.queue)) is None:
                raise UnknownQueueError(record.queue) from None
            raise


def _record(planned: Planned, now: datetime) -> TaskRecord:
    schedule, occurrence = planned.schedule, planned.occurrence
    starts, deadline = max(now, occurrence.starts), schedule.deadline_after
    return TaskRecord(
        id=occurrence.id,
        type=schedule.task_type,
        queue=schedule.queue,
        payload=schedule.payload,
        max_tries=schedule.max_tries,
        deadline=None if deadline is None else starts + deadline,
        state=State.NEW,
        created=now,
        due=starts if starts > now else None,
        options=schedule.options,
        schedule=schedule.name,
        scheduled_for=occurrence.planned,
        nonce=new_nonce(),
    )
