"""
mending: what the janitor does about what a census found, one thing at a time.

Every mend looks again before it acts: first at what is missing, in the order in which a schedule becomes an item, then
at the record, which must be the one that the census saw. And every mend is harmless if the world moves on after that: a
record is written by compare-and-swap, an item is published by the rule of `jetstream.queue_store`, a schedule that is
not asked for any more brings an item that its worker finds to be early or done, and what is removed is removed up to
the sequence that was read. So two janitors at one time, or one that was frozen in between, do no harm.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from jetq.admin.census import HeldKey, QueueFacts, Suspect
from jetq.admin.placement import Placement
from jetq.errors import (
    LimitReachedError,
    MessageTooLargeError,
    RequestRefusedError,
    SequenceConflictError,
    TopologyError,
    UnknownQueueError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.faults import MESSAGE_DELETE_FAILED
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_store import published_for
from jetq.jetstream.stream_message import StreamMessage, find_message, purge_subject
from jetq.jetstream.task_store import Stored
from jetq.model.events import TaskRepaired
from jetq.model.record import TaskRecord
from jetq.model.state import End, State
from jetq.model.transition import ended
from jetq.model.upkeep import Finding, Horizon, Need, Repair, end_of_missing, judge_missing

_REASONS: Final = {
    End.PURGED: "its item was removed from the queue",
    End.DROPPED: "its item was dropped from a queue that was full",
    End.DUPLICATE: "its unique key names another task",
}
_KEYLESS: Final = "its item is missing, and no unique key names it"
"""Its producer died before it had the key, or it outlived the period of its key and its item was removed."""


class Mender:
    """
    Mends single things in one pass.

    Args:
        backend: The server.
        horizon: Of the pass.
        queues: Every queue.
        tell: Told of each repair.
        dry_run: Only look.
    """

    def __init__(
        self,
        backend: Backend,
        horizon: Horizon,
        queues: dict[str, QueueFacts],
        tell: Callable[[TaskRepaired], None],
        *,
        dry_run: bool = False,
    ) -> None:
        self._backend = backend
        self._placement = Placement(backend)
        self._horizon = horizon
        self._queues = queues
        self._tell = tell
        self._dry_run = dry_run

    # what is missing

    async def judge(self, suspect: Suspect, *, missed_before: bool) -> bool:
        """
        Look at a suspect again, and do what is to be done about it; True if it is to be remembered.

        Raises:
            ServerError: No answer, or a refusal.
        """
        if await self._is_placed(suspect):
            return False
        stored = await self._backend.tasks.read_sound(suspect.task_id)
        if stored is None or stored.sequence != suspect.sequence or stored.written is None:
            return False
        record = stored.record
        if suspect.overdue:
            await self._publish(stored, Need.SCHEDULE)
            return False
        owns_key = await self._owns_key(record)
        finding = judge_missing(
            record.state,
            stored.written,
            self._horizon,
            may_publish=await self._may_publish(stored, stored.written, owns_key=owns_key),
            missed_before=missed_before,
        )
        if finding is Finding.PUBLISH:
            await self._publish(stored, suspect.need)
        elif finding is Finding.END:
            await self._end(stored, owns_key=owns_key)
        return finding is Finding.REMEMBER

    async def _owns_key(self, record: TaskRecord) -> bool:
        """
        Whether the task may go on as far as its unique key has a say: it has none, has it, or needs it no more.

        Who enqueues, or starts an ended task again, writes the record before he has the key, and perhaps never gets it;
        such a record must not run. One that used a try was queued, whatever became of the key since: one that was taken
        for a period lapses, and in mode ``replace`` another task takes it over.
        """
        return not record.key or record.tries > 0 or await self._backend.keys.names(record.key, record.id)

    async def _is_placed(self, suspect: Suspect) -> bool:
        """
        Whether something brings the task to a worker: a schedule, a due message, an item, or those that it waits for.

        They are looked at in the order in which one becomes the next. A task that does not wait may have a schedule all
        the same, published for its very record, that brings it into a queue that was full.
        """
        names, queue, task_id = self._backend.names, suspect.queue, suspect.task_id
        scheduled = await self._last(names.schedules, names.schedule(queue, task_id))
        if suspect.overdue:
            if scheduled is None:
                return True  # it has become an item meanwhile
        elif scheduled is not None and (suspect.need is Need.SCHEDULE or published_for(scheduled) >= suspect.sequence):
            return True
        places = (
            (names.schedules, names.due(queue, task_id)),
            (names.queue(queue), names.item(queue, task_id)),
            (names.links, names.marker(task_id)),
        )
        for stream, subject in places:
            if await self._last(stream, subject) is not None:
                return True
        return False

    async def _may_publish(self, stored: Stored, written: datetime, *, owns_key: bool) -> bool:
        """Whether what is missing may be put in place, as far as the queue and the unique key have a say."""
        record = stored.record
        facts = self._queues.get(record.queue)
        if facts is None:
            return False
        if record.state is State.ACTIVE:
            return self._may_be_dead(record, facts) and not await self._would_drop(record, facts)
        if not owns_key:
            return False
        began = max(written, record.due or written)
        if began > self._horizon.started:
            return True
        if facts.max_age and began + timedelta(seconds=facts.max_age) <= self._horizon.started:
            return False
        return not await self._would_drop(record, facts)

    def _may_be_dead(self, record: TaskRecord, facts: QueueFacts) -> bool:
        """Whether somebody may ask for its run. Go's has no owner to ask, and has until the run time is over."""
        if record.run is not None or record.tried is None:
            return True
        return record.tried + timedelta(seconds=facts.run_time) <= self._horizon.started

    async def _would_drop(self, record: TaskRecord, facts: QueueFacts) -> bool:
        """Whether another item would be dropped for one more, as the queue is now."""
        if not facts.discards_old or not facts.max_entries:
            return False
        found = await find_stream(self._backend.connection, self._backend.names.queue(record.queue))
        return found is None or found["state"]["messages"] >= facts.max_entries

    async def _publish(self, stored: Stored, need: Need) -> None:
        record, queues = stored.record, self._backend.queues
        if not self._dry_run:
            if need is Need.SCHEDULE:
                await queues.schedule(stored)
            else:
                try:
                    await queues.put(stored)
                except LimitReachedError:
                    await queues.schedule(stored)  # it waits there until the queue has room
        self._repaired(Repair.SCHEDULE if need is Need.SCHEDULE else Repair.ITEM, record.id, record.queue)

    async def _end(self, stored: Stored, *, owns_key: bool) -> None:
        record = stored.record
        facts = self._queues.get(record.queue)
        end = end_of_missing(discards_old=facts is not None and facts.discards_old)
        reason = _REASONS[end]
        if not owns_key:
            if await self._backend.keys.holder(record.key):
                end = End.DUPLICATE
            reason = _REASONS[End.DUPLICATE] if end is End.DUPLICATE else _KEYLESS
        if await self._write_end(stored, end, reason):
            self._repaired(Repair.ENDED, record.id, record.queue)

    async def _write_end(self, stored: Stored, end: End, reason: str) -> bool:
        """End a task and do what follows; False if its record moved on."""
        if self._dry_run:
            return True
        backend = self._backend
        document = stored.document.updated(ended(stored.record, end, reason))
        try:
            written = await backend.tasks.write(document, stored.sequence, ttl=backend.retention.ttl(document.record))
        except (SequenceConflictError, MessageTooLargeError):
            return False
        await self._placement.conclude(written)
        return True

    # what stands for good

    async def expire(self, task_id: str) -> None:
        """
        Give a final record a time to live.

        Raises:
            ServerError: No answer, or a refusal.
        """
        stored = await self._backend.tasks.read_sound(task_id)
        if stored is not None and stored.record.is_final and await self._write_expiring(stored):
            self._repaired(Repair.TTL, task_id, stored.record.queue)

    async def forget_refused(self, task_id: str) -> None:
        """
        Let the trace of an enqueue that was refused expire; end it where the store lets nothing expire.

        Until then an enqueue with the same id takes it over. Its item may be there all the same, and then it runs.

        Raises:
            ServerError: No answer, or a refusal.
        """
        stored = await self._backend.tasks.read_sound(task_id)
        if stored is None or stored.record.state is not State.QUEUE_ERROR or stored.written is None:
            return
        record = stored.record
        if stored.written > self._horizon.young or await self._backend.queues.has_item(stored):
            return
        if self._backend.tasks.ttl_allowed:
            done = await self._write_expiring(stored)
        else:
            done = await self._write_end(stored, End.DROPPED, record.last_err or _REASONS[End.DROPPED])
        if done:
            self._repaired(Repair.REFUSED, task_id, record.queue)

    async def _write_expiring(self, stored: Stored) -> bool:
        """Write a record as it stands, with a time to live."""
        backend = self._backend
        if self._dry_run:
            return True
        try:
            await backend.tasks.write(stored.document, stored.sequence, ttl=backend.retention.ttl(stored.record))
        except (SequenceConflictError, MessageTooLargeError):
            return False
        return True

    async def feed(self, queue: str) -> None:
        """
        Let what is due come into a queue that another program made, or made anew while producers were at work.

        Raises:
            ServerError: No answer, or a refusal.
        """
        if not self._dry_run:
            with contextlib.suppress(UnknownQueueError, TopologyError):  # its workers say what is wrong with it
                await self._backend.rebind(queue)

    # what nobody asks for

    async def drop_item(self, queue: str, task_id: str) -> None:
        """
        Remove an item that has no record.

        It is read before the record is: whoever enqueues a task writes its record first, so an item of the task that
        comes back under this id is a later one, and stays.

        Raises:
            ServerError: No answer, or a refusal.
        """
        names = self._backend.names
        stream, subject = names.queue(queue), names.item(queue, task_id)
        found = await self._last(stream, subject)
        if found is None or not self._is_old(found) or not await self._is_gone(task_id):
            return
        if await self._remove(stream, subject, found):
            self._repaired(Repair.ORPHAN_ITEM, task_id, queue)

    async def drop_schedule(self, queue: str, task_id: str) -> None:
        """
        Remove the schedule and the due message of a task that is gone, has ended, or waits no more.

        One that was published for the very record that stands there brings it to a queue that was full, and stays.

        Raises:
            ServerError: No answer, or a refusal.
        """
        names = self._backend.names
        for subject in (names.schedule(queue, task_id), names.due(queue, task_id)):
            found = await self._last(names.schedules, subject)
            if found is None or not self._is_old(found):
                continue
            if await self._is_superfluous(found, queue, task_id) and await self._remove(
                names.schedules, subject, found
            ):
                self._repaired(Repair.ORPHAN_SCHEDULE, task_id, queue)

    async def _is_superfluous(self, found: StreamMessage, queue: str, task_id: str) -> bool:
        if await self._is_gone(task_id):
            return True
        stored = await self._backend.tasks.read_sound(task_id)
        if stored is None or stored.record.is_waiting:
            return False
        if stored.record.is_final:
            return True
        older = published_for(found) < stored.sequence and stored.record.queue == queue
        return older and stored.record.is_runnable and await self._backend.queues.has_item(stored)

    async def free_key(self, held: HeldKey) -> None:
        """
        Free a unique key whose task has ended or is gone, by exactly the sequence that was read.

        Raises:
            ServerError: No answer, or a refusal.
        """
        entry, stored = held.entry, await self._backend.tasks.read_sound(held.entry.task)
        if (
            entry.after
            and (other := await self._backend.tasks.read_sound(entry.after)) is not None
            and not other.record.is_final
        ):
            return
        if stored is None and not await self._is_gone(entry.task):
            return
        if entry.is_held(None if stored is None else stored.record):
            return
        if not self._dry_run:
            try:
                body = {"seq": held.sequence, "no_erase": True}
                await self._backend.connection.api(f"STREAM.MSG.DELETE.{self._backend.names.keys}", body)
            except RequestRefusedError as refused:
                if refused.code != MESSAGE_DELETE_FAILED:
                    raise
                return
        self._repaired(Repair.KEY, entry.task, "")

    # reading

    async def _is_gone(self, task_id: str) -> bool:
        """Whether there is nothing where the record belongs."""
        names = self._backend.names
        return await self._last(names.tasks, names.record(task_id)) is None

    async def _last(self, stream: str, subject: str) -> StreamMessage | None:
        return await find_message(self._backend.connection, stream, subject)

    def _is_old(self, found: StreamMessage) -> bool:
        return found.time.astimezone(UTC) <= self._horizon.young

    async def _remove(self, stream: str, subject: str, found: StreamMessage) -> bool:
        """Remove what was read, and nothing later; say whether it was there still."""
        return self._dry_run or await purge_subject(self._backend.connection, stream, subject, through=found.seq) > 0

    def _repaired(self, kind: Repair, task_id: str, queue: str) -> None:
        self._tell(TaskRepaired(kind=kind.value, task_id=task_id, queue=queue))
