"""
blocked_items: an item of a task that waits for others.

jetq gives such a task no item before it is released, so one of a record with ``pending`` is left over from an earlier
time, and is removed. A Go program puts the item into the queue at once, and looks at the parents whenever it is
delivered. Here the parents are looked at once. If all of them are complete, the task is made runnable, and claimed with
this very item; if one failed, the task ends. Else the task becomes one of jetq's: marker → record with ``pending`` →
the parents' records → the item goes, and the parents' ends bring another one (`jetstream.dependents`). Who dies before
the item goes leaves it to be delivered again: to a record with ``pending``, whose marker is there, or to one that is
looked at anew.
"""

from msgspec.structs import replace

from jetq.errors import SequenceConflictError
from jetq.jetstream.puller import Delivery
from jetq.jetstream.task_store import Stored
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.observe.fault_points import Point, fault_point
from jetq.wire.dependencies import without_parents
from jetq.worker.desk import Desk
from jetq.worker.writing import write_fitting


class BlockedItems:
    """
    Deals with the items of blocked tasks.

    Args:
        desk: The shared ground.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._backend = desk.backend

    async def meet(self, stored: Stored, delivery: Delivery) -> Stored | None:
        """
        Put in place what a blocked task needs.

        Returns:
            None once the item may go; else the record to decide anew on: runnable now, or *stored* itself if somebody
            else wrote it.

        Raises:
            ServerError: No answer, or a refusal; the item must stay.
        """
        record = stored.record
        if record.pending:
            return None
        changed = await self._looked_at(stored)
        if changed.state is State.BLOCKED:
            await self._backend.links.mark(record.id)
            fault_point(Point.CHILD_MARKED)
        try:
            document = stored.document.updated(changed)
            written = await write_fitting(self._backend.tasks, document, stored.sequence, ttl=self._desk.ttl)
        except SequenceConflictError:
            return stored
        fault_point(Point.CHILD_STORED)
        if written.record.is_final:
            await self._desk.after_effects(written, reply=delivery.reply)
        elif written.record.state is State.BLOCKED:
            await self._backend.dependents.join(record.id, written.record.pending)
        else:
            self._desk.tell(written.record, sequence=written.sequence)
            return written
        return None

    async def _looked_at(self, stored: Stored) -> TaskRecord:
        """Return the record as it is when those parents are taken out that have ended."""
        dependents, parents = self._backend.dependents, tuple(dict.fromkeys(stored.record.dependencies))
        waiting = replace(stored.record, pending=parents)
        ends = [end for end in (await dependents.ends_of_parents(parents)).values() if end is not None]
        return without_parents(waiting, ends, self._desk.now(), most=dependents.room_in(stored)) or waiting
