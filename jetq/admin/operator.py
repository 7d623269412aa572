"""
operator: what people change: queues, and tasks that are to be removed.
"""

from typing import Final

from msgspec import Struct

from jetq.errors import MalformedRecordError, RequestRefusedError, TaskNotFoundError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import MESSAGE_DELETE_FAILED, STREAM_NOT_FOUND
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_catalog import QueueCatalog, QueueInfo
from jetq.jetstream.queue_changes import QueueChanges
from jetq.jetstream.stream_message import StreamMessage, last_message, purge_subject
from jetq.jetstream.topology import Topology
from jetq.model.name import check_name
from jetq.observe.bus import Bus
from jetq.settings import Queue, StoreSettings
from jetq.wire.codec import decode_record
from jetq.wire.names import Names

_TRIES: Final = 20
"""Readings of a record that somebody writes all the time, until its removal is given up."""


class DeletedTask(Struct, frozen=True, kw_only=True):
    """
    A task that was removed.

    Attributes:
        task_id: The task.
        state: Its last state, as people see it; ``malformed`` if its record could not be read.
        queue: Its queue; empty if its record could not be read.
        was_queued: Whether its queue held an item of it.
        was_scheduled: Whether it waited for its time.
    """

    task_id: str
    state: str
    queue: str
    was_queued: bool
    was_scheduled: bool


class Operator:
    """
    Changes a namespace.

    Args:
        connection: To the server.
        names: Of the namespace.
        settings: Storage and replicas of what is created.
        bus: Hears what a bound stream lacked.
    """

    def __init__(
        self,
        connection: Connection,
        names: Names,
        settings: StoreSettings | None = None,
        *,
        bus: Bus | None = None,
    ) -> None:
        self._connection = connection
        self._names = names
        self._catalog = QueueCatalog(connection, names)
        self._topology = Topology(connection, names, settings or StoreSettings(), bus=bus)

    async def delete_task(self, task_id: str) -> DeletedTask:
        """
        Remove a task: its record, its item and its schedule.

        The record goes first. Whoever wants to claim the task, or to let it wait, must write its record and cannot any
        more; so nothing brings back what is removed after that. A run that is under way goes on, and its result is
        dropped: it lost its task.

        Raises:
            InvalidNameError: No task can have this id.
            TaskNotFoundError: There is no record of it.
            ServerError: No answer, or a refusal; what is left of the task is removed by doing this again, or by the
                worker that gets its item.
        """
        record = await self._remove_record(check_name("task id", task_id))
        try:
            known = decode_record(record.data).record
            queue, state = known.queue, known.display_state
        except MalformedRecordError:
            queue, state = "", "malformed"
        scheduled = [
            await self._purge(self._names.schedules, subject) for subject in self._names.waiting_subjects(task_id)
        ]
        queued = await self._purge(self._names.queue(queue), self._names.item(queue, task_id)) if queue else 0
        return DeletedTask(
            task_id=task_id, state=state, queue=queue, was_queued=queued > 0, was_scheduled=sum(scheduled) > 0
        )

    async def _remove_record(self, task_id: str) -> StreamMessage:
        """Remove the record by its sequence, so that exactly what was read is removed; read again if it changed."""
        tries = 0
        while True:
            tries += 1
            found = await self._read_record(task_id)
            try:
                body = {"seq": found.seq, "no_erase": True}
                await self._connection.api(f"STREAM.MSG.DELETE.{self._names.tasks}", body)
            except RequestRefusedError as refused:
                if refused.code != MESSAGE_DELETE_FAILED or tries == _TRIES:
                    raise
            else:
                return found

    async def _read_record(self, task_id: str) -> StreamMessage:
        try:
            found = await last_message(self._connection, self._names.tasks, self._names.record(task_id))
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                raise TaskNotFoundError(task_id) from refused
            raise
        if found is None:
            raise TaskNotFoundError(task_id)
        return found

    async def _purge(self, stream: str, subject: str) -> int:
        try:
            return await purge_subject(self._connection, stream, subject)
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return 0
            raise

    async def add_queue(self, queue: Queue) -> bool:
        """
        Create a queue, and the rest of the namespace if it is the first one.

        Returns:
            False if it existed; it keeps its limits then.

        Raises:
            TopologyError: It can be neither created nor bound.
            ServerError: No answer, or another refusal.
        """
        existed = await find_stream(self._connection, self._names.queue(queue.name)) is not None
        await self._topology.ensure_queue(queue)
        return not existed

    async def configure_queue(self, queue: str, changes: QueueChanges) -> QueueInfo:
        """
        Change limits of a queue while it is in use; see `jetq.jetstream.queue_catalog`.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            InvalidSettingError: A limit has a value that cannot be used.
            ServerError: No answer, or a refusal.
        """
        return await self._catalog.configure(check_name("queue", queue), changes)

    async def purge_queue(self, queue: str) -> int:
        """
        Remove all items of a queue and return their number. The tasks' records stay as they are.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        return await self._catalog.purge(check_name("queue", queue))

    async def delete_queue(self, queue: str) -> None:
        """
        Remove a queue with its items. The tasks' records stay as they are.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        await self._catalog.delete(check_name("queue", queue))
