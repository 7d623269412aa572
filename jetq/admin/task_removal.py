"""
task_removal: remove a task with all that belongs to it.

The record goes first. Whoever wants to claim the task, or to let it wait, must write its record and cannot any more; so
nothing brings back what is removed after that. Somebody may enqueue a task with the same id the moment after: what is
removed is older than that. A schedule that was on its way meanwhile is left; its item finds no record. A run that is
under way goes on, and its result is dropped: it lost its task. Those that depend on the task learn that it is gone,
unless it had ended.
"""

import contextlib
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from jetq.errors import MalformedRecordError, RequestRefusedError, ServerError, TaskNotFoundError
from jetq.jetstream.backend import Backend
from jetq.jetstream.faults import MESSAGE_DELETE_FAILED, STREAM_NOT_FOUND
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.remains import Remains
from jetq.jetstream.stream_message import StreamMessage, find_message, purge_subject
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.wire.codec import decode_record

MALFORMED: Final = "malformed"
_TRIES: Final = 20
"""Readings of a record that somebody writes all the time, until its removal is given up."""


class RemovedTask(Struct, frozen=True, kw_only=True):
    """
    A task that was removed.

    Attributes:
        record: Its last record; None if that could not be read.
        was_queued: Whether its queue held an item of it.
        was_scheduled: Whether it waited for its time.
    """

    record: TaskRecord | None
    was_queued: bool
    was_scheduled: bool

    @property
    def state(self) -> str:
        """Its last state, as people see it."""
        return MALFORMED if self.record is None else self.record.display_state

    @property
    def queue(self) -> str:
        """Its queue, as far as it is known."""
        return "" if self.record is None else self.record.queue


async def remove_task(backend: Backend, task_id: str, check: Callable[[TaskRecord], None]) -> RemovedTask:
    """
    Remove a task: its record, its item and its schedule.

    Args:
        backend: The server.
        task_id: The task.
        check: Raises if the task must stay.

    Raises:
        TaskNotFoundError: There is no record of it.
        ServerError: No answer, or a refusal; what is left of the task is removed by doing this again, or by the worker
            that gets its item.
    """
    names = backend.names
    last = await _last_schedule(backend)
    message, record = await _remove_record(backend, task_id, check)
    scheduled = [await _purge(backend, subject, through=last) for subject in names.waiting_subjects(task_id)]
    if record is not None and record.key:
        await _leave_key(backend, record)
    if record is not None:
        await _leave_links(backend, record)
    queued = False
    if record is not None and record.queue:
        queued = await backend.queues.remove_item(Remains(task_id, record.queue, message.seq + 1, 0))
    return RemovedTask(record=record, was_queued=queued, was_scheduled=sum(scheduled) > 0)


async def _remove_record(
    backend: Backend, task_id: str, check: Callable[[TaskRecord], None]
) -> tuple[StreamMessage, TaskRecord | None]:
    """Remove the record by its sequence, so that exactly what was read is removed; read again if it changed."""
    tries = 0
    while True:
        tries += 1
        found = await _read(backend, task_id)
        record = _record_in(found)
        if record is not None:
            check(record)
        try:
            body = {"seq": found.seq, "no_erase": True}
            await backend.connection.api(f"STREAM.MSG.DELETE.{backend.names.tasks}", body)
        except RequestRefusedError as refused:
            if refused.code != MESSAGE_DELETE_FAILED or tries == _TRIES:
                raise
        else:
            return found, record


def _record_in(found: StreamMessage) -> TaskRecord | None:
    try:
        return decode_record(found.data).record
    except MalformedRecordError:
        return None


async def _read(backend: Backend, task_id: str) -> StreamMessage:
    found = await find_message(backend.connection, backend.names.tasks, backend.names.record(task_id))
    if found is None:
        raise TaskNotFoundError(task_id)
    return found


async def _leave_key(backend: Backend, record: TaskRecord) -> None:
    with contextlib.suppress(ServerError):  # it is not valid without its task; who waits looks now and then
        await backend.keys.leave(record, gone=True)


async def _leave_links(backend: Backend, record: TaskRecord) -> None:
    """Tell those that depend on the task, and remove what says that it was blocked itself."""
    with contextlib.suppress(ServerError):  # the pass over the markers finds that the task is gone
        if record.dependents:
            await backend.know_store()
            await backend.dependents.follow_removed(record)
        if record.state is State.BLOCKED:
            await backend.links.unmark(record.id)
            await backend.links.remove_edges(child=record.id)


async def _last_schedule(backend: Backend) -> int:
    """Return the sequence of the newest schedule; 0 if there is none."""
    found = await find_stream(backend.connection, backend.names.schedules)
    return 0 if found is None else int(found["state"]["last_seq"])


async def _purge(backend: Backend, subject: str, *, through: int) -> int:
    try:
        return await purge_subject(backend.connection, backend.names.schedules, subject, through=through)
    except RequestRefusedError as refused:
        if refused.code == STREAM_NOT_FOUND:
            return 0
        raise
