"""
operator: what people change in queues.
"""

from datetime import timedelta

from jetq.admin.queue_purge import DELETED, QueuePurge
from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_catalog import QueueCatalog, QueueInfo
from jetq.jetstream.queue_changes import QueueChanges
from jetq.model.name import check_name
from jetq.model.serving import UNTIL_RESUMED
from jetq.settings import Queue


class Operator:
    """
    Changes a namespace.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._catalog = QueueCatalog(backend.connection, backend.names)

    async def add_queue(self, queue: Queue) -> bool:
        """
        Create a queue, and the rest of the namespace if it is the first one.

        Returns:
            False if it existed; it keeps its limits then.

        Raises:
            TopologyError: It can be neither created nor bound.
            ServerError: No answer, or another refusal.
        """
        backend = self._backend
        existed = await find_stream(backend.connection, backend.names.queue(queue.name)) is not None
        await backend.topology.ensure_queue(queue)
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

    async def pause_queue(self, queue: str, duration: float | None = None) -> QueueInfo:
        """
        Let a queue give no tasks to workers for *duration* seconds, or until it is resumed.

        What runs goes on. Tasks may be enqueued, delayed ones become due, and all of them wait.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        now = self._backend.connection.clock.now()
        until = UNTIL_RESUMED if duration is None else min(now + timedelta(seconds=duration), UNTIL_RESUMED)
        return await self._catalog.pause(check_name("queue", queue), until)

    async def resume_queue(self, queue: str) -> QueueInfo:
        """
        Let a paused queue give its tasks to workers again.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        return await self._catalog.pause(check_name("queue", queue), None)

    async def purge_queue(self, queue: str) -> int:
        """
        End the tasks that are queued, remove all items and return the number of these; see `jetq.admin.queue_purge`.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        return await QueuePurge(self._backend, check_name("queue", queue)).run()

    async def delete_queue(self, queue: str) -> None:
        """
        End the tasks that are queued, and remove the queue with its items.

        What waits for its time goes on waiting, and comes into a queue of the same name if there is one then.

        Raises:
            InvalidNameError: No queue can have this name.
            UnknownQueueError: There is none.
            ServerError: No answer, or a refusal.
        """
        await QueuePurge(self._backend, check_name("queue", queue), reason=DELETED).run()
        await self._catalog.delete(queue)
