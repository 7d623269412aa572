"""
operating: operations on tasks of which the id is known; what users of an application see as ``app.cancel``.
"""

from typing import Any, Unpack

from jetq.admin.task_operations import TaskOperations
from jetq.client.handle import TaskHandle
from jetq.client.operating import ChangeValues, Patience
from jetq.client.operations import Operate, Operations
from jetq.execution.composed import check_payload
from jetq.jetstream.backend import Backend
from jetq.model.operation import OperatedTask
from jetq.model.record import TaskRecord
from jetq.routing.router import Router
from jetq.wire.signature import Signer


def operating(router: Router) -> Operate:
    """Return what makes the operations on single tasks, which check payloads by the handlers that *router* knows."""

    def check(record: TaskRecord) -> None:
        handler = router.match(record.type)
        if handler is not None:
            check_payload(handler, record)

    def operate(backend: Backend, signer: Signer | None) -> Operations:
        return TaskOperations(backend, signer=signer, check=check)

    return operate


class TaskOperator:
    """Operates on tasks by their ids; each method is the one of the same name of :class:`jetq.TaskHandle`."""

    def handle(self, task_id: str, task_type: str = "", queue: str = "") -> TaskHandle[Any]:
        """Return a handle of a task that somebody enqueued, by its id."""
        raise NotImplementedError

    def cancel(self, task_id: str, *, by: str = "", wait: Patience = None) -> OperatedTask:
        """Cancel a task: end it, or ask the worker that runs it to stop it. See :meth:`TaskHandle.acancel`."""
        return self.handle(task_id).cancel(by=by, wait=wait)

    async def acancel(self, task_id: str, *, by: str = "", wait: Patience = None) -> OperatedTask:
        """Cancel a task: end it, or ask the worker that runs it to stop it. See :meth:`TaskHandle.acancel`."""
        return await self.handle(task_id).acancel(by=by, wait=wait)

    def retry(self, task_id: str, *, dependents: bool = False, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """Start a task again that ended, or run one now that waits. See :meth:`TaskHandle.aretry`."""
        return self.handle(task_id).retry(dependents=dependents, **changes)

    async def aretry(self, task_id: str, *, dependents: bool = False, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """Start a task again that ended, or run one now that waits. See :meth:`TaskHandle.aretry`."""
        return await self.handle(task_id).aretry(dependents=dependents, **changes)

    def run_now(self, task_id: str) -> OperatedTask:
        """Let a task wait no longer. See :meth:`TaskHandle.arun_now`."""
        return self.handle(task_id).run_now()

    async def arun_now(self, task_id: str) -> OperatedTask:
        """Let a task wait no longer. See :meth:`TaskHandle.arun_now`."""
        return await self.handle(task_id).arun_now()

    def delete(self, task_id: str, *, force: bool = False) -> OperatedTask:
        """Remove a task with all that belongs to it. See :meth:`TaskHandle.adelete`."""
        return self.handle(task_id).delete(force=force)

    async def adelete(self, task_id: str, *, force: bool = False) -> OperatedTask:
        """Remove a task with all that belongs to it. See :meth:`TaskHandle.adelete`."""
        return await self.handle(task_id).adelete(force=force)

    def change(self, task_id: str, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """Change a task while it waits, for its time or in its queue. See :meth:`TaskHandle.achange`."""
        return self.handle(task_id).change(**changes)

    async def achange(self, task_id: str, **changes: Unpack[ChangeValues]) -> OperatedTask:
        """Change a task while it waits, for its time or in its queue. See :meth:`TaskHandle.achange`."""
        return await self.handle(task_id).achange(**changes)
