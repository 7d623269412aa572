"""
workers: which workers live; what users of an application see as ``app.workers``.
"""

from jetq.admin.workers import WorkerDirectory, WorkerInfo
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients


class WorkerFinder:
    """Finds workers."""

    clients: Clients

    def workers(self) -> list[WorkerInfo]:
        """
        Return the workers of this namespace that live, of whatever application.

        Raises:
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aworkers` there.
        """
        forbid_in_loop("workers", "aworkers")
        return self.clients.blocking(_workers)

    async def aworkers(self) -> list[WorkerInfo]:
        """Return the workers of this namespace that live; see :meth:`workers`."""
        return await _workers(await self.clients.current())


async def _workers(client: Client) -> list[WorkerInfo]:
    return await WorkerDirectory(client.backend.connection, client.backend.names).list_workers()
