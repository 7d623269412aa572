"""
flow_inspector: look at flows, without changing anything.

A flow's message names its tasks, and their records say the rest. A list of flows reads those records one by one while
they are few, and else goes through the store once, which is the quicker way to many.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from jetq.errors import MalformedFlowError, MalformedRecordError, UnknownFlowError
from jetq.jetstream.backend import Backend
from jetq.jetstream.flow_store import StoredFlow
from jetq.jetstream.gathering import together
from jetq.jetstream.record_scan import ScannedRecord, measure_store, scan_records
from jetq.jetstream.task_store import Stored, node_state
from jetq.model.flow_status import FlowStatus, NodeState, status_of
from jetq.model.name import check_name
from jetq.wire.flows import FlowDocument
from jetq.wire.summary import decode_summary

DEFAULT_LIMIT: Final = 50
"""Flows in a list that asks for no number."""
_FEW: Final = 2000
"""Records that are read one by one."""
_AT_ONCE: Final = 20


class FlowSummary(Struct, frozen=True):
    """A line of a list of flows; *created* is when its submission began."""

    id: str
    name: str
    created: datetime
    status: FlowStatus


class FlowListing(Struct, frozen=True):
    """
    Flows, the latest first.

    Attributes:
        flows: They.
        total: How many there are in all.
    """

    flows: list[FlowSummary]
    total: int


class FlowView(Struct, frozen=True):
    """
    A flow with its tasks.

    Attributes:
        document: The flow.
        records: Its tasks' records, by position; None for one that is gone.
        enqueued: The records of the tasks that its tasks enqueued, as far as they are there.
    """

    document: FlowDocument
    records: list[Stored | None]
    enqueued: list[Stored]

    @property
    def status(self) -> FlowStatus:
        """Where it stands."""
        return status_of(self.document.state, [*map(node_state, self.records)], self.document.leaves)


class FlowInspector:
    """
    Looks at flows.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def find(self, flow_id: str) -> StoredFlow:
        """
        Read a flow.

        Raises:
            InvalidNameError: No flow can have this id.
            UnknownFlowError: There is none.
            MalformedFlowError: What stands there is no flow.
            ServerError: No answer, or a refusal.
        """
        found = await self._backend.flows.read(check_name("flow id", flow_id))
        if found is None:
            raise UnknownFlowError(flow_id)
        return found

    async def view(self, flow_id: str) -> FlowView:
        """Read a flow with its tasks, from the leader; see :meth:`find` for what it raises."""
        document = (await self.find(flow_id)).document
        tasks = self._backend.tasks
        records = await tasks.read_many([node.id for node in document.nodes])
        members = await tasks.read_many(await self._backend.flows.members(flow_id))
        return FlowView(document, records, [stored for stored in members if stored is not None])

    async def list_flows(self, *, limit: int = DEFAULT_LIMIT) -> FlowListing:
        """
        List flows, the latest first.

        Args:
            limit: So many at most; 0 is all.

        Raises:
            ServerError: No answer, or a refusal.
        """
        ids = sorted((await self._backend.flows.listed())[0], reverse=True)
        chosen = ids[:limit] if limit else ids
        found: list[FlowDocument] = []
        for start in range(0, len(chosen), _AT_ONCE):
            read = await together([self._read(flow_id) for flow_id in chosen[start : start + _AT_ONCE]])
            found += [document for document in read if document is not None]
        states = await self._states(found)
        flows = [
            FlowSummary(
                document.id,
                document.name,
                document.created,
                status_of(document.state, [states.get(node.id) for node in document.nodes], document.leaves),
            )
            for document in found
        ]
        return FlowListing(flows, len(ids))

    async def _read(self, flow_id: str) -> FlowDocument | None:
        try:
            found = await self._backend.flows.read(flow_id)
        except MalformedFlowError:
            return None
        return None if found is None else found.document

    async def _states(self, flows: Sequence[FlowDocument]) -> dict[str, NodeState]:
        """Return where the tasks of flows stand, by id, of those that are there."""
        ids = [node.id for flow in flows for node in flow.nodes]
        if len(ids) <= _FEW:
            read = await self._backend.tasks.read_each(ids, node_state)
            return {task_id: state for task_id, state in zip(ids, read, strict=True) if state is not None}
        wanted = {flow.id for flow in flows}
        states: dict[str, NodeState] = {}

        def visit(entry: ScannedRecord) -> None:
            try:
                task = decode_summary(entry.task_id, entry.data)
            except MalformedRecordError:
                return
            if task.flow in wanted:
                states[task.id] = NodeState(task.state, task.due is not None, task.end)

        connection, names = self._backend.connection, self._backend.names
        extent = await measure_store(connection, names)
        await scan_records(connection, names, visit, first=1, last=extent.last)
        now = await measure_store(connection, names)
        await scan_records(connection, names, visit, first=extent.last + 1, last=now.last)
        return states
