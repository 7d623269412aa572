"""
bulk_retry: retry many tasks, and let those that depend on them wait for them again.

Among the tasks that are chosen may be some together with those that they became unreachable by. Such a child must not
start alone: its parent, when it is retried, makes it wait again (`admin.unsticking`). So it is left to its parent,
whichever of the two has its turn first: the parent is still to be retried, or has started and makes the child wait
in this moment, or has done so. One that was cancelled while it waited is no
business of its parent's: it is blocked anew (`admin.rejoining`), and if its parent has not started by then, it becomes
unreachable, from which the parent takes it as any other.

A child whose failed parents are none of the chosen is retried like any other task.

A parent that is refused leaves its children as they are; the report tells of the refusal.
"""

from typing import Any, Final

from jetq.admin.bulk_operations import Operate
from jetq.admin.rejoining import MAY_REJOIN
from jetq.admin.task_filter import TaskFilter
from jetq.admin.task_operations import TaskOperations
from jetq.admin.time_bounds import bounded
from jetq.errors import RequestRefusedError
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.faults import STREAM_NOT_FOUND
from jetq.jetstream.task_store import Stored
from jetq.model.name import is_name
from jetq.model.operation import Effect, OperatedTask, Operation
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.wire.summary import decode_summary

_WAITS: Final = {*MAY_REJOIN, State.BLOCKED}
_LEFT: Final = "it waits for those that it depends on, which are retried as well"


def retrying(operations: TaskOperations, chosen: TaskFilter, *, dependents: bool = False, **changes: Any) -> Operate:
    """
    Return what retries one task of a selection.

    Args:
        operations: Retries it.
        chosen: The selection.
        dependents: Those that became unreachable, since it failed, wait for it again.
        **changes: See `TaskOperations.retry`.
    """
    if dependents:
        return _RetryWithDependents(operations, chosen, changes)
    return lambda task_id: operations.retry(task_id, **changes)


class _RetryWithDependents:
    """Retries a task with its dependents, or leaves it to those that it depends on."""

    def __init__(self, operations: TaskOperations, chosen: TaskFilter, changes: dict[str, Any]) -> None:
        self._operations = operations
        self._backend = operations.backend
        self._chosen = chosen
        self._changes = changes

    async def __call__(self, task_id: str) -> OperatedTask:
        stored = await self._read(task_id)
        if stored is None or not await self._is_left(stored.record):
            return await self._operations.retry(task_id, dependents=True, **self._changes)
        record = stored.record
        if record.state is State.EXPIRED:
            return await self._operations.retry(task_id, dependents=True, with_parents=True, **self._changes)
        return OperatedTask(
            task_id=task_id,
            operation=Operation.RETRY,
            effect=Effect.WAITS,
            before=record.display_state,
            after=record.display_state,
            queue=record.queue,
            detail=_LEFT,
        )

    async def _is_left(self, child: TaskRecord) -> bool:
        """Whether a task waits, or will wait again, for one that is chosen."""
        if child.state not in _WAITS:
            return False
        self._chosen = await bounded(self._chosen, self._backend.connection, self._backend.names)
        for parent_id in child.pending:
            parent = await self._read(parent_id)
            if parent is None or parent.record.state is State.COMPLETE:
                continue
            if self._is_chosen(parent) or not parent.record.is_final:
                return True
        return False

    def _is_chosen(self, parent: Stored) -> bool:
        written = 0 if parent.written is None else int(parent.written.timestamp() * NANOSECONDS)
        return self._chosen.matches(decode_summary(parent.record.id, parent.data), written)

    async def _read(self, task_id: str) -> Stored | None:
        """Read a record; of what cannot be read, and of a store that is not there, the retry itself tells."""
        if not is_name(task_id):
            return None
        try:
            return await self._backend.tasks.read_sound(task_id)
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return None
            raise
