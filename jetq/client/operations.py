"""
operations: what operates on single tasks, as far as a client needs to know.

The work is done by `jetq.admin.task_operations`, in a room beside this one; the application brings it along.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from jetq.jetstream.backend import Backend
from jetq.model.operation import UNCHANGED, OperatedTask, Unchanged
from jetq.wire.signature import Signer


class Operations(Protocol):
    """What operates on single tasks; see `jetq.admin.task_operations.TaskOperations`."""

    async def cancel(self, task_id: str, *, by: str = "", running: bool = True) -> OperatedTask:
        """End a task, or ask its worker to stop it."""
        ...

    async def retry(
        self,
        task_id: str,
        *,
        queue: str | None = None,
        payload: bytes | Unchanged | None = UNCHANGED,
        deadline: datetime | Unchanged | None = UNCHANGED,
        max_tries: int | Unchanged = UNCHANGED,
        dependents: bool = False,
    ) -> OperatedTask:
        """Start a task again."""
        ...

    async def run_now(self, task_id: str) -> OperatedTask:
        """Let a task wait no longer."""
        ...

    async def delete(self, task_id: str, *, force: bool = False) -> OperatedTask:
        """Remove a task."""
        ...

    async def change(
        self,
        task_id: str,
        *,
        payload: bytes | Unchanged | None = UNCHANGED,
        deadline: datetime | Unchanged | None = UNCHANGED,
        max_tries: int | Unchanged = UNCHANGED,
        queue: str | Unchanged = UNCHANGED,
    ) -> OperatedTask:
        """Change a task."""
        ...


Operate = Callable[[Backend, Signer | None], Operations]
"""Returns what operates through a backend, and signs what it changes."""
