"""
key_claim: the unique key of a task that starts again after its end.

Meanwhile another task may have got the key. So the order is that of an enqueue: record → key, by compare-and-swap →
item. That the key is free is looked at before; a key that is lost all the same puts the record back as it was. Taking a
key that still names the task writes it again: whoever saw it with an ended task, and wants it, is refused then, looks
again, and finds the task unfinished. Who dies after the record leaves one without item, which the janitor brings to its
queue if the key names it, and else ends.
"""

import contextlib
from typing import Final

from jetq.admin.record_changes import Changed
from jetq.errors import OperationRefusedError, SequenceConflictError, ServerError
from jetq.jetstream.backend import Backend
from jetq.jetstream.key_store import StoredKey
from jetq.jetstream.task_store import Stored
from jetq.model.events import state_change
from jetq.model.operation import Operation
from jetq.model.record import TaskRecord
from jetq.model.unique import KeyEntry

_TRIES: Final = 20


class KeyClaim:
    """
    Takes the key of one task again.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._before: Stored | None = None

    async def check(self, stored: Stored) -> None:
        """
        Make sure that no other task has the key of an ended task, and remember the record as it is.

        Raises:
            OperationRefusedError: Another task has it.
            ServerError: No answer, or a refusal.
        """
        self._before = stored if stored.record.key and stored.record.is_final else None
        if self._before is not None:
            await self._read(stored.record, stored.record.display_state)

    async def take(self, done: Changed) -> None:
        """
        Take the key, if the task had ended; put its record back if another one was faster.

        Raises:
            OperationRefusedError: Another task has it.
            ServerError: No answer, or a refusal; the task may have its key.
        """
        before, record = self._before, done.stored.record
        if before is None:
            return
        try:
            for _ in range(_TRIES):
                found = await self._read(record, before.record.display_state)
                if found.entry.period or await self._written(record, found):
                    return
            raise _refused(record, before.record.display_state, "its unique key changes hands all the time; try again")
        except OperationRefusedError:
            await self._put_back(before, done.stored)
            raise

    async def _read(self, record: TaskRecord, state: str) -> StoredKey:
        keys = self._backend.keys
        found = await keys.read(record.key)
        holder = await keys.holding(found.entry)
        if holder is not None and holder.id != record.id:
            reason = f"task {holder.id} has its unique key; wait for the end of that one, or cancel it"
            raise _refused(record, state, reason)
        return found if found.entry.task == record.id else StoredKey(KeyEntry(), found.sequence)

    async def _written(self, record: TaskRecord, found: StoredKey) -> bool:
        entry = found.entry if found.entry.task else KeyEntry(record.key, record.id)
        try:
            await self._backend.keys.take(entry, found.sequence)
        except SequenceConflictError:
            return False
        return True

    async def _put_back(self, before: Stored, stored: Stored) -> None:
        """Write the record as it was before; whoever changed it since has the last word."""
        backend = self._backend
        with contextlib.suppress(ServerError):
            ttl = backend.retention.ttl(before.record)
            written = await backend.tasks.write(before.document, stored.sequence, ttl=ttl)
            now = backend.connection.clock.now()
            backend.bus.emit(state_change(written.record, now, sequence=written.sequence))


def _refused(record: TaskRecord, state: str, reason: str) -> OperationRefusedError:
    return OperationRefusedError(record.id, Operation.RETRY, state, reason)
