"""
desk: what the steps of an attempt share: the server, this worker's id, the lease table, the retention.
"""

from datetime import datetime

from jetq.jetstream.backend import Backend
from jetq.jetstream.puller import Delivery
from jetq.jetstream.topology import BoundQueue
from jetq.model.events import DeliveryDiscarded, state_change
from jetq.model.record import TaskRecord
from jetq.model.state import FINAL
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
    """

    def __init__(self, backend: Backend, worker: str, table: LeaseTable) -> None:
        self.backend = backend
        self.worker = worker
        self.table = table
        self.bound: dict[str, BoundQueue] = {}

    def ttl(self, record: TaskRecord) -> float | None:
        """Return the seconds that a record is kept once written; None keeps it, since the task goes on."""
        if record.state not in FINAL:
            return None
        if record.options is not None and record.options.retention is not None:
            return record.options.retention
        return self.backend.retention.kept(record.state)

    def now(self) -> datetime:
        """Return the server's time."""
        return self.backend.connection.clock.now()

    def ack(self, reply: str) -> None:
        """Remove an item; if the word gets lost it is delivered again and found to be done."""
        self.backend.connection.send(reply, ACK)

    def release(self, reply: str) -> None:
        """Give an item back, to be delivered at once."""
        self.backend.connection.send(reply, NAK)

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
    ) -> None:
        """Emit the event of a state that this worker wrote, with the *sequence* of the record."""
        self.backend.bus.emit(
            state_change(
                record,
                self.now(),
                sequence=sequence,
                worker=self.worker,
                pattern=pattern,
                outcome=outcome,
                duration=duration,
            )
        )

    def after_effects(self, record: TaskRecord, *, sequence: int, repeated: bool = False) -> None:
        """
        Do what follows from a final record; repeated whenever its item is delivered again, so all of it is idempotent.

        So is the telling: readers know an event by the *sequence* of the record that was written, whoever tells it.
        """
        if repeated:
            writer = record.run.worker if record.run is not None else ""
            event = state_change(record, self.now(), sequence=sequence, repeated=True, worker=writer)
            self.backend.bus.emit(event)
        else:
            self.tell(record, sequence=sequence)
