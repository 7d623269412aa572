"""Fixtures of tests with a server."""

from collections.abc import AsyncIterator

import pytest

from jetq.jetstream.backend import Backend
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event
from jetq.observe.bus import Bus
from jetq.settings import Queue, Settings


@pytest.fixture
def events() -> list[Event]:
    """Give the list of events that `backend` emits."""
    return []


@pytest.fixture
async def backend(server: EmbeddedServer, namespace: str, events: list[Event]) -> AsyncIterator[Backend]:
    """Give a backend with the default queue, in a namespace of its own."""
    bus = Bus()
    bus.listen(events.append)
    opened = await Backend.open(
        server.address,
        Settings(namespace=namespace),
        name="test",
        bus=bus,
        queues=[Queue("DEFAULT"), Queue("SMALL", max_entries=2)],
    )
    yield opened
    await opened.close()
