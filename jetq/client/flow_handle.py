"""
flow_handle: one flow, in the hands of who submitted it, or of who knows its id.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.event_stream import EventStream
from jetq.client.flow_cancelling import CancelledFlow, cancel_flow
from jetq.client.flow_events import FlowEvent, flow_events
from jetq.client.flow_tracking import FlowTracker
from jetq.client.handle import TaskHandle, Timeout, failure
from jetq.errors import FlowAbandonedError, FlowTimeoutError, ResultGoneError, UnknownFlowError
from jetq.jetstream.flow_store import StoredFlow
from jetq.jetstream.task_store import Stored, node_state
from jetq.model.flow import FlowState
from jetq.model.flow_status import FlowStatus, status_of
from jetq.model.quantity import seconds
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.routing.values import decode_value
from jetq.wire.flows import FlowDocument, assembled

R_co = TypeVar("R_co", covariant=True)
Decoder = Callable[[bytes], Any]
_BUILDING_POLL = 0.2


class FlowHandle(Generic[R_co]):
    """
    A flow's id, its tasks, what can be asked about the flow, and what can be done to it.

    Args:
        flow: As it is stored.
        clients: Of the application.
        decoders: Of each task, by position, what reads its result; empty for plain JSON.

    Attributes:
        id: The flow's id; every record of its tasks has it.
        name: Its name; may be empty.
    """

    def __init__(self, flow: StoredFlow, *, clients: Clients, decoders: Sequence[Decoder] = ()) -> None:
        self.id = flow.id
        self.name = flow.document.name
        self._document = flow.document
        self._clients = clients
        self._decoders = decoders

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"<FlowHandle{name} {self.id} of {len(self._document.nodes):,} tasks>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlowHandle) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __len__(self) -> int:
        return len(self._document.nodes)

    def __getitem__(self, name: str) -> TaskHandle[Any]:
        """
        Return the handle of a task by its name in the flow.

        Raises:
            KeyError: There is none of this name.
        """
        return self.nodes[name]

    @cached_property
    def nodes(self) -> Mapping[str, TaskHandle[Any]]:
        """The handles of all tasks by their names in the flow, each after those that it depends on."""
        document = self._document
        return MappingProxyType(
            {
                node.name: TaskHandle(
                    node.id,
                    document.kind_of(position).type,
                    document.kind_of(position).queue,
                    clients=self._clients,
                    decode=self._decoder(position),
                )
                for position, node in enumerate(document.nodes)
            }
        )

    def events(self) -> EventStream[FlowEvent]:
        """
        Follow the tasks from now on until all have ended: ``async for event in handle.events()``, or ``for``.

        Raises:
            ConnectionClosedError: While reading: this program closed the application before that.
            ServerError: While reading: a refusal.
        """
        return flow_events(self._clients, self._document)

    def _decoder(self, position: int) -> Decoder:
        return self._decoders[position] if self._decoders else decode_value

    # asynchronous

    async def aresult(self, timeout: Timeout = None) -> R_co:
        """
        Wait for the flow's result: of a chain the last task's, of a group a list, of a :class:`Flow` an object.

        Nothing is waited for any more once a task fails without which there is no result.

        Args:
            timeout: Seconds or timedelta; None waits for ever.

        Raises:
            TaskFailedError: There is no result, since this task failed: the one where it began, not one that became
                unreachable by it. Its ``node`` is the task's name in the flow.
            FlowTimeoutError: It was not there in time; the flow goes on.
            ResultGoneError: The record of a task that is needed for it is gone.
            FlowAbandonedError: The flow was not stored completely, and never runs.
            ConnectionClosedError: This program closed the application meanwhile.
        """
        return await self._result(await self._clients.current(), timeout)

    async def await_end(self, timeout: Timeout = None) -> FlowStatus:
        """
        Wait until all tasks have ended, however they do.

        Args:
            timeout: Seconds or timedelta; None waits for ever.

        Raises:
            FlowTimeoutError: They had not ended in time; the flow goes on.
            FlowAbandonedError: The flow was not stored completely, and never runs.
            ConnectionClosedError: This program closed the application meanwhile.
        """
        return await self._wait(await self._clients.current(), timeout)

    async def astate(self) -> str:
        """
        Say where the flow stands: ``running``, ``complete``, ``failed``, ``cancelled``, ``building``, ``abandoned``.

        It is complete when those tasks are on which none depends; see :class:`jetq.FlowStatus`. What its tasks enqueue
        while they run does not count.

        Raises:
            UnknownFlowError: There is no such flow (any more).
        """
        return (await self.astatus()).state

    async def astatus(self) -> FlowStatus:
        """
        Say where the flow stands, and how many of its tasks are in which state. Reads all their records.

        Raises:
            UnknownFlowError: There is no such flow (any more).
        """
        return await self._status(await self._clients.current())

    async def acancel(self, *, by: str = "", running: bool = False) -> CancelledFlow:
        """
        Cancel what has not run, also what tasks of the flow enqueued.

        Args:
            by: Who wants that; kept in the records.
            running: Ask the workers of those that run to stop them as well.

        Raises:
            UnknownFlowError: There is no such flow (any more).
            ServerError: No answer, or a refusal; some tasks may be cancelled. It may be repeated.
        """
        return await self._cancel(await self._clients.current(), by, running=running)

    # blocking

    def result(self, timeout: Timeout = None) -> R_co:
        """Wait for the flow's result; blocking :meth:`aresult`."""
        forbid_in_loop("result", "aresult")
        return self._clients.blocking(lambda client: self._result(client, timeout))

    def wait(self, timeout: Timeout = None) -> FlowStatus:
        """Wait until all tasks have ended, however they do; blocking :meth:`await_end`."""
        forbid_in_loop("wait", "await_end")
        return self._clients.blocking(lambda client: self._wait(client, timeout))

    def state(self) -> str:
        """Say where the flow stands; blocking :meth:`astate`."""
        forbid_in_loop("state", "astate")
        return self._clients.blocking(self._status).state

    def status(self) -> FlowStatus:
        """Say where the flow stands, and how many of its tasks are in which state; blocking :meth:`astatus`."""
        forbid_in_loop("status", "astatus")
        return self._clients.blocking(self._status)

    def cancel(self, *, by: str = "", running: bool = False) -> CancelledFlow:
        """Cancel what has not run; blocking :meth:`acancel`."""
        forbid_in_loop("cancel", "acancel")
        return self._clients.blocking(lambda client: self._cancel(client, by, running=running))

    # one body for each, in whatever loop

    async def _result(self, client: Client, timeout: Timeout) -> R_co:
        limit, deadline = _deadline(timeout)
        document = await self._committed(client, limit, deadline)
        wanted = {document.nodes[position].id: position for position in document.wanted}
        async with FlowTracker(client.backend, [*wanted], _whole) as tracker:

            def is_decided() -> bool:
                return any(stored is None or _failed(stored) for stored in tracker.ended.values())

            if not await tracker.wait(is_decided, deadline):
                raise FlowTimeoutError(self.id, limit or 0.0, tracker.left, self.name)
            if failed := [stored for stored in tracker.ended.values() if stored is not None and _failed(stored)]:
                raise await self._failure(client, document, failed)
            values: dict[int, Any] = {}
            for task_id, stored in tracker.ended.items():
                if stored is None:
                    raise ResultGoneError(task_id)
                values[wanted[task_id]] = self._value(wanted[task_id], stored.record)
        result: Any
        if document.keyed:
            result = {document.nodes[leaf].name: values[leaf] for leaf in document.leaves}
        else:
            result = assembled(document.result, values)
        return cast("R_co", result)

    def _value(self, position: int, record: TaskRecord) -> Any:
        return self._decoder(position)(b"null" if record.result is None else bytes(record.result.payload))

    async def _failure(self, client: Client, document: FlowDocument, failed: Sequence[Stored]) -> Exception:
        """Return the error of the task that failed first, of those by which there is no result."""
        origins, todo, seen = list[Stored](), [*failed], {stored.record.id for stored in failed}
        while todo:
            origins += [stored for stored in todo if stored.record.state is not State.UNREACHABLE]
            stuck = [stored.record for stored in todo if stored.record.state is State.UNREACHABLE]
            parents = dict.fromkeys(parent for record in stuck for parent in record.pending if parent not in seen)
            seen.update(parents)
            found = await client.backend.tasks.read_many([*parents])
            todo = [stored for stored in found if stored is not None and _failed(stored)]
        first = min(origins or failed, key=lambda stored: (stored.written is None, stored.written))
        names = {node.id: node.name for node in document.nodes}
        return failure(first.record, node=names.get(first.record.id, ""))

    async def _wait(self, client: Client, timeout: Timeout) -> FlowStatus:
        limit, deadline = _deadline(timeout)
        document = await self._committed(client, limit, deadline)
        async with FlowTracker(client.backend, [node.id for node in document.nodes], node_state) as tracker:
            if not await tracker.wait(lambda: False, deadline):
                raise FlowTimeoutError(self.id, limit or 0.0, tracker.left, self.name)
            nodes = [tracker.ended[node.id] for node in document.nodes]
        return status_of(document.state, nodes, document.leaves)

    async def _status(self, client: Client) -> FlowStatus:
        document = await self._current(client)
        found = await client.backend.tasks.read_each([node.id for node in document.nodes], node_state)
        return status_of(document.state, found, document.leaves)

    async def _cancel(self, client: Client, by: str, *, running: bool) -> CancelledFlow:
        document = await self._current(client)
        return await cancel_flow(client.backend, client.operations, document, by=by, running=running)

    async def _current(self, client: Client) -> FlowDocument:
        """Return what is stored of the flow; once it is committed it changes no more."""
        if self._document.state is not FlowState.COMMITTED:
            found = await client.backend.flows.read(self.id)
            if found is None:
                raise UnknownFlowError(self.id)
            self._document = found.document
        return self._document

    async def _committed(self, client: Client, limit: float | None, deadline: float | None) -> FlowDocument:
        """Wait until the flow is stored."""
        loop = asyncio.get_running_loop()
        while True:
            document = await self._current(client)
            if document.state is FlowState.COMMITTED:
                return document
            if document.state is FlowState.ABORTED:
                raise FlowAbandonedError(self.id, self.name)
            if deadline is not None and loop.time() >= deadline:
                raise FlowTimeoutError(self.id, limit or 0.0, len(document.nodes), self.name)
            await asyncio.sleep(_BUILDING_POLL)


def _deadline(timeout: float | timedelta | None) -> tuple[float | None, float | None]:
    """Return a time-out in seconds, and when it is over by the loop's time."""
    if timeout is None:
        return None, None
    limit = seconds("timeout", timeout)
    return limit, asyncio.get_running_loop().time() + limit


def _failed(stored: Stored) -> bool:
    return stored.record.is_final and stored.record.state is not State.COMPLETE


def _whole(stored: Stored | None) -> Stored | None:
    return stored
