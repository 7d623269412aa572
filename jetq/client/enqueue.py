"""
enqueue: from a wish to a stored task with its item in the queue.

The order is: record (which must not exist) → acknowledged → item (or, for a task that waits, its schedule) →
acknowledged → the caller is answered. What a crash or a lost answer at each arrow leaves behind:

=================================  ====================================================================================
at                                 what follows
=================================  ====================================================================================
before the record                  nothing is stored; the caller got no answer
record: answer lost                the record is read: with this call's nonce it is ours, and the item follows
record: refused                    ours, since an earlier copy was stored (as above); else ``DuplicateTaskError``,
                                   unless that record was never queued and wants the same: then it is taken over
producer dies after the record     a ``new`` record without item; an enqueue with the same id takes it over, and the
                                   janitor publishes its item
item: answer lost                  published again; refused since it is there: done (`jetstream.queue_store`)
item: refused, no space left       ``StoreFullError``; the janitor publishes it when there is some, or the same id is
                                   enqueued again
item: refused, the queue is full   the record moves to ``queue_error`` and expires after a second; ``QueueFullError``
item: no answer until the end      ``EnqueueTimeoutError``; the same id may be enqueued again
producer dies after the item       the task runs; the caller got no answer
=================================  ====================================================================================

What this call wrote is told as soon as it is known to stand, and before the item goes: so ``new`` is told once, and
before whatever a worker tells. A producer that finds its record in another state tells what it wrote all the same.

A task of which there may be one only takes its key between record and item; the table of that is in `client.keyed`.
One that depends on others has no item before they have ended; see `client.dependent` and `jetstream.dependents`.

Worker and producer meet at the item only: a worker that gets it reads a record that is there, since the record was
acknowledged before.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from jetq.client.dependent import DependentEnqueuer
from jetq.client.flow_submission import FlowEnqueuer
from jetq.client.keyed import ExistingTask, KeyedEnqueuer
from jetq.client.request import EnqueueRequest
from jetq.errors import (
    DuplicateTaskError,
    EnqueueTimeoutError,
    JetqError,
    LimitReachedError,
    PayloadTooLargeError,
    QueueFullError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
    StoreFullError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.task_store import Stored
from jetq.model.events import EnqueueFailed, state_change
from jetq.model.quantity import seconds
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.model.transition import refused, renewed
from jetq.observe.fault_points import Point, fault_point
from jetq.settings import RECORD_MARGIN, Queue
from jetq.wire.codec import Document, new_document
from jetq.wire.dependencies import REFERENCE_SIZE
from jetq.wire.ids import new_id, new_nonce
from jetq.wire.signature import Signer

_BATCH = 250
"""Tasks whose records are awaited together; small enough that items follow while later records are under way."""
_ABREAST = 4
"""Batches under way at one time."""
_QUEUE_ERROR_TTL = 1.0
_LOOK = 1.0
"""Seconds to find out whether a server that does not acknowledge answers at all."""


class Enqueuer:
    """
    Enqueues through one backend.

    Args:
        backend: Where to.
        declared: The application's queues; others are created with defaults on first use.
        signer: Signs every task; None leaves them unsigned.

    Attributes:
        flows: Submits flows.
    """

    def __init__(self, backend: Backend, declared: Mapping[str, Queue], signer: Signer | None = None) -> None:
        self._backend = backend
        self._declared = declared
        self._signer = signer
        self._timeout = seconds("enqueue_timeout", backend.settings.enqueue_timeout)
        self._keyed = KeyedEnqueuer(backend, self, self._timeout, signer)
        self._dependent = DependentEnqueuer(backend, self, self._timeout)
        self.flows = FlowEnqueuer(backend, self, self._timeout, signer)

    async def enqueue(self, request: EnqueueRequest) -> TaskRecord | ExistingTask:
        """
        Store a task and return its record once the server acknowledged record and item.

        With a unique key it may be another task that is there already; see `client.keyed`.

        Raises:
            EnqueueError: See its subclasses.
            ServerError: The server refused for a reason of its own.
        """
        try:
            await self._know_queue(request.queue)
            if request.unique is not None:
                return await self._keyed.enqueue(request, request.unique)
            if request.depends_on:
                return await self._dependent.enqueue(request)
            draft = self._draft(request)
            return await self._finish(draft, await self._write(draft))
        except JetqError as error:
            self._tell_failure(request, error)
            raise

    async def store(self, request: EnqueueRequest) -> Stored:
        """Write the record of a new task, and nothing else; see :meth:`enqueue` for what it raises."""
        draft = self._draft(request)
        return await self._recorded(draft, await self._write(draft))

    async def _write(self, draft: "_Draft") -> int | ServerError:
        """Publish a record, and beside it that the task was enqueued by one of a flow, which only lists need."""
        both = (draft.publication,) if draft.member is None else (draft.publication, draft.member)
        return (await self._backend.publisher.publish_many(both, timeout=self._timeout))[0]

    async def enqueue_many(self, requests: Sequence[EnqueueRequest]) -> list[TaskRecord | ExistingTask | JetqError]:
        """
        Store tasks, pipelined; each in the list is its record or its error, in order.

        Never raises for a single task; every one of them has ended when this returns.

        Raises:
            UnknownQueueError: A queue does not exist and may not be created; nothing was stored.
        """
        for queue in {request.queue for request in requests}:
            await self._know_queue(queue)
        results = await self._enqueue_all(requests)
        for request, result in zip(requests, results, strict=True):
            if isinstance(result, JetqError):
                self._tell_failure(request, result)
        return results

    async def _enqueue_all(self, requests: Sequence[EnqueueRequest]) -> list[TaskRecord | ExistingTask | JetqError]:
        keyed = [request for request in requests if request.unique is not None]
        dependent = [request for request in requests if request.depends_on and request.unique is None]
        if not keyed and not dependent:
            return [*await self._enqueue_plain(requests)]
        plain = [request for request in requests if request.unique is None and not request.depends_on]
        found, blocked, made = await asyncio.gather(
            self._keyed.enqueue_many(keyed), self._dependent.enqueue_many(dependent), self._enqueue_plain(plain)
        )
        existing, waiting, new = iter(found), iter(blocked), iter(made)
        return [
            next(new)
            if request.unique is None and not request.depends_on
            else next(waiting)
            if request.unique is None
            else next(existing)
            for request in requests
        ]

    async def _enqueue_plain(self, requests: Sequence[EnqueueRequest]) -> list[TaskRecord | JetqError]:
        results: list[TaskRecord | JetqError] = []
        batches = [requests[start : start + _BATCH] for start in range(0, len(requests), _BATCH)]
        for start in range(0, len(batches), _ABREAST):
            for batch in await asyncio.gather(*map(self._enqueue_batch, batches[start : start + _ABREAST])):
                results.extend(batch)
        return results

    async def _enqueue_batch(self, requests: Sequence[EnqueueRequest]) -> list[TaskRecord | JetqError]:
        """Write records together, then the items of those that were written; doubtful ones go the single way."""
        drafts = [self._draft_or_error(request) for request in requests]
        fit = [draft for draft in drafts if isinstance(draft, _Draft)]
        publish_many = self._backend.publisher.publish_many
        members = [draft.member for draft in fit if draft.member is not None]
        answers = await publish_many([*(draft.publication for draft in fit), *members], timeout=self._timeout)
        del answers[len(fit) :]
        now = self._backend.connection.clock.now()
        written = [
            self._written(draft, answer, now) if isinstance(answer, int) else None
            for draft, answer in zip(fit, answers, strict=True)
        ]
        items = [
            self._backend.queues.publication(stored)
            for stored in written
            if stored is not None and stored.record.due is None
        ]
        acks = iter(await publish_many(items, timeout=self._timeout))
        queued = [
            stored is not None and stored.record.due is None and isinstance(next(acks), int) for stored in written
        ]
        doubtful = [
            self._finish_or_error(draft, answer if stored is None else stored)
            for draft, answer, stored, done in zip(fit, answers, written, queued, strict=True)
            if not done
        ]
        finished = iter(await asyncio.gather(*doubtful))  # together: each may take as long as the server is silent
        ends = iter(
            [draft.document.record if done else next(finished) for draft, done in zip(fit, queued, strict=True)]
        )
        return [next(ends) if isinstance(draft, _Draft) else draft for draft in drafts]

    async def refused_queues(self, names: Iterable[str]) -> dict[str, JetqError]:
        """Return the error of each queue that does not exist and cannot be made."""
        refused: dict[str, JetqError] = {}
        for name in names:
            try:
                await self._know_queue(name)
            except JetqError as error:
                refused[name] = error
        return refused

    async def _know_queue(self, name: str) -> None:
        await self._backend.queue(self._declared.get(name) or Queue(name))

    def _draft(self, request: EnqueueRequest) -> "_Draft":
        now = self._backend.connection.clock.now()
        record = request.record(request.task_id or new_id(), new_nonce(), now)
        if record.due is not None:
            self._backend.retention.refuse_late(record, now)
        document = new_document(record)
        if self._signer is not None:
            document = self._signer.signed(document)
        data = document.encode()
        limit = self._backend.connection.max_payload - RECORD_MARGIN
        size = len(data) + REFERENCE_SIZE * len(document.record.pending)
        if size > limit:
            raise PayloadTooLargeError(request.type, size, limit)
        record = document.record
        member = self._backend.flows.member(record.flow, record.id) if record.flow else None
        return _Draft(document, self._backend.tasks.publication(record.id, data, 0), member)

    def _draft_or_error(self, request: EnqueueRequest) -> "_Draft | JetqError":
        try:
            return self._draft(request)
        except JetqError as error:
            return error

    def _written(self, draft: "_Draft", sequence: int, now: datetime | None = None) -> Stored:
        self._tell(draft.document.record, sequence, now)
        return Stored(draft.document, sequence, draft.publication.data)

    async def _finish_or_error(self, draft: "_Draft", answer: Stored | int | ServerError) -> TaskRecord | JetqError:
        try:
            return await self._finish(draft, answer)
        except JetqError as error:
            return error

    async def _finish(self, draft: "_Draft", answer: Stored | int | ServerError) -> TaskRecord:
        """Bring a task to its queue, from its stored record on, or from the server's refusal or silence."""
        stored = await self._recorded(draft, answer)
        await self.make_runnable(stored)
        fault_point(Point.ITEM_STORED)
        return stored.record

    async def _recorded(self, draft: "_Draft", answer: Stored | int | ServerError) -> Stored:
        match answer:
            case int():
                return self._written(draft, answer)
            case Stored():
                return answer
            case SequenceConflictError() | ServerTimeoutError():
                return await self._resolve(draft.document, answer)
            case _:
                raise answer

    async def _resolve(self, document: Document, doubt: ServerError) -> Stored:
        """
        Find out whose record stands there, and return the one to go on with.

        Raises:
            DuplicateTaskError: Somebody else's.
            EnqueueTimeoutError: None could be read.
        """
        wanted = document.record
        try:
            found = await self._backend.tasks.read(wanted.id, timeout=self._timeout)
        except ServerTimeoutError as silent:
            raise EnqueueTimeoutError(wanted.id, self._timeout) from silent
        if found is None:
            answers = type(doubt) is ServerTimeoutError
            raise EnqueueTimeoutError(wanted.id, self._timeout, answers=answers) from doubt
        if found.record.nonce == wanted.nonce:
            self._tell(wanted, found.sequence if found.data == document.encode() else 0)
            return found
        if wanted.dependencies:
            if _is_same(found.record, wanted):
                return found
            raise _duplicate(found.record) from doubt
        if not await self._was_never_queued(found, wanted):
            raise _duplicate(found.record) from doubt
        mine = found.document.updated(renewed(found.record, wanted))
        if self._signer is not None:
            mine = self._signer.signed(mine)
        try:
            written = await self._backend.tasks.write(mine, found.sequence, timeout=self._timeout)
        except SequenceConflictError as raced:
            raise _duplicate(found.record) from raced
        except ServerTimeoutError as silent:
            raise EnqueueTimeoutError(wanted.id, self._timeout) from silent
        self._tell(written.record, written.sequence)
        return written

    async def _was_never_queued(self, found: Stored, wanted: TaskRecord) -> bool:
        """Whether the record that stands there is the trace of an enqueue of the same task that failed."""
        record = found.record
        if (record.type, record.payload, record.queue) != (wanted.type, wanted.payload, wanted.queue):
            return False
        if record.state is State.QUEUE_ERROR:
            return True
        return record.state is State.NEW and not record.is_waiting and not await self._backend.queues.has_item(found)

    async def make_runnable(self, stored: Stored) -> None:
        """
        Put in place what a record asks for: its item, or its schedule.

        Raises:
            StoreFullError: The server has no space left; once it has, the janitor carries on.
            QueueFullError: The queue is full; the record says so, and expires.
            EnqueueTimeoutError: No answer; it may be in place.
        """
        fault_point(Point.RECORD_STORED)
        queues, record = self._backend.queues, stored.record
        try:
            if record.is_waiting:
                schedule = queues.schedule_unless_newer if record.key else queues.schedule
                await schedule(stored, timeout=self._timeout)
            elif record.is_runnable or record.state is State.ACTIVE:
                await queues.put(stored, timeout=self._timeout)
        except StoreFullError:
            raise
        except LimitReachedError as full:
            await self._give_up(stored)
            raise QueueFullError(record.queue) from full
        except ServerTimeoutError as silent:
            answers = type(silent) is ServerTimeoutError and await self._answers(record.id)
            raise EnqueueTimeoutError(record.id, self._timeout, answers=answers) from silent

    async def _answers(self, task_id: str) -> bool:
        """Whether a server that does not acknowledge answers all the same."""
        with contextlib.suppress(ServerError):
            return await self._backend.tasks.read(task_id, timeout=_LOOK) is not None
        return False

    async def _give_up(self, stored: Stored) -> None:
        """Say in the record that its item was refused; it expires soon, and somebody else's write is left alone."""
        document = stored.document.updated(refused(stored.record, "the queue is full"))
        with contextlib.suppress(ServerError):
            tasks, ttl = self._backend.tasks, _QUEUE_ERROR_TTL
            written = await tasks.write(document, stored.sequence, ttl=ttl, timeout=self._timeout)
            self._tell(written.record, written.sequence)

    def _tell_failure(self, request: EnqueueRequest, error: JetqError) -> None:
        name = type(error).__name__
        self._backend.bus.emit(EnqueueFailed(task_type=request.type, queue=request.queue, error=name))

    def _tell(self, record: TaskRecord, sequence: int, now: datetime | None = None) -> None:
        at = now or self._backend.connection.clock.now()
        self._backend.bus.emit(state_change(record, at, sequence=sequence))


def _is_same(record: TaskRecord, wanted: TaskRecord) -> bool:
    """Whether a record is of an earlier enqueue of the same blocked task, whose caller perhaps got no answer."""
    names = ("type", "payload", "queue", "dependencies")
    same = all(getattr(record, name) == getattr(wanted, name) for name in names)
    return same and record.state is State.BLOCKED and wanted.state is State.BLOCKED


def _duplicate(existing: TaskRecord) -> DuplicateTaskError:
    return DuplicateTaskError(existing.id, existing.display_state, existing.type, existing.queue)


class _Draft(Struct, frozen=True, gc=False):
    document: Document
    publication: Publication
    member: Publication | None = None
