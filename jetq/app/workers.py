"""
workers: which workers live, and why a task does not run; what users see as ``app.workers`` and ``app.explain``.
"""

from jetq.admin.explaining import Explainer
from jetq.admin.workers import WorkerDirectory, WorkerInfo
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.model.explanation import Explanation


class WorkerFinder:
    """Finds workers, and says why tasks do not run."""

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

    def explain(self, task_id: str) -> Explanation:
        """
        Say why a task does not run, or that it does, or how it ended; or that there is no such task.

        Raises:
            InvalidNameError: No task can have this id.
            MalformedRecordError: What stands there is no record.
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aexplain` there.
        """
        forbid_in_loop("explain", "aexplain")
        return self.clients.blocking(lambda client: Explainer(client.backend).explain(task_id))

    async def aexplain(self, task_id: str) -> Explanation:
        """Say why a task does not run; see :meth:`explain`."""
        return await Explainer((await self.clients.current()).backend).explain(task_id)


async def _workers(client: Client) -> list[WorkerInfo]:
    return await WorkerDirectory(client.backend.connection, client.backend.names).list_workers()
