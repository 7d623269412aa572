"""
remains: what a task left behind in a queue or among the schedules, to be taken away; and nothing newer.

Whoever ends a task, or lets it wait no longer, removes the item or the schedule that its older record put there.
Meanwhile somebody else may have made the task runnable again, or let it wait, and what he published must stay. So a
message is read first, and removed only up to its own sequence, and only if it was published for an older record.

A message of Go does not say which record it was published for. If the record still stands as it was written here after
the message was read, the message is older than it: whoever makes a task runnable writes the record first.
"""

from msgspec import Struct

from jetq.errors import RequestRefusedError
from jetq.jetstream.backend import Backend
from jetq.jetstream.faults import STREAM_NOT_FOUND
from jetq.jetstream.queue_store import published_for
from jetq.jetstream.stream_message import StreamMessage, last_message, purge_subject
from jetq.jetstream.task_store import Stored


class Remains(Struct, frozen=True):
    """
    Messages of a task that its record does not ask for any more.

    Attributes:
        task_id: The task.
        queue: Where they are.
        before: They were published for records below this sequence.
        last: Sequence of the record that says so; 0 if it was removed.
    """

    task_id: str
    queue: str
    before: int
    last: int

    @classmethod
    def of(cls, stored: Stored, queue: str = "") -> "Remains":
        """Return what a record that was just written leaves behind, in its own queue or in an earlier one."""
        return cls(stored.record.id, queue or stored.record.queue, stored.sequence, stored.sequence)

    async def remove_item(self, backend: Backend) -> bool:
        """Remove the item; say whether there was one."""
        names = backend.names
        return await self._remove(backend, names.queue(self.queue), names.item(self.queue, self.task_id))

    async def remove_schedule(self, backend: Backend) -> bool:
        """Remove the schedule, and its item that is due and not yet in the queue; say whether there was one."""
        names = backend.names
        subjects = names.schedule(self.queue, self.task_id), names.due(self.queue, self.task_id)
        return any([await self._remove(backend, names.schedules, subject) for subject in subjects])

    async def _remove(self, backend: Backend, stream: str, subject: str) -> bool:
        try:
            found = await last_message(backend.connection, stream, subject)
            if found is None or not await self._holds(backend, found):
                return False
            return await purge_subject(backend.connection, stream, subject, through=found.seq) > 0
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return False
            raise

    async def _holds(self, backend: Backend, found: StreamMessage) -> bool:
        sequence = published_for(found)
        if sequence:
            return sequence < self.before
        now = await backend.tasks.read(self.task_id)
        return now is None or now.sequence == self.last
