"""
key_store: who has which unique key.

A key is a message on a subject made of its hash; taking it is a compare-and-swap on that subject. It is never the
truth about a task: an entry counts while its task has not ended (for a period: until the server removes it), and
whoever wants the key looks at that task's record (`model.unique.KeyEntry.is_held`). So nobody must give a key back, and
no crash leaves one locked; that a task's end frees it (:meth:`KeyStore.leave`) saves the next one a reading, and the
server an entry that nobody asks for any more.
"""

import contextlib
from typing import Final

from msgspec import Struct

from jetq.errors import (
    LimitReachedError,
    MalformedRecordError,
    RequestRefusedError,
    SequenceConflictError,
    ServerError,
)
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import MESSAGE_DELETE_FAILED
from jetq.jetstream.publisher import Publication, Publisher, expecting
from jetq.jetstream.queue_store import QueueStore
from jetq.jetstream.remains import Remains
from jetq.jetstream.stream_message import last_message
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.record import TaskRecord
from jetq.model.transition import hastened
from jetq.model.unique import KeyEntry
from jetq.wire.keys import decode_key, encode_key, key_digest
from jetq.wire.names import Names

_TRIES: Final = 20
"""Readings of a key that others write all the time, until its freeing is left to them."""


class StoredKey(Struct, frozen=True, gc=False):
    """An entry as it stands on the server; 0 is the sequence of one that is not there."""

    entry: KeyEntry
    sequence: int


_NOBODY: Final = StoredKey(KeyEntry(), 0)


class Holder(Struct, frozen=True, gc=False):
    """
    The task that has a key.

    Attributes:
        id: Its id.
        stored: Its record; None if that is gone, and its period is not over yet.
    """

    id: str
    stored: Stored | None


class KeyStore:
    """
    Reads, takes and frees unique keys.

    Args:
        connection: For reading and removing.
        publisher: For writing.
        names: Of the namespace.
        tasks: The records.
        queues: Their items, for a task that is woken.
    """

    def __init__(
        self, connection: Connection, publisher: Publisher, names: Names, tasks: TaskStore, queues: QueueStore
    ) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names
        self._tasks = tasks
        self._queues = queues

    async def read(self, key: str, *, timeout: float | None = None) -> StoredKey:
        """
        Read who has a key, from the leader; an entry of another key, or of no sense, names nobody.

        Raises:
            ServerTimeoutError: No answer.
        """
        subject = self._names.key(key_digest(key))
        found = await last_message(self._connection, self._names.keys, subject, timeout=timeout)
        if found is None:
            return _NOBODY
        entry = decode_key(found.data)
        return StoredKey(entry if entry.key == key else KeyEntry(), found.seq)

    async def holder(self, key: str, *, timeout: float | None = None) -> str:
        """Return the id of the task that a key names, ended or not; empty if it names none."""
        return (await self.read(key, timeout=timeout)).entry.task

    async def names(self, key: str, task_id: str) -> bool:
        """Whether a key names a task, as the one that has it or as the one that is waited for."""
        entry = (await self.read(key)).entry
        return task_id in {entry.task, entry.after}

    async def holding(self, entry: KeyEntry, *, timeout: float | None = None) -> Holder | None:
        """
        Return the task that has the key; None if it is free.

        The newest one that an entry names has it until its end; if that end came before it began (it was cancelled, or
        deleted, while it waited for another one's end), that other one has it again.

        Raises:
            ServerTimeoutError: No answer.
        """
        for task_id in (entry.task, entry.after):
            if not task_id:
                break
            try:
                stored = await self._tasks.read(task_id, timeout=timeout)
            except MalformedRecordError:
                continue
            if entry.is_held(None if stored is None else stored.record):
                return Holder(task_id, stored)
        return None

    async def take(self, entry: KeyEntry, expect: int, *, timeout: float | None = None) -> int:
        """
        Write an entry over the one with the sequence *expect* (0: there must be none), and return its sequence.

        Raises:
            SequenceConflictError: Somebody else wrote, or an earlier copy of this very write did.
            ServerTimeoutError: No answer; it may have been written.
        """
        subject = self._names.key(key_digest(entry.key))
        headers = expecting(expect, entry.period or None)
        return await self._publisher.publish(Publication(subject, encode_key(entry), headers), timeout=timeout)

    async def free(self, key: str, task_id: str) -> bool:
        """
        Remove a key if it names this task, and say whether it did.

        Raises:
            ServerError: No answer, or a refusal; the key is not valid for long anyway.
        """
        for _ in range(_TRIES):
            found = await self.read(key)
            if found.entry.task != task_id:
                return False
            if await self._remove(found.sequence):
                return True
        return False

    async def leave(self, record: TaskRecord, *, gone: bool = False) -> None:
        """
        Do what follows for its key when a task ends, or waits again after a run. Idempotent.

        A key that names it is freed, unless it was taken for a period; if it waited for the end of another one, the key
        goes back to that. If another task waits for the end of this one, that task is woken. Who takes the key
        meanwhile is seen, since exactly what was read is removed.

        Args:
            record: The task's.
            gone: The record was removed.

        Raises:
            ServerError: No answer, or a refusal; the next one that wants the key looks at the record, and a task that
                waits looks for itself.
        """
        for _ in range(_TRIES):
            found = await self.read(record.key)
            entry = found.entry
            if entry.after == record.id:
                await self._wake(entry.task, record.id)
                return
            if entry.task != record.id or entry.period or not (record.is_final or gone):
                return
            if await self._hand_back(found) or await self._remove(found.sequence):
                return

    async def _hand_back(self, found: StoredKey) -> bool:
        """Give a key back to the task that is waited for, if it has not ended; False if there is none."""
        after = found.entry.after
        holder = await self.holding(KeyEntry(task=after)) if after else None
        if holder is None:
            return False
        entry = KeyEntry(found.entry.key, after, found.entry.mode)
        with contextlib.suppress(SequenceConflictError):
            await self.take(entry, found.sequence)
            return True
        return False

    async def _remove(self, sequence: int) -> bool:
        """Remove an entry as it was read; False if somebody wrote since."""
        try:
            body = {"seq": sequence, "no_erase": True}
            await self._connection.api(f"STREAM.MSG.DELETE.{self._names.keys}", body)
        except RequestRefusedError as refused:
            if refused.code != MESSAGE_DELETE_FAILED:
                raise
            return False
        return True

    async def _wake(self, task_id: str, after: str) -> None:
        """
        Let the task that waits for the end of *after* look now whether it may begin.

        Until its item is in place its schedule stays, and brings it later. Somebody else's write (another payload, a
        cancel) comes first; the record is read again then.
        """
        for _ in range(_TRIES):
            waiting = await self._tasks.read_sound(task_id)
            if waiting is None or not waiting.record.is_waiting or waiting.record.after != after:
                return
            try:
                woken = await self._tasks.write(waiting.document.updated(hastened(waiting.record)), waiting.sequence)
            except SequenceConflictError:
                continue
            await self._release(woken)
            return

    async def _release(self, woken: Stored) -> None:
        try:
            await self._queues.put(woken)
        except LimitReachedError:
            return  # the queue is full: its schedule brings it later
        with contextlib.suppress(ServerError):
            await self._queues.remove_schedule(Remains.of(woken))
