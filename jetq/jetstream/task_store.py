"""
task_store: the records of tasks.

Every write is a compare-and-swap on the stream sequence of the record it replaces, and every reading that decides
something asks the stream's leader (a direct get on a replica may be stale, which was seen in 6 % of reads under load).
"""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from msgspec import Struct

from jetq.errors import MalformedRecordError, RequestRefusedError, SequenceConflictError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import TTL_DISABLED
from jetq.jetstream.gathering import together
from jetq.jetstream.publisher import Publication, Publisher, expecting
from jetq.jetstream.stream_message import last_message, purge_subject
from jetq.model.flow_status import NodeState
from jetq.model.record import TaskRecord
from jetq.wire.codec import Document, decode_record
from jetq.wire.names import Names

_T = TypeVar("_T")

_AT_ONCE: Final = 200
"""Readings under way at one time."""


class Stored(Struct, frozen=True, gc=False):
    """
    A record as it stands in the store.

    Attributes:
        document: The record with its bytes.
        sequence: Of the message that holds it; the next write expects it.
        data: The bytes, as an item carries them.
        written: When, by the server's clock; None for what this process has just written itself.
    """

    document: Document
    sequence: int
    data: bytes
    written: datetime | None = None

    @property
    def record(self) -> TaskRecord:
        """The record."""
        return self.document.record


class TaskStore:
    """
    Reads and writes records.

    Args:
        connection: For reading.
        publisher: For writing.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, publisher: Publisher, names: Names) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names
        self.ttl_allowed = True
        """Whether the store takes records that expire; a store made by Go may not."""

    def publication(self, task_id: str, data: bytes, expect: int, ttl: float | None = None) -> Publication:
        """
        Return the message that writes a record.

        Args:
            task_id: The task.
            data: The record's bytes.
            expect: Sequence of the record that it replaces; 0 if there must be none.
            ttl: Seconds until the record is removed; None keeps it.
        """
        headers = expecting(expect, ttl if self.ttl_allowed else None)
        return Publication(self._names.record(task_id), data, headers)

    async def write(
        self, document: Document, expect: int, *, ttl: float | None = None, timeout: float | None = None
    ) -> Stored:
        """
        Write a record over the one with the sequence *expect* (0: there must be none).

        Raises:
            SequenceConflictError: Somebody else wrote, or an earlier copy of this very write did.
            ServerTimeoutError: No answer; it may have been written.
            MessageTooLargeError: The record is too large.
        """
        data = document.encode()
        publication = self.publication(document.record.id, data, expect, ttl)
        try:
            sequence = await self._publisher.publish(publication, timeout=timeout)
        except RequestRefusedError as refused:
            if refused.code != TTL_DISABLED:
                raise
            self.ttl_allowed = False  # the store was made anew, by somebody who lets no record expire
            return await self.write(document, expect, timeout=timeout)
        return Stored(document, sequence, data)

    async def read(self, task_id: str, *, timeout: float | None = None) -> Stored | None:
        """
        Read a record from the leader; None if there is none.

        Raises:
            MalformedRecordError: What stands there is no record, or another task's.
            ServerTimeoutError: No answer.
        """
        return await read_record(self._connection, self._names, task_id, timeout=timeout)

    async def read_many(self, task_ids: Sequence[str]) -> list[Stored | None]:
        """
        Read records from the leader, many at a time; None for one that does not exist, or cannot be read.

        Raises:
            ServerTimeoutError: No answer.
        """
        return await self.read_each(task_ids, _whole)

    async def read_each(self, task_ids: Sequence[str], keep: Callable[[Stored | None], _T]) -> list[_T]:
        """
        Read records as :meth:`read_many` does, and return what *keep* makes of each.

        A record may be as large as a message; so that is for whoever needs little of very many.

        Raises:
            ServerTimeoutError: No answer.
        """
        found: list[_T] = []
        for start in range(0, len(task_ids), _AT_ONCE):
            found += map(keep, await together([self.read_sound(each) for each in task_ids[start : start + _AT_ONCE]]))
        return found

    async def read_sound(self, task_id: str) -> Stored | None:
        """
        Read a record from the leader; one that cannot be read is as good as none.

        Raises:
            ServerTimeoutError: No answer.
        """
        try:
            return await self.read(task_id)
        except MalformedRecordError:
            return None

    async def expire(self, stored: Stored, after: float) -> None:
        """
        Let exactly this final record be gone *after* some seconds; a newer one is left alone.

        A store that lets no record expire loses it at once.

        Raises:
            ServerError: No answer, or a refusal; it may be repeated.
        """
        last = stored.sequence
        if self.ttl_allowed:
            with contextlib.suppress(SequenceConflictError):
                last = (await self.write(stored.document, last, ttl=after)).sequence
        if not self.ttl_allowed:
            subject = self._names.record(stored.record.id)
            await purge_subject(self._connection, self._names.tasks, subject, through=last)

    async def remove(self, task_id: str) -> bool:
        """Remove whatever stands where the task's record belongs; say whether something did."""
        return await purge_subject(self._connection, self._names.tasks, self._names.record(task_id)) > 0


def node_state(stored: Stored | None) -> NodeState | None:
    """Return where a task of a flow stands; None for one that has no record."""
    return None if stored is None else NodeState.of(stored.record)


def _whole(stored: Stored | None) -> Stored | None:
    return stored


async def read_record(
    connection: Connection, names: Names, task_id: str, *, timeout: float | None = None
) -> Stored | None:
    """Read a record from the leader; see :meth:`TaskStore.read`."""
    found = await last_message(connection, names.tasks, names.record(task_id), timeout=timeout)
    if found is None:
        return None
    document = decode_record(found.data)
    if document.record.id != task_id:
        raise MalformedRecordError(f"it says that it is task {document.record.id}, in the place of {task_id}")
    return Stored(document, found.seq, found.data, found.time)
