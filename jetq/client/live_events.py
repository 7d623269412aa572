"""
live_events: what happens in a namespace, over an application's connection or over one of their own.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from jetq.client.clients import Clients
from jetq.client.event_stream import EventStream
from jetq.jetstream.address import find_address
from jetq.jetstream.connection import Connection
from jetq.jetstream.event_reader import EventReader, ReadEvent
from jetq.model.quantity import seconds, whole
from jetq.settings import Settings
from jetq.wire.event_filter import EventFilter
from jetq.wire.names import Names


def shared_events(clients: Clients, wanted: EventFilter, *, buffer: int) -> EventStream[ReadEvent]:
    """Return the events that *wanted* matches, over the connection of the loop that reads them."""
    whole("buffer", buffer, least=1)

    async def source(stack: AsyncExitStack) -> AsyncIterator[ReadEvent]:
        backend = (await clients.current()).backend
        return await _read(stack, backend.connection, backend.names, wanted, buffer)

    return EventStream(source)


def own_events(settings: Settings, wanted: EventFilter, *, buffer: int) -> EventStream[ReadEvent]:
    """Return the events that *wanted* matches, over a connection that does nothing else, and needs no stream."""
    whole("buffer", buffer, least=1)

    async def source(stack: AsyncExitStack) -> AsyncIterator[ReadEvent]:
        timeouts = settings.connection
        connection = await Connection.open(
            find_address(timeouts),
            name="jetq events",
            connect_timeout=seconds("connect_timeout", timeouts.connect_timeout),
            request_timeout=seconds("request_timeout", timeouts.request_timeout),
        )
        await stack.enter_async_context(connection)
        return await _read(stack, connection, Names(settings.namespace), wanted, buffer)

    return EventStream(source)


async def _read(
    stack: AsyncExitStack, connection: Connection, names: Names, wanted: EventFilter, buffer: int
) -> AsyncIterator[ReadEvent]:
    reader = await EventReader.open(connection, names, wanted, buffer=buffer)
    stack.push_async_callback(reader.close)
    return aiter(reader)
