"""An application on the run's server, and what it did."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event
from jetq.settings import Queue, WorkerSettings

LEASE = 1.0
SETTINGS = WorkerSettings(concurrency=10, shutdown_timeout=5.0)


@pytest.fixture
def told() -> list[Event]:
    """Give the list of events of the application."""
    return []


@pytest.fixture
async def make_app(server: EmbeddedServer, namespace: str, told: list[Event]) -> AsyncIterator[Callable[[], App]]:
    """Give a maker of applications that share one namespace, with leases as short as they can be."""

    made: list[App] = []

    def make() -> App:
        app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE)])
        app.connect_to(server.address)
        app.bus.listen(told.append)
        made.append(app)
        return app

    yield make
    for app in made:
        await app.aclose()
        await asyncio.to_thread(app.close)  # some handlers call from threads


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application."""
    return make_app()
