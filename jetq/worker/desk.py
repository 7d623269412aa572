"""
desk: what the steps of an attempt share: the server, this worker's id, the lease table, the retention.
"""

import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime

from jetq.errors import ServerError
from jetq.jetstream.backend import Backend
from jetq.jetstream.puller import Delivery
from jetq.jetstream.retention import DISCARD_AFTER
from jetq.jetstream.task_store import Stored
from jetq.jetstream.topology import BoundQueue
from jetq.model.events import DeliveryDiscarded, state_change
from jetq.model.record import TaskRecord
from jetq.model.retention import Retention
from jetq.model.state import State
from jetq.observe.fault_points import Point, fault_point
from jetq.settings import Queue
from jetq.wire.signature import Verifier
from jetq.worker.last_deliveries import fresh_item, is_last
from jetq.worker.lease_keeper import IN_PROGRESS
from jetq.worker.lease_table import LeaseTable

ACK = b"+ACK"
NAK = b"-NAK"


class Desk:
    """
    The shared ground of claims and settlements.

    Args:
        backend: The server.
        worker: This worker's id.
        table: The runs of this process.

    Attributes:
        bound: The queues that this worker serves, by name.
        declared: The application's queues by name; a task may move to one that this worker does not serve.
        handler_retention: Says what the handler of a task type says of its tasks' retention; None if no handler does.
        verifier: Says whose tasks run; None runs everybody's.
    """

    def __init__(self, backend: Backend, worker: str, table: LeaseTable) -> None:
        self.backend = backend
        self.worker = worker
        self.table = table
        self.bound: dict[str, BoundQueue] = {}
        self.declared: Mapping[str, Queue] = {}
        self.handler_retention: Callable[[str], Retention | None] | None = None
        self.verifier: Verifier | None = None

    def ttl(self, record: TaskRecord) -> float | None:
        """Return the seconds that a record is kept once written; None keeps it, since the task goes on."""
        return self.backend.retention.ttl(record, self._of_handler(record)) if record.is_final else None

    def _of_handler(self, record: TaskRecord) -> Retention | None:
        return None if self.handler_retention is None else self.handler_retention(record.type)

    def _discards(self, record: TaskRecord) -> bool:
        """Whether a final record is not to be kept; only who says something of retention can say that."""
        retention = self.backend.retention
        if record.options is None and self.handler_retention is None and retention.own is None:
            return False
        return retention.of(record, self._of_handler(record)) == 0

    async def know_queue(self, name: str) -> None:
        """
        Make sure that a queue exists.

        Raises:
            UnknownQueueError: It does not, and may not be created.
            ServerError: It cannot be bound or created, or there is no answer.
        """
        if name not in self.bound:
            await self.backend.queue(self.declared.get(name) or Queue(name))

    def now(self) -> datetime:
        """Return the server's time."""
        return self.backend.connection.clock.now()

    def ack(self, reply: str) -> None:
        """Remove an item; if the word gets lost it is delivered again and found to be done."""
        self.backend.connection.send(reply, ACK)

    def _keep(self, reply: str) -> None:
        """Renew the lease of an item."""
        if reply:
            self.backend.connection.send(reply, IN_PROGRESS)

    def release(self, reply: str) -> None:
        """Give an item back, to be delivered at once."""
        self.backend.connection.send(reply, NAK)

    def give_back(self, delivery: Delivery) -> None:
        """
        Give back an item that nothing was done about, to be delivered at once.

        One that a queue of Go would not deliver any more is published again as it is, unless there is a newer one.
        """
        if is_last(delivery, self.bound[delivery.queue]):
            item = fresh_item(delivery)
            self.backend.connection.send(item.subject, item.data, headers=item.headers)
        self.release(delivery.reply)

    async def hand_back(self, stored: Stored, item: int, reply: str) -> None:
        """
        Let the item of a task whose run is over be delivered at once.

        A queue of Go delivers an item so many times and no more, so a task that is runnable gets a fresh one there
        (`worker.last_deliveries`). If the server does not answer, the item is given back as elsewhere.

        Args:
            stored: The task's record.
            item: Sequence of the item that was delivered; a newer one stays.
            reply: Of it.
        """
        queue = self.bound.get(stored.record.queue)
        if queue is not None and queue.made_by_go and stored.record.is_runnable:
            with contextlib.suppress(ServerError):
                await self.backend.publisher.publish(self.backend.queues.publication(stored, expect=item))
        self.release(reply)  # of one that is replaced it means nothing

    def discard(self, delivery: Delivery, reason: str, *, detail: str = "", task_id: str = "") -> None:
        """Remove an item that no handler can see, and tell."""
        self.ack(delivery.reply)
        self.backend.bus.emit(DeliveryDiscarded(queue=delivery.queue, reason=reason, detail=detail, task_id=task_id))

    def tell(
        self,
        record: TaskRecord,
        *,
        sequence: int,
        pattern: str = "",
        outcome: str = "",
        duration: float | None = None,
        runnable_since: datetime | None = None,
    ) -> None:
        """Emit the event of a state that this worker wrote, with the *sequence* of the record."""
        # a claim, and the end of a run, say in the record when they were
        at = record.tried if outcome or record.state is State.ACTIVE else None
        self.backend.bus.emit(
            state_change(
                record,
                at or self.now(),
                sequence=sequence,
                worker=self.worker,
                pattern=pattern,
                outcome=outcome,
                duration=duration,
                runnable_since=runnable_since,
            )
        )

    async def leave_key(self, record: TaskRecord) -> None:
        """
        Free the unique key of a task that ended, and wake the one that waits for the end of its run.

        A server that refuses is not asked again: a key is not valid for longer than its task is unfinished anyway, and
        who waits looks now and then.
        """
        with contextlib.suppress(ServerError):
            await self.backend.keys.leave(record)
        fault_point(Point.KEY_FREED)

    async def after_effects(
        self,
        stored: Stored,
        *,
        repeated: bool = False,
        pattern: str = "",
        outcome: str = "",
        duration: float | None = None,
        reply: str = "",
    ) -> None:
        """
        Do what follows from a final record; repeated whenever its item is delivered again, so all of it is idempotent.

        Freeing the key is, and comes first: who hears of the end can enqueue the next one. Telling is: readers know an
        event by the sequence of the record that was written, whoever tells it. What follows for those that depend on
        the task is (`jetstream.dependents`). Discarding is: it is the last step, and concerns exactly this record.
        Whoever dies before the item is acknowledged leaves it to the next who gets the item, and once the record is
        gone that is an item without a record.

        Args:
            stored: The record.
            repeated: It was not written now; perhaps all of this was done before.
            pattern: Of the handler that ran, for the event.
            outcome: How its run ended, for the event.
            duration: Seconds that it ran, for the event.
            reply: Of its item, whose lease is kept where this takes long.

        Raises:
            ServerError: A step was refused or not answered; the item must stay, so that all of it is repeated.
        """
        record = stored.record
        if record.key:
            await self.leave_key(record)
        if repeated:
            writer = record.run.worker if record.run is not None else ""
            event = state_change(record, self.now(), sequence=stored.sequence, repeated=True, worker=writer)
            self.backend.bus.emit(event)
        else:
            self.tell(record, sequence=stored.sequence, pattern=pattern, outcome=outcome, duration=duration)
        if record.dependents:
            await self.backend.dependents.follow(record, between=lambda: self._keep(reply))
        if self._discards(record):
            await self.backend.tasks.expire(stored, DISCARD_AFTER)
            fault_point(Point.RECORD_DISCARDED)
        fault_point(Point.AFTER_EFFECTS_DONE)
