"""
operator: what people change in queues.
"""

from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.queue_catalog import QueueCatalog, QueueInfo
from jetq.jetstream.queue_changes import QueueChanges
from jetq.model.name import check_name
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
