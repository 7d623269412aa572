"""
flow_cancelling: cancel what has not run of a flow.

A task that is cancelled takes those along that depend on it, as any failure does. So that they end ``cancelled`` as
well, and not ``unreachable``, those come first on which none depends, then those on which only these do, and so on. A
task that is cancelled while one before it goes on is passed over when that ends.

Who dies in between leaves a flow of which some tasks are cancelled; to cancel it again goes on.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from jetq.client.operations import Operations
from jetq.errors import OperationRefusedError, TaskNotFoundError
from jetq.jetstream.backend import Backend
from jetq.jetstream.gathering import together
from jetq.jetstream.task_store import Stored
from jetq.model.operation import Effect
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.wire.flows import FlowDocument

_AT_ONCE: Final = 50


class CancelledFlow(Struct, frozen=True):
    """
    What became of the tasks of a flow that was cancelled, and of those that they enqueued.

    Attributes:
        cancelled: They had not run, or wait for another try, and are cancelled now.
        requested: They run, and their workers were asked to stop them.
        running: They run, and go on.
        ended: They had ended before.
    """

    cancelled: int = 0
    requested: int = 0
    running: int = 0
    ended: int = 0


async def cancel_flow(
    backend: Backend, operations: Operations, flow: FlowDocument, *, by: str = "", running: bool = False
) -> CancelledFlow:
    """
    Cancel what has not run of a flow, and of what its tasks enqueued.

    Args:
        backend: The server.
        operations: Cancels single tasks.
        flow: It.
        by: Who wants that.
        running: Also ask the workers of those that run to stop them.

    Raises:
        ServerError: No answer, or a refusal.
    """
    ids = dict.fromkeys([*(node.id for node in flow.nodes), *await backend.flows.members(flow.id)])
    found = [stored for stored in await backend.tasks.read_many([*ids]) if stored is not None]
    open_tasks = [stored for stored in found if not stored.record.is_final]
    counts = Counter({Effect.NOTHING: len(ids) - len(open_tasks)})

    async def cancel(task_id: str) -> Effect:
        try:
            return (await operations.cancel(task_id, by=by, running=running)).effect
        except OperationRefusedError as refused:
            return Effect.REFUSED if refused.state == State.ACTIVE else Effect.NOTHING
        except TaskNotFoundError:
            return Effect.NOTHING

    for level in _levels(open_tasks):
        for start in range(0, len(level), _AT_ONCE):
            counts.update(await together([cancel(record.id) for record in level[start : start + _AT_ONCE]]))
    return CancelledFlow(counts[Effect.ENDED], counts[Effect.REQUESTED], counts[Effect.REFUSED], counts[Effect.NOTHING])


def _levels(tasks: Sequence[Stored]) -> Iterator[list[TaskRecord]]:
    """Yield tasks, those first on which none of them depends."""
    records = {stored.record.id: stored.record for stored in tasks}
    waiting = dict.fromkeys(records, 0)
    for record in records.values():
        for parent in record.dependencies:
            if parent in waiting:
                waiting[parent] += 1
    level = [record for task_id, record in records.items() if not waiting[task_id]]
    while level:
        yield level
        following: list[TaskRecord] = []
        for record in level:
            for parent in record.dependencies:
                if parent in waiting:
                    waiting[parent] -= 1
                    if not waiting[parent]:
                        following.append(records[parent])
        level = following
