"""
queues: operations on queues; what users of an application see as ``app.pause_queue``.
"""

from jetq.admin.operator import Operator
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.jetstream.queue_catalog import QueueInfo
from jetq.model.quantity import Duration, seconds


class QueueOperator:
    """Pauses and resumes queues."""

    clients: Clients

    def pause_queue(self, name: str, duration: Duration | None = None) -> QueueInfo:
        """
        Let no worker take tasks of a queue, for *duration* or until it is resumed.

        The server keeps that. What runs goes on; what is enqueued or becomes due waits.

        Args:
            name: The queue.
            duration: Seconds or timedelta; None pauses it until :meth:`resume_queue`.

        Raises:
            UnknownQueueError: There is no such queue.
            InvalidNameError, InvalidSettingError: No queue can have this name; no duration.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`apause_queue` there.
        """
        forbid_in_loop("pause_queue", "apause_queue")
        limit = _checked(duration)
        return self.clients.blocking(lambda client: _pause(client, name, limit))

    async def apause_queue(self, name: str, duration: Duration | None = None) -> QueueInfo:
        """Let no worker take tasks of a queue; see :meth:`pause_queue`."""
        return await _pause(await self.clients.current(), name, _checked(duration))

    def resume_queue(self, name: str) -> QueueInfo:
        """
        Let workers take tasks of a paused queue again.

        Raises:
            UnknownQueueError: There is no such queue.
            InvalidNameError: No queue can have this name.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aresume_queue` there.
        """
        forbid_in_loop("resume_queue", "aresume_queue")
        return self.clients.blocking(lambda client: _resume(client, name))

    async def aresume_queue(self, name: str) -> QueueInfo:
        """Let workers take tasks of a paused queue again; see :meth:`resume_queue`."""
        return await _resume(await self.clients.current(), name)


def _checked(duration: Duration | None) -> float | None:
    return None if duration is None else seconds("duration", duration, least=0.001)


async def _pause(client: Client, name: str, duration: float | None) -> QueueInfo:
    return await Operator(client.backend).pause_queue(name, duration)


async def _resume(client: Client, name: str) -> QueueInfo:
    return await Operator(client.backend).resume_queue(name)
