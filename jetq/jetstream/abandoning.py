"""
abandoning: end the tasks of a flow that was aborted.

None of them has run, since nothing of a flow runs before it is committed, and an aborted one never is. Each is ended by
compare-and-swap, children before their parents, so that the end of a parent finds no child that still waits for it.
Repeating all that is harmless.

A task whose record is not there keeps its marker: its submitter may be slow, and write the record yet. Whoever finds
that marker (`admin.blocked_pass`) does all this again.
"""

from collections.abc import Callable
from typing import Final

from jetq.errors import SequenceConflictError
from jetq.jetstream.backend import Backend
from jetq.jetstream.dependents import nothing
from jetq.jetstream.gathering import together
from jetq.model.events import state_change
from jetq.model.state import End, State
from jetq.model.transition import ended
from jetq.observe.fault_points import Point, fault_point
from jetq.wire.flows import FlowDocument

_AT_ONCE: Final = 100
_TRIES: Final = 20


async def abandon(backend: Backend, flow: FlowDocument, *, between: Callable[[], None] = nothing) -> None:
    """
    End the tasks of an aborted flow.

    Args:
        backend: The server.
        flow: It.
        between: Called between two steps of what may take long.

    Raises:
        ServerError: No answer, or a refusal; it must be repeated.
    """
    reason = f"its flow {flow.label} was not stored completely"
    ids = [node.id for node in reversed(flow.nodes)]
    for start in range(0, len(ids), _AT_ONCE):
        await together([_end(backend, task_id, reason) for task_id in ids[start : start + _AT_ONCE]])
        between()


async def abandon_one(backend: Backend, task_id: str, flow_id: str) -> None:
    """
    End a task that waits for a flow of which nothing is left.

    Raises:
        ServerError: No answer, or a refusal; it must be repeated.
    """
    await _end(backend, task_id, f"its flow {flow_id} was not stored completely")


async def _end(backend: Backend, task_id: str, reason: str) -> None:
    tasks = backend.tasks
    for _ in range(_TRIES):
        stored = await tasks.read_sound(task_id)
        if stored is None:
            return
        if stored.record.state is not State.BLOCKED:
            break
        document = stored.document.updated(ended(stored.record, End.ABANDONED, reason))
        try:
            written = await tasks.write(document, stored.sequence, ttl=backend.retention.ttl(document.record))
        except SequenceConflictError:
            continue
        fault_point(Point.NODE_ABANDONED)
        backend.bus.emit(state_change(written.record, backend.connection.clock.now(), sequence=written.sequence))
        break
    await backend.links.unmark(task_id)
