"""
rejoining: start a task again that ended before all of its parents were counted.

It was cancelled while it waited, or became unreachable; its ``pending`` says which parents it had not counted. Unless
one of these failed it, it is blocked again, and what follows is that of an enqueue (`jetstream.dependents`): marker →
blocked record → a look at the parents, of which those that have not ended learn of it, and those that have give their
results. Who dies in between leaves a marker without a blocked record, which the pass over the markers removes once it
is old, or a blocked record that this pass looks after. The old end of the task is there until the blocked record is,
and whoever concludes something from it leaves the marker, since that is younger.

A task that a parent failed runs alone, without that parent's result. One with a parameter that takes this result would
get nothing in its place, so that is refused.
"""

from typing import Final

from jetq.admin.placement import Placement
from jetq.admin.record_changes import Changed
from jetq.errors import OperationRefusedError
from jetq.jetstream.backend import Backend
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import GONE, first_failure
from jetq.model.operation import Operation
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.model.transition import rejoined, retried
from jetq.observe.fault_points import Point, fault_point
from jetq.wire.dependencies import decode_policies
from jetq.wire.into import parents_taken

MAY_REJOIN: Final = {State.EXPIRED, State.UNREACHABLE}
"""States of tasks that ended while they waited for others."""


async def started_again(backend: Backend, record: TaskRecord, *, with_parents: bool = False) -> TaskRecord:
    """
    Return the record of a task that is retried: blocked, if there are parents to be counted, and runnable else.

    Args:
        backend: The server. A task that is blocked has its marker there.
        record: The task.
        with_parents: Parents that failed are retried as well, so that the task waits for them whatever they came to.

    Raises:
        OperationRefusedError: A parent failed whose result a parameter takes.
        ServerError: No answer, or a refusal.
    """
    waits_for = tuple(parent for parent in record.pending if parent != record.flow)
    if record.state not in MAY_REJOIN or not waits_for:
        return retried(record)
    if not with_parents:
        policies, taken = decode_policies(record.on_failure), parents_taken(record)
        ends = await backend.dependents.ends_of_parents(waits_for)
        failed = [
            end for end in ends.values() if end is not None and first_failure({end.id: end}, policies) is not None
        ]
        for end in failed:
            if end.id in taken:
                what = "enqueue both anew" if end.state == GONE else "retry that one, with its dependents"
                reason = f"a parameter takes a result that is not there: {end.text}; {what}"
                raise OperationRefusedError(record.id, Operation.RETRY, record.display_state, reason)
        if failed:
            return retried(record)
    await backend.links.mark(record.id)
    fault_point(Point.CHILD_MARKED)
    return rejoined(record, waits_for)


async def rejoin(backend: Backend, placement: Placement, done: Changed) -> Stored:
    """
    Let the parents of a task know it that is blocked again; return it as it is then.

    Raises:
        ServerError: No answer, or a refusal; the pass over the markers does the rest.
    """
    fault_point(Point.RECORD_CHANGED)
    record = done.stored.record
    placement.tell(done.stored)
    await backend.know_store()
    await backend.dependents.join(record.id, record.pending)
    return await backend.tasks.read(record.id) or done.stored
