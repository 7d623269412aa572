"""
keyed: enqueue a task of which there may be one only.

The order is: record (``new``, without item) → key, by compare-and-swap → item. The key is looked at before all that, so
that a second enqueue writes nothing. Nobody runs a task without item, and only who has the key publishes one; so of any
number of enqueues one makes a task, and the others find it. A key counts while its task has not ended, whoever ended it
and whether he freed the key or not. What a crash, a lost answer or somebody else at each arrow leads to:

======================================  ================================================================================
at                                      what follows
======================================  ================================================================================
the key is held                         the caller gets the holder; nothing was written (or see the modes, below)
producer dies after its record          a ``new`` record without item that no key names: the janitor ends it; the next
                                        enqueue takes the key as if nothing had been
key: answer lost                        read again: it names the own task → go on; another one → as if it was held
key: refused, somebody was faster       read again; if it is held, the own record ends (``duplicate``) and soon expires
producer dies with its record left      as after its record
producer dies after the key             a ``new`` record without item that the key names: the next enqueue that finds it
                                        brings it to its queue and returns it; else the janitor does
the holder was never queued             its record is written again as it stands, then its item: if its producer lives
                                        and gives it up meanwhile (its queue is full), one of the two writes is refused
item: refused, the queue is full        the record moves to ``queue_error`` and then the key is freed; a producer that
                                        dies in between leaves a key that does not count (one that was taken for a
                                        period: it counts until that is over)
producer dies after the item            the task runs; the next enqueue finds it
the holder ended, its key is there      the key is taken over, by compare-and-swap with what was read; so is the key of
                                        a task that was deleted, that expired, or that a Go worker ended
mode ``replace``: dead after the        the old item, or the old schedule, brings the new record: whoever gets it reads
holder's record                         the record, since the sequence differs
mode ``replace``: the holder began      its claim and the replacing write are compare-and-swaps on one record: if the
meanwhile                               claim came first, a new task takes the key over; the one that runs goes on
mode ``latest``: the holder runs        a new task waits for its end (``after``), as if it was delayed; the key names
                                        both; then it gets its schedule, unless there is one for a newer record: it may
                                        have been woken, and have failed, before that
mode ``latest``: dead after that key    as after the key: the next enqueue, or the janitor, schedules it
mode ``latest``: the other ends         its after-effects read the key and wake the new one (``due`` away → item). If
                                        it ended before the key named the new one, it freed the key, and the key is
                                        refused here; nobody falls between
mode ``latest``: nobody wakes it        its schedule brings it every 30 s, and its claim looks at the other
                                        (`worker.turns`)
======================================  ================================================================================

What is not promised: beside a task that runs, mode ``replace`` lets another begin; a task that a Go worker wrote has
lost the words that it waits (Go keeps its own keys only), and may begin beside the other. A task that has not begun and
outlived its period looks like one whose producer never got the key: if its item is lost, the janitor ends it too.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from jetq.client.request import EnqueueRequest
from jetq.errors import (
    EnqueueTimeoutError,
    JetqError,
    PayloadTooLargeError,
    QueueFullError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.key_store import StoredKey
from jetq.jetstream.task_store import Stored
from jetq.model.events import TaskDeduplicated, state_change
from jetq.model.record import TaskRecord
from jetq.model.state import End, State
from jetq.model.transition import ended, replaced
from jetq.model.unique import LATEST_POLL, KeyEntry, UniqueKey, UniqueMode
from jetq.observe.fault_points import Point, fault_point
from jetq.settings import RECORD_MARGIN
from jetq.wire.codec import Document
from jetq.wire.ids import new_id, new_nonce
from jetq.wire.signature import Signer

_ABREAST: Final = 200
"""Keys of many tasks that are dealt with at one time."""
_LOST_TTL: Final = 1.0
"""Seconds that a record is kept which lost its key: nobody knows its id."""
_PATIENCE: Final = 0.05
"""Seconds for the producer of a task that is not queued yet; it is seldom dead, and most often about to queue it."""


class ExistingTask(Struct, frozen=True, gc=False):
    """
    The task that an enqueue found in the place of a new one.

    Attributes:
        id: Its id.
        queue: Its queue; as far as is known, if it has no record any more.
        replaced: It took over what the enqueue brought.
    """

    id: str
    queue: str
    replaced: bool = False


class Placing(Protocol):
    """The two writes of an enqueue, as `client.enqueue` makes them."""

    async def store(self, request: EnqueueRequest) -> Stored:
        """Write the record of a new task."""
        ...

    async def make_runnable(self, stored: Stored) -> None:
        """Put in place what a record asks for."""
        ...


class KeyedEnqueuer:
    """
    Enqueues tasks with unique keys.

    Args:
        backend: Where to.
        placing: Writes records and items.
        timeout: Seconds for each answer of the server.
        signer: Signs a task whose payload is replaced; None leaves it unsigned.
    """

    def __init__(self, backend: Backend, placing: Placing, timeout: float, signer: Signer | None = None) -> None:
        self._backend = backend
        self._placing = placing
        self._timeout = timeout
        self._signer = signer

    async def enqueue(self, request: EnqueueRequest, unique: UniqueKey) -> TaskRecord | ExistingTask:
        """
        Make a task, or find the one that is there.

        Raises:
            EnqueueError: See its subclasses.
            ServerError: The server refused for a reason of its own.
        """
        request = replace(request, task_id=request.task_id or new_id())
        own: Stored | None = None
        while True:
            found = await self._read_key(unique, request.task_id)
            if own is not None and found.entry.task == own.record.id:
                break
            after = ""
            if found.entry.task:
                existing = await self._existing(found.entry, request, unique)
                if isinstance(existing, ExistingTask):
                    await self._withdraw(own)
                    self._tell(existing, request, unique)
                    return existing
                after = existing
            own = await self._own(own, request, after)
            if await self._take(found, own, unique, after):
                break
        fault_point(Point.KEY_TAKEN)
        await self._place(own)
        return own.record

    async def enqueue_many(self, requests: Sequence[EnqueueRequest]) -> list[TaskRecord | ExistingTask | JetqError]:
        """
        Make tasks, or find those that are there; each in the list is what it came to, in order.

        Equal keys go one after the other, so that the last one's payload is the newest; different ones go together.
        """
        outcomes: list[TaskRecord | ExistingTask | JetqError | None] = [None] * len(requests)
        places: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            if request.unique is not None:
                places.setdefault(request.unique.text, []).append(place)
        room = asyncio.Semaphore(_ABREAST)

        async def follow(same: list[int]) -> None:
            async with room:
                for place in same:
                    outcomes[place] = await self._outcome(requests[place])

        await asyncio.gather(*map(follow, places.values()))
        return [outcome for outcome in outcomes if outcome is not None]

    async def _outcome(self, request: EnqueueRequest) -> TaskRecord | ExistingTask | JetqError | None:
        try:
            return None if request.unique is None else await self.enqueue(request, request.unique)
        except JetqError as error:
            return error

    async def _own(self, own: Stored | None, request: EnqueueRequest, after: str) -> Stored:
        """Return the record of the new task, which waits if there is a task to wait for."""
        due = self._backend.connection.clock.now() + timedelta(seconds=LATEST_POLL) if after else request.due
        if own is None:
            own = await self._placing.store(replace(request, due=due, after=after))
            fault_point(Point.RECORD_STORED)
        while own.record.after != after:
            document = own.document.updated(replace(own.record, due=due, after=after))
            written = await self._rewrite(document, own.sequence)
            own = written or await self._read_task(request.task_id)
            if own is None or own.record.is_final:
                raise EnqueueTimeoutError(request.task_id, self._timeout)
        return own

    async def _place(self, stored: Stored) -> None:
        """Bring a task that has its key to its queue; if that is full, let the key go."""
        record = stored.record
        try:
            await self._placing.make_runnable(stored)
        except QueueFullError:
            with contextlib.suppress(ServerError):
                now = await self._backend.tasks.read(record.id, timeout=self._timeout)
                if now is None or now.record.state is State.QUEUE_ERROR:
                    await self._backend.keys.free(record.key, record.id)
            raise
        fault_point(Point.ITEM_STORED)

    # the key

    async def _read_key(self, unique: UniqueKey, task_id: str) -> StoredKey:
        try:
            return await self._backend.keys.read(unique.text, timeout=self._timeout)
        except ServerTimeoutError as silent:
            raise EnqueueTimeoutError(task_id, self._timeout) from silent

    async def _take(self, found: StoredKey, own: Stored, unique: UniqueKey, after: str) -> bool:
        """Take the key over from what was read; False if somebody was faster, perhaps an earlier copy of this."""
        entry = KeyEntry(unique.text, own.record.id, unique.mode.value, after, unique.period)
        try:
            await self._backend.keys.take(entry, found.sequence, timeout=self._timeout)
        except SequenceConflictError:
            return False
        except ServerTimeoutError as silent:
            if (await self._read_key(unique, own.record.id)).entry.task == own.record.id:
                return True
            raise EnqueueTimeoutError(own.record.id, self._timeout) from silent
        return True

    async def _withdraw(self, own: Stored | None) -> None:
        """End the own record, which lost its key; nobody knows its id, and if this fails the janitor ends it."""
        if own is None:
            return
        fault_point(Point.KEY_LOST)
        document = own.document.updated(ended(own.record, End.DUPLICATE, f"another task has the key {own.record.key}"))
        with contextlib.suppress(ServerError):
            written = await self._backend.tasks.write(document, own.sequence, ttl=_LOST_TTL, timeout=self._timeout)
            self._tell_state(written)

    # the task that has it

    async def _existing(self, entry: KeyEntry, request: EnqueueRequest, unique: UniqueKey) -> ExistingTask | str:
        """
        Return the task that has the key, as the caller gets it.

        A text says that there is to be a new one: empty, or the id of the task whose end it must wait for.
        """
        while True:
            try:
                holder = await self._backend.keys.holding(entry, timeout=self._timeout)
            except ServerTimeoutError as silent:
                raise EnqueueTimeoutError(request.task_id, self._timeout) from silent
            if holder is None:
                return ""
            if holder.stored is None or holder.stored.record.is_final:  # its period is not over yet
                return ExistingTask(holder.id, request.queue if holder.stored is None else holder.stored.record.queue)
            found = await self._deal_with(holder.stored, request, unique)
            if found is not None:
                return found

    async def _deal_with(self, holder: Stored, request: EnqueueRequest, unique: UniqueKey) -> ExistingTask | str | None:
        """Do what the mode says about a task that has not ended; None if its record changed meanwhile."""
        record = holder.record
        replaces = unique.mode in {UniqueMode.REPLACE, UniqueMode.LATEST}
        if replaces and record.state is State.ACTIVE:
            return record.id if unique.mode is UniqueMode.LATEST else ""
        if replaces:
            return await self._replace(holder, request)
        if record.state is State.NEW and not record.runs and not await self._is_queued(holder):
            return await self._adopt(holder)
        return ExistingTask(record.id, record.queue)

    async def _is_queued(self, holder: Stored) -> bool:
        """Whether a task has what brings it to a worker, or gets it in a moment from a producer that lives."""
        queues = self._backend.queues
        if await queues.is_placed(holder, timeout=self._timeout):
            return True
        await asyncio.sleep(_PATIENCE)
        return await queues.is_placed(holder, timeout=self._timeout)

    async def _adopt(self, holder: Stored) -> ExistingTask | None:
        """Bring a task to its queue whose producer did not, it seems."""
        written = await self._rewrite(holder.document, holder.sequence)
        if written is None:
            return None
        await self._place(written)
        return ExistingTask(written.record.id, written.record.queue)

    async def _replace(self, holder: Stored, request: EnqueueRequest) -> ExistingTask | None:
        """Let a task that does not run take over what this enqueue brings."""
        record = holder.record
        wanted = request.record(record.id, new_nonce(), self._backend.connection.clock.now())
        document = holder.document.updated(replaced(record, wanted))
        if self._signer is not None:
            document = self._signer.signed(document)
        size, limit = len(document.encode()), self._backend.connection.max_payload - RECORD_MARGIN
        if size > limit:
            raise PayloadTooLargeError(request.type, size, limit)
        written = await self._rewrite(document, holder.sequence)
        if written is None:
            return None
        fault_point(Point.PAYLOAD_REPLACED)
        await self._place(written)
        return ExistingTask(record.id, record.queue, replaced=True)

    async def _rewrite(self, document: Document, expect: int) -> Stored | None:
        """Write a record again; None if somebody else did, or an earlier copy of this, which may be repeated."""
        try:
            return await self._backend.tasks.write(document, expect, timeout=self._timeout)
        except SequenceConflictError:
            return None
        except ServerTimeoutError as silent:
            raise EnqueueTimeoutError(document.record.id, self._timeout) from silent

    async def _read_task(self, task_id: str) -> Stored | None:
        try:
            return await self._backend.tasks.read(task_id, timeout=self._timeout)
        except ServerTimeoutError as silent:
            raise EnqueueTimeoutError(task_id, self._timeout) from silent

    # telling

    def _tell(self, existing: ExistingTask, request: EnqueueRequest, unique: UniqueKey) -> None:
        self._backend.bus.emit(
            TaskDeduplicated(
                task_id=existing.id,
                task_type=request.type,
                queue=existing.queue,
                key=unique.text,
                mode=unique.mode.value,
                replaced=existing.replaced,
            )
        )

    def _tell_state(self, stored: Stored) -> None:
        now = self._backend.connection.clock.now()
        self._backend.bus.emit(state_change(stored.record, now, sequence=stored.sequence))
