"""
blocked_pass: look after tasks that wait for others, by their markers.

Most of the time whoever ends a parent tells its children (`jetstream.dependents`). This pass is for what nobody tells:
a parent that a Go program ran, that expired from the store or was removed by hand, and what crashes left half-way. It
costs two requests while no task is blocked, and some for each that is.

A parent that is gone has failed its children. In a flow that may be too early to say, since its children are stored
before their parents; so a parent is missed only when its child has been there for longer than storing a flow takes.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from jetq.errors import MalformedRecordError
from jetq.jetstream.backend import Backend
from jetq.jetstream.gathering import together
from jetq.jetstream.stream_message import StreamMessage
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import GONE, ParentEnd
from jetq.model.record import TaskRecord
from jetq.model.state import State

_AT_ONCE: Final = 50
_OLD_MARKER: Final = timedelta(seconds=60)
"""A younger marker without a record may be of an enqueue that is under way."""
_FLOW_STORED: Final = timedelta(minutes=5)
"""Within which a flow is stored."""


class BlockedPass:
    """
    Makes passes over the markers.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._ends: dict[str, ParentEnd | None] = {}
        """What parents came to that were looked at in this pass: very many tasks may wait for one."""

    async def run(self, go_on: Callable[[], bool]) -> int:
        """
        Make a pass, and return how many markers there were.

        Args:
            go_on: Asked now and then; False ends the pass.

        Raises:
            TopologyError: There is no task store.
            ServerError: No answer, or a refusal; the next pass goes on.
        """
        backend = self._backend
        self._ends = {}
        marked = await backend.links.marked()
        if marked:
            await backend.know_store()
        for start in range(0, len(marked), _AT_ONCE):
            if not go_on():
                break
            await together([self._look_at(task_id) for task_id in marked[start : start + _AT_ONCE]])
        await self._remove_edges()
        return len(marked)

    async def _remove_edges(self) -> None:
        """Remove edges that lead from tasks that are done, or gone; those of others may be asked for again."""
        links = self._backend.links
        ends = await self._backend.dependents.ends_of_parents(await links.parents_with_edges())
        for parent, end in ends.items():
            if end is not None and (end.is_complete or end.state == GONE):
                await links.remove_edges(parent=parent)

    async def _look_at(self, task_id: str) -> None:
        links, dependents = self._backend.links, self._backend.dependents
        marker = await links.marker(task_id)  # before the record: who blocks the task again marks it anew
        if marker is None:
            return
        stored = await self._read(task_id)
        if stored is None:
            if self._age(marker) > _OLD_MARKER:
                await links.unmark(task_id, through=marker.seq)
        elif stored.record.state is not State.BLOCKED:
            await dependents.settle(task_id)
        elif ended := await self._ended(stored.record, marker):
            await dependents.settle(task_id, ended)

    async def _ended(self, child: TaskRecord, marker: StreamMessage) -> list[ParentEnd]:
        """Return what those came to that a task waits for, of those that ended."""
        parents = [parent for parent in child.pending if parent != child.flow]
        unknown = [parent for parent in parents if parent not in self._ends]
        self._ends.update(await self._backend.dependents.ends_of_parents(unknown))
        may_be_missed = not child.flow or self._age(marker) > _FLOW_STORED
        ends = [self._ends[parent] for parent in parents]
        return [end for end in ends if end is not None and (end.state != GONE or may_be_missed)]

    def _age(self, marker: StreamMessage) -> timedelta:
        return self._backend.connection.clock.now() - marker.time

    async def _read(self, task_id: str) -> Stored | None:
        try:
            return await self._backend.tasks.read(task_id)
        except MalformedRecordError:
            return None
