"""A worker tells of each of its connections."""

import asyncio

from jetq.app.application import App
from jetq.model.events import ConnectionLost, ConnectionRestored, Event
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS
from tests.servers import TestServer


async def test_both_connections_of_a_worker_are_told_by_what_they_are_for(
    own_server: TestServer, namespace: str, told: list[Event]
) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(own_server.address)
    app.bus.listen(told.append)

    def connections(kind: type[ConnectionLost | ConnectionRestored]) -> set[str]:
        return {event.connection for event in told if isinstance(event, kind)}

    async def are_back() -> bool:
        return connections(ConnectionRestored) == {"worker", "lease"}

    async with Worker(app, settings=SETTINGS):
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.run)
        await eventually(are_back)

    assert connections(ConnectionLost) == {"worker", "lease"}
