"""
claims: from a delivered item to a run that this worker holds, or to nothing.

The claim is a compare-and-swap against the sequence in the item, and the record in the item saves its reading. Any
mismatch leads to a reading from the leader, and the record's state decides anew (`worker.meaning`).
"""

import asyncio
import time
from typing import Final

from msgspec import Raw, Struct

from jetq.errors import MalformedItemError, MalformedRecordError, SequenceConflictError, ServerError, ServerTimeoutError
from jetq.jetstream.puller import Delivery
from jetq.jetstream.task_store import Stored
from jetq.jetstream.topology import BoundQueue
from jetq.model.events import SignatureRefused, TaskTakenOver, UpdateConflict
from jetq.model.record import ABSENT, Run
from jetq.model.state import State
from jetq.model.transition import claimed, closed
from jetq.model.verdict import Verdict, distrusted, max_tries, refusal
from jetq.observe.fault_points import Point, fault_point
from jetq.wire.codec import Item, decode_item, decode_record
from jetq.wire.ids import new_nonce
from jetq.worker.blocked_items import BlockedItems
from jetq.worker.desk import Desk
from jetq.worker.last_deliveries import exchange, is_worn
from jetq.worker.lease_table import LeaseEntry
from jetq.worker.meaning import Meaning, meaning_of
from jetq.worker.turns import Turns
from jetq.worker.writing import write_fitting

_NOT_FOUND_READS: Final = (0.05, 0.2, 0.5)
_OLD_ITEM: Final = 30.0
"""Seconds; younger items without a record may belong to a producer whose record is still on its way."""
_SILENCE_WAIT: Final = 0.5


class Claim(Struct, gc=False):
    """
    A run that this worker holds.

    Attributes:
        stored: The active record that the claim wrote.
        queue: The task's queue.
        entry: In the lease table; its ``reply`` acknowledges the item.
        progress: What the handler said last, where the closing write has to put it into the record.
    """

    stored: Stored
    queue: BoundQueue
    entry: LeaseEntry
    progress: Raw = ABSENT


class Contested(Struct):
    """An active record whose item was delivered again."""

    stored: Stored
    delivery: Delivery
    queue: BoundQueue


class Claims:
    """
    Claims delivered tasks.

    Args:
        desk: The shared ground.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks = desk.backend.tasks
        self._turns = Turns(desk)
        self._blocked = BlockedItems(desk)

    async def claim(self, delivery: Delivery, *, anew: bool = False) -> Claim | Contested | None:
        """
        Do what a delivered item asks for; return the run, if it came to one.

        Args:
            delivery: The item.
            anew: The record that travels in it is known to be outdated.
        """
        try:
            item = decode_item(delivery.data)
        except MalformedItemError as error:
            self._desk.discard(delivery, "malformed_item", detail=str(error))
            return None
        desk = self._desk
        if is_worn(delivery, desk.bound[delivery.queue]) and await exchange(delivery, desk.backend.publisher):
            return None
        stored = None if anew else _carried(item)
        while True:
            if stored is None:
                stored = await self._read(item, delivery)
                if stored is None:
                    return None
            waits = stored.record.is_waiting
            due = waits and item.seq == stored.sequence and delivery.by_schedule
            found = await self._act(stored, delivery, by_schedule=due)
            if not isinstance(found, Stored):
                return found
            stored = found if found is not stored else None

    async def _act(self, stored: Stored, delivery: Delivery, *, by_schedule: bool) -> Claim | Contested | Stored | None:
        """Take one step; a Stored in return means: decide anew, on it, or on a fresh one if it is the same."""
        queue = self._desk.bound[delivery.queue]
        match meaning_of(stored.record, by_schedule=by_schedule):
            case Meaning.START if stored.record.after and not await self._turns.has_come(stored):
                if not await self._turns.wait_on(stored):
                    return stored
                self._desk.ack(delivery.reply)
            case Meaning.START:
                return await self.start(stored, delivery, queue)
            case Meaning.CONTESTED:
                return Contested(stored, delivery, queue)
            case Meaning.RESCHEDULE:
                await self._desk.backend.queues.schedule(stored)
                self._desk.ack(delivery.reply)
            case Meaning.ENDED:
                await self._desk.after_effects(stored, repeated=True, reply=delivery.reply)
                self._desk.ack(delivery.reply)
            case Meaning.BLOCKED:
                found = await self._blocked.meet(stored, delivery)
                if found is not None:
                    return found
                self._desk.ack(delivery.reply)
        return None

    async def _read(self, item: Item, delivery: Delivery) -> Stored | None:
        """Read the record from the leader, patiently; dispose of the item if there is none to be expected any more."""
        for pause in (*_NOT_FOUND_READS, None):
            try:
                stored = await self._tasks.read(item.job)
            except MalformedRecordError as error:
                self._desk.discard(delivery, "malformed_record", detail=str(error), task_id=item.job)
                return None
            if stored is not None:
                return stored
            if pause is not None:
                await asyncio.sleep(pause)
        if self._desk.now().timestamp() - delivery.stored_at > _OLD_ITEM:
            self._desk.discard(delivery, "not_found", task_id=item.job)
        return None

    async def start(
        self, stored: Stored, delivery: Delivery, queue: BoundQueue, *, crashed: bool = False
    ) -> Claim | Stored | None:
        """
        Claim a task, or end it if it may not run.

        Args:
            stored: The record: runnable, or active with a run that is dead.
            delivery: Its item.
            queue: Its queue.
            crashed: The run before this one died.

        Returns:
            The claim; None when the task was ended; the record as it stands now if somebody else wrote it (the same
            *stored* if it could not be read).
        """
        complaint = None if self._desk.verifier is None else self._desk.verifier.check(stored.document)
        if complaint is not None:
            return await self._distrust(stored, complaint, delivery, crashed=crashed)
        record, now = stored.record, self._desk.now()
        limit = max_tries(record.max_tries, queue.max_tries)
        verdict = refusal(record, limit=limit, now=now, crashed=crashed)
        if verdict is not None:
            return await self._end(stored, verdict, delivery)
        run = Run(self._desk.worker, record.runs + 1, new_nonce())
        entry = LeaseEntry(record.id, run, queue.name, queue.lease, delivery.sequence, delivery.reply, time.monotonic())
        entry.task_type = record.type
        self._desk.table.add(entry)
        try:
            document = stored.document.updated(claimed(record, run, now, crashed=crashed))
            written = await write_fitting(self._tasks, document, stored.sequence, ttl=self._desk.ttl)
        except (SequenceConflictError, ServerTimeoutError) as doubt:
            found = await self._resolve(stored, doubt)
            if found.record.run != run or found.record.state is not State.ACTIVE:
                self._desk.table.remove(entry)
                return found
            written = found
        except BaseException:
            self._desk.table.remove(entry)
            raise
        entry.claimed = True
        fault_point(Point.RUN_CLAIMED)
        if crashed:
            self._tell_take_over(stored, written)
        since = record.due or (None if record.runs or record.dependencies else record.created)
        self._desk.tell(written.record, sequence=written.sequence, runnable_since=since)
        return Claim(written, queue, entry)

    async def _distrust(self, stored: Stored, complaint: str, delivery: Delivery, *, crashed: bool) -> Stored | None:
        """End a task that nobody whom this worker trusts has signed as it stands."""
        again = await self._end(stored, distrusted(complaint, crashed=crashed), delivery)
        if again is None:
            record = stored.record
            self._desk.backend.bus.emit(
                SignatureRefused(
                    task_id=record.id,
                    task_type=record.type,
                    queue=record.queue,
                    worker=self._desk.worker,
                    reason=complaint,
                )
            )
        return again

    async def _end(self, stored: Stored, verdict: Verdict, delivery: Delivery) -> Stored | None:
        """Write the end of a task that may not run; the rest follows as for every end."""
        document = stored.document.updated(closed(stored.record, verdict, self._desk.now()))
        try:
            written = await write_fitting(self._tasks, document, stored.sequence, ttl=self._desk.ttl)
        except (SequenceConflictError, ServerTimeoutError):
            return stored
        await self._desk.after_effects(written, reply=delivery.reply)
        self._desk.ack(delivery.reply)
        return None

    async def _resolve(self, stored: Stored, doubt: ServerError) -> Stored:
        """Read what stands there after a claim that was refused or not answered; *stored* itself if nothing does."""
        if isinstance(doubt, SequenceConflictError):
            self._desk.backend.bus.emit(UpdateConflict(task_id=stored.record.id, what="claim"))
        while True:
            try:
                return await self._tasks.read(stored.record.id) or stored
            except ServerTimeoutError:
                await asyncio.sleep(_SILENCE_WAIT)
            except (ServerError, MalformedRecordError):
                return stored  # who decides anew reads again, and learns why that is refused

    def _tell_take_over(self, before: Stored, now: Stored) -> None:
        run = before.record.run
        self._desk.backend.bus.emit(
            TaskTakenOver(
                task_id=now.record.id,
                queue=now.record.queue,
                worker=self._desk.worker,
                dead_worker=run.worker if run else "",
                crashes=now.record.crashes,
            )
        )


def _carried(item: Item) -> Stored | None:
    """Return the record that travels in an item, if it is one."""
    data = bytes(item.task)
    if not item.seq or not data:
        return None
    try:
        document = decode_record(item.task)
    except MalformedRecordError:
        return None
    return Stored(document, item.seq, data) if document.record.id == item.job else None
