"""
flow_pass: what becomes of flows whose submitter is dead, and of those that are over.

A flow that is not committed five minutes after its submission began is aborted, and its tasks end ``abandoned``; its
submitter, if it lives, finds its commit refused. That a flow needs care is seen by the markers of its tasks, which name
it (`admin.blocked_pass` asks here for each); one that died before its first marker is found by the janitor, which goes
through all flows once in ten minutes. So thousands of flows that are over cost one request then, and nothing else: the
flows of all records are known from the janitor's census, and only a flow that no record names is looked at.

A flow is removed when the records of all its tasks are gone, and not within its first hour: until then its submitter
may have stalled, and a record may come late. Whatever stands there can be aborted, ended or removed again, at any time
and by several at once: the abort is a compare-and-swap, and so is each end.
"""

from collections.abc import Callable, Container
from datetime import timedelta
from typing import Final

from jetq.errors import MalformedFlowError
from jetq.jetstream.abandoning import abandon
from jetq.jetstream.backend import Backend
from jetq.jetstream.flow_store import StoredFlow
from jetq.jetstream.gathering import Gathering
from jetq.model.flow import FlowState
from jetq.observe.fault_points import Point, fault_point

SUBMITTED: Final = timedelta(minutes=5)
"""Within which a flow is stored."""
LATE: Final = timedelta(hours=1)
"""Within which a submitter that stalled may still write a record."""
_READ: Final = 200


class FlowPass:
    """
    Looks after flows.

    Args:
        backend: The server.
        submitted: Within which a flow is stored.
    """

    def __init__(self, backend: Backend, *, submitted: timedelta = SUBMITTED) -> None:
        self._backend = backend
        self._submitted = submitted
        self._committed: set[str] = set()
        """Those of which that is known; it never changes."""
        self._asked: set[str] = set()
        self._states: dict[str, FlowState | None] = {}
        self._looking: Gathering[None, FlowState | None] = Gathering(lambda flow_id, _: self._look(flow_id))

    def begin(self) -> None:
        """Begin a pass: forget what changes, and flows that nobody asked for in the last one."""
        self._states = {}
        self._committed &= self._asked
        self._asked = set()

    async def state(self, flow_id: str) -> FlowState | None:
        """
        Say how far a flow is stored, aborting it if its submitter must be dead; None if there is none.

        Raises:
            ServerError: No answer, or a refusal.
        """
        self._asked.add(flow_id)
        if flow_id in self._committed:
            return FlowState.COMMITTED
        if flow_id not in self._states:
            self._states[flow_id] = await self._looking.join(flow_id, None)
        return self._states[flow_id]

    async def _look(self, flow_id: str) -> FlowState | None:
        try:
            found = await self._backend.flows.read(flow_id)
        except MalformedFlowError:
            return FlowState.BUILDING  # of what nobody can read, nothing is released, and nothing ended
        if found is not None and found.state is FlowState.BUILDING and self._is_older(found, self._submitted):
            found = await self._abort(found)
        if found is not None and found.state is FlowState.COMMITTED:
            self._committed.add(flow_id)
        return None if found is None else found.state

    async def _abort(self, flow: StoredFlow) -> StoredFlow | None:
        found = await self._backend.flows.decide(flow, FlowState.ABORTED)
        fault_point(Point.FLOW_ABORTED)
        if found is not None and found.state is FlowState.ABORTED:
            await self._backend.know_store()
            await abandon(self._backend, found.document)
        return found

    def _is_older(self, flow: StoredFlow, age: timedelta) -> bool:
        return flow.written is not None and self._backend.connection.clock.now() - flow.written > age

    # all flows

    async def sweep(self, alive: Container[str], go_on: Callable[[], bool]) -> None:
        """
        Remove the flows that are over, and abort those that never came to be.

        Args:
            alive: The flows that records name.
            go_on: Asked now and then; False ends it.

        Raises:
            ServerError: No answer, or a refusal; the next time goes on.
        """
        flows = self._backend.flows
        listed, with_members = await flows.listed()
        for flow_id in listed:
            if flow_id not in alive and go_on():
                await self._remove_if_over(flow_id)
        known = set(listed)
        for flow_id in with_members:
            if flow_id not in known and flow_id not in alive and go_on():
                await flows.remove(flow_id)

    async def _remove_if_over(self, flow_id: str) -> None:
        try:
            found = await self._backend.flows.read(flow_id)
        except MalformedFlowError:
            return
        if found is None:
            return
        if found.state is FlowState.BUILDING:
            if self._is_older(found, self._submitted):
                await self._abort(found)
        elif self._is_older(found, LATE) and await self._is_over(found):
            await self._backend.flows.remove(flow_id)

    async def _is_over(self, flow: StoredFlow) -> bool:
        """Whether the records of all tasks are gone."""
        nodes = flow.document.nodes
        for start in range(0, len(nodes), _READ):
            found = await self._backend.tasks.read_many([node.id for node in nodes[start : start + _READ]])
            if any(stored is not None for stored in found):
                return False
        return True
