"""
flow_events: what happens to the tasks of a flow, until all of them have ended.

Events say what happened. They may be lost, so that the end of the last task is not heard of: so records decide when it
is over, as they do for who waits (`client.flow_tracking`). A change of which no event came is not told.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Container
from contextlib import AsyncExitStack
from typing import Final

from jetq.client.clients import Clients
from jetq.client.event_stream import EventStream
from jetq.client.flow_tracking import FlowTracker
from jetq.jetstream.backend import Backend
from jetq.jetstream.event_reader import EventReader, EventsMissed
from jetq.jetstream.task_store import node_state
from jetq.model.flow_status import NodeState
from jetq.wire.event_filter import EventFilter
from jetq.wire.events import LeaderElectedEvent, TaskProgressEvent, TaskStateEvent
from jetq.wire.flows import FlowDocument

FlowEvent = TaskStateEvent | TaskProgressEvent
"""What happens to one task of a flow."""

_LATENESS: Final = 0.3
"""Seconds that events may come after the records that they tell of."""


async def follow_flow(stack: AsyncExitStack, backend: Backend, flow: FlowDocument) -> AsyncGenerator[FlowEvent, None]:
    """
    Begin to hear of the tasks of a flow; return what happens to them until all have ended.

    Args:
        stack: Gets what ends that.
        backend: Where they are.
        flow: It.

    Raises:
        ConnectionClosedError: While reading: this program closed the connection before that.
        PermissionDeniedError: While reading: the server does not permit to hear of tasks.
    """
    reader = await EventReader.open(backend.connection, backend.names, EventFilter(progress=True))
    stack.push_async_callback(reader.close)
    tracker = await stack.enter_async_context(FlowTracker(backend, [node.id for node in flow.nodes], node_state))
    events = _events(reader, tracker, {node.id for node in flow.nodes})
    stack.push_async_callback(events.aclose)
    return events


async def _events(
    reader: EventReader, tracker: FlowTracker[NodeState | None], nodes: Container[str]
) -> AsyncGenerator[FlowEvent, None]:
    ending = asyncio.get_running_loop().create_task(_until_over(tracker))
    try:
        async for event in _heard(reader, ending):
            if not isinstance(event, EventsMissed | LeaderElectedEvent) and event.task_id in nodes:
                yield event
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)


async def _until_over(tracker: FlowTracker[NodeState | None]) -> None:
    await tracker.wait(lambda: False, None)
    await asyncio.sleep(_LATENESS)


async def _heard(
    reader: EventReader, ending: "asyncio.Task[None]"
) -> AsyncGenerator[FlowEvent | LeaderElectedEvent | EventsMissed, None]:
    """Yield events until the end."""
    loop = asyncio.get_running_loop()
    reading = loop.create_task(reader.next())
    try:
        while True:
            await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                ending.result()
                return
            event = reading.result()
            if event is None:
                await ending  # it tells that the connection was closed
                return
            reading = loop.create_task(reader.next())
            yield event
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def flow_events(clients: Clients, flow: FlowDocument) -> EventStream[FlowEvent]:
    """Return what happens to the tasks of a flow, until all have ended."""

    async def source(stack: AsyncExitStack) -> AsyncIterator[FlowEvent]:
        return await follow_flow(stack, (await clients.current()).backend, flow)

    return EventStream(source)
