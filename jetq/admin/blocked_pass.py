"""
blocked_pass: look after tasks that wait for others, by their markers.

Most of the time whoever ends a parent tells its children (`jetstream.dependents`). This pass is for what nobody tells:
a parent that a Go program ran, that expired from the store or was removed by hand, and what crashes left half-way. It
costs two requests while no task is blocked, and some for each that is.

A parent that is gone has failed its children. In a flow that is being stored that is too early to say, since children
are stored before their parents; so the tasks of such a flow are left alone until it is committed or aborted
(`admin.flow_pass`). Then those that wait for the flow itself are released, or ended.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from jetq.admin.flow_pass import LATE, FlowPass
from jetq.errors import MalformedRecordError
from jetq.jetstream.abandoning import abandon_one
from jetq.jetstream.backend import Backend
from jetq.jetstream.gathering import together
from jetq.jetstream.stream_message import StreamMessage
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import GONE, ParentEnd
from jetq.model.flow import FlowState
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.wire.flows import flow_of_marker

_AT_ONCE: Final = 50
_OLD_MARKER: Final = timedelta(seconds=60)
"""A younger marker may be of an enqueue, or of a retry, that has not written the blocked record yet."""


class BlockedPass:
    """
    Makes passes over the markers.

    Args:
        backend: The server.
        flows: Knows what becomes of flows.
    """

    def __init__(self, backend: Backend, flows: FlowPass | None = None) -> None:
        self._backend = backend
        self._flows = flows or FlowPass(backend)
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
        self._flows.begin()
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
        age = self._age(marker)  # before the record as well: a pass that sleeps concludes nothing
        flow_id = flow_of_marker(marker.data)
        flow = await self._flows.state(flow_id) if flow_id else FlowState.COMMITTED
        if flow is FlowState.BUILDING:
            return
        stored = await self._read(task_id)
        if stored is None:
            if age > (LATE if flow is FlowState.ABORTED else _OLD_MARKER):
                await links.unmark(task_id, through=marker.seq)
        elif stored.record.state is not State.BLOCKED:
            await dependents.settle(task_id)
            if stored.record.is_final and age > _OLD_MARKER:
                await links.unmark(task_id, through=marker.seq)
        elif flow is FlowState.ABORTED:
            await abandon_one(self._backend, task_id, flow_id)
        elif flow_id and flow_id in stored.record.pending:
            await self._begin(stored.record, marker, flow)
        elif ended := await self._ended(stored.record):
            await dependents.settle(task_id, ended)

    async def _begin(self, root: TaskRecord, marker: StreamMessage, flow: FlowState | None) -> None:
        """Release a task that waits for its flow; end it if nothing is left of that."""
        if flow is FlowState.COMMITTED:
            dependents, committed = self._backend.dependents, ParentEnd(root.flow, State.COMPLETE)
            await dependents.settle(root.id, [committed])
            others = [parent for parent in root.pending if parent != root.flow]
            ends = await dependents.ends_of_parents(others)  # after that: before it, failures did not count
            if ended := [end for end in ends.values() if end is not None]:
                await dependents.settle(root.id, ended)
        elif self._age(marker) > _OLD_MARKER:
            await abandon_one(self._backend, root.id, root.flow)

    async def _ended(self, child: TaskRecord) -> list[ParentEnd]:
        """Return what those came to that a task waits for, of those that ended."""
        unknown = [parent for parent in child.pending if parent not in self._ends]
        self._ends.update(await self._backend.dependents.ends_of_parents(unknown))
        ends = [self._ends[parent] for parent in child.pending]
        return [end for end in ends if end is not None]

    def _age(self, marker: StreamMessage) -> timedelta:
        return self._backend.connection.clock.now() - marker.time

    async def _read(self, task_id: str) -> Stored | None:
        try:
            return await self._backend.tasks.read(task_id)
        except MalformedRecordError:
            return None
