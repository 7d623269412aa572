"""
unsticking: let tasks wait again that became unreachable, since a task that they depend on starts again.

The order is that of an enqueue (`jetstream.dependents`): marker → blocked record → a look at the parents, which know
the child already. The parent has started before all that, and whoever fails a child reads the parent again; a child
that still waits is written as it stands, so that what somebody decided before that is refused. So none of them is
failed by an old end. Who dies in between leaves tasks that are blocked with their markers, which the pass over the
markers looks after, and tasks that are unreachable still, and can be retried one by one.
"""

from collections import deque
from typing import Final

from jetq.errors import SequenceConflictError
from jetq.jetstream.backend import Backend
from jetq.jetstream.gathering import together
from jetq.model.dependency import MOST_DEPENDENTS
from jetq.model.events import state_change
from jetq.model.name import is_name
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.model.transition import blocked_again

_AT_ONCE: Final = 50
_TRIES: Final = 20
_STUCK: Final = {State.UNREACHABLE, State.BLOCKED}


async def unstick(backend: Backend, parent: TaskRecord) -> int:
    """
    Let the dependents of a task wait for it again that became unreachable, and theirs; return how many there were.

    Args:
        backend: The server.
        parent: The task, which has started again.

    Raises:
        ServerError: No answer, or a refusal; some of them may wait again.
    """
    todo, blocked = deque([parent]), list[TaskRecord]()
    while todo:
        waited_for = todo.popleft()
        children = [child for child in waited_for.dependents if is_name(child)]
        if len(children) >= MOST_DEPENDENTS:
            children += await backend.links.children(waited_for.id)
        for start in range(0, len(children), _AT_ONCE):
            some = children[start : start + _AT_ONCE]
            freed = await together([_block(backend, child, waited_for.id) for child in some])
            found = [each for each in freed if each is not None]
            blocked += found
            todo.extend(found)
    for start in range(0, len(blocked), _AT_ONCE):
        await together([_look(backend, child) for child in blocked[start : start + _AT_ONCE]])
    return len(blocked)


async def _block(backend: Backend, child_id: str, parent_id: str) -> TaskRecord | None:
    """Block a task again if it is unreachable, and waited for this parent."""
    for _ in range(_TRIES):
        child = await backend.tasks.read_sound(child_id)
        if child is None or child.record.state not in _STUCK or parent_id not in child.record.pending:
            return None
        document = child.document
        if fallen := child.record.state is State.UNREACHABLE:
            await backend.links.mark(child_id)
            document = document.updated(blocked_again(child.record))
        try:
            written = await backend.tasks.write(document, child.sequence)
        except SequenceConflictError:
            continue
        if not fallen:
            return None
        now = backend.connection.clock.now()
        backend.bus.emit(state_change(written.record, now, sequence=written.sequence))
        return written.record
    return None


async def _look(backend: Backend, child: TaskRecord) -> None:
    """Take those parents out that have ended meanwhile, or long ago."""
    ends = await backend.dependents.ends_of_parents(child.pending)
    if ended := [end for end in ends.values() if end is not None]:
        await backend.dependents.settle(child.id, ended)
