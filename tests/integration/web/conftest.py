"""The HTTP API of an application on the run's server."""

from collections.abc import AsyncIterator

import pytest

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from jetq.settings import Queue
from jetq.web.api import http_api
from tests.integration.web.calling import Caller

HOST = {"host": "127.0.0.1:8080"}


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    """Give an application with a handler that has options of its own."""
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT"), Queue("MAIL")])
    app.connect_to(server.address)

    @app.task("email:new", queue="MAIL", max_tries=3, deadline=60)
    async def email(to: str) -> str:
        return to

    yield app
    await app.aclose()


@pytest.fixture
def api(app: App) -> Caller:
    """Give a caller of its API."""
    return Caller(http_api(app, local=True), HOST)
