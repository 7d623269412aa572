"""
record_changes: change a record that others may be changing at the same time.

Read, decide, write with a compare-and-swap; refused, read and decide anew, a bounded number of times. A write that was
not answered may stand, and so may one that was refused: the refused one may be a second copy, sent since the first was
not answered in time. So from the first such write on, a record that looks as this operation would have left it counts
as its own work. Whoever forgets that retries a task twice, or leaves one without its item.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from jetq.errors import (
    AnswerLostError,
    RequestRefusedError,
    SequenceConflictError,
    ServerTimeoutError,
    TaskNotFoundError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.faults import STREAM_NOT_FOUND
from jetq.jetstream.task_store import Stored
from jetq.model.events import UpdateConflict
from jetq.model.name import check_name
from jetq.model.operation import Operation
from jetq.model.record import TaskRecord
from jetq.wire.codec import Document

_TRIES: Final = 20
"""Readings of a record that somebody writes all the time, until its change is given up."""


class Changed(Struct, frozen=True):
    """
    A record after a change.

    Attributes:
        before: The record as it was first read.
        replaced: As it was last read before the write.
        stored: As it is now.
        wrote: Whether this operation wrote it, as far as it can know.
    """

    before: TaskRecord
    replaced: TaskRecord
    stored: Stored
    wrote: bool

    @property
    def queues(self) -> set[str]:
        """The queues in which the task was."""
        return {queue for queue in (self.before.queue, self.replaced.queue, self.stored.record.queue) if queue}

    @property
    def waited(self) -> bool:
        """Whether it waited for its time."""
        return self.before.due is not None or self.replaced.due is not None


class Wish(Struct, frozen=True):
    """
    A change that somebody wants.

    Attributes:
        operation: Its name.
        decide: Returns what is to be written in place of a record; None leaves it as it is; raises if that is refused.
        is_mine: Whether a write of this wish that was not answered may have made the record what it is.
        once: A record that another write than the unanswered one followed is left as it is: the wish was fulfilled,
            and what came of that is there.
    """

    operation: Operation
    decide: Callable[[Stored], Awaitable[Document | None]]
    is_mine: Callable[[TaskRecord], bool]
    once: bool = False


class RecordChanges:
    """
    Changes records.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def make(self, task_id: str, wish: Wish) -> Changed:
        """
        Fulfil a wish.

        Raises:
            InvalidNameError: No task can have this id.
            TaskNotFoundError: There is no record of it.
            MalformedRecordError: What stands there is no record.
            SequenceConflictError: Others change the record all the time.
            ServerError: No answer, or a refusal; the record may have been changed.
        """
        check_name("task id", task_id)
        replaced = stored = await self._read(task_id)
        before, doubt = stored.record, None
        for _ in range(_TRIES):
            if doubt is not None and wish.is_mine(stored.record):
                return Changed(before, replaced.record, stored, wrote=True)
            if wish.once and isinstance(doubt, ServerTimeoutError) and stored.sequence != replaced.sequence:
                return Changed(before, replaced.record, stored, wrote=False)
            replaced = stored
            document = await wish.decide(stored)
            if document is None:
                return Changed(before, replaced.record, stored, wrote=False)
            try:
                written = await self._write(document, stored.sequence)
            except (SequenceConflictError, ServerTimeoutError) as error:
                doubt = error
                self._backend.bus.emit(UpdateConflict(task_id=task_id, what=wish.operation))
                stored = await self._read(task_id)
            else:
                return Changed(before, replaced.record, written, wrote=True)
        raise doubt or TaskNotFoundError(task_id)

    async def _read(self, task_id: str) -> Stored:
        """Read a record; a connection that is lost meanwhile is waited for, since to read again is harmless."""
        for last in (False, False, True):
            try:
                found = await self._backend.tasks.read(task_id)
            except AnswerLostError:
                if last:
                    raise
            except RequestRefusedError as refused:
                if refused.code == STREAM_NOT_FOUND:
                    raise TaskNotFoundError(task_id) from refused
                raise
            else:
                if found is not None:
                    return found
                break
        raise TaskNotFoundError(task_id)

    async def _write(self, document: Document, expect: int) -> Stored:
        """Write a record; one that ends its task is kept as long as that of any other end."""
        ttl = None
        if document.record.is_final:
            await self._backend.know_store()
            ttl = self._backend.retention.ttl(document.record)
        return await self._backend.tasks.write(document, expect, ttl=ttl)
