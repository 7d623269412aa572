"""Fixtures of all tests: a real nats-server, and names that no other test uses."""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from tests.servers import TestServer


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """Give the server of this run. It is shared: do not stop it, and keep to your namespace."""
    with EmbeddedServer.start() as running:
        yield running


@pytest.fixture
def namespace() -> str:
    """Give a namespace that nobody else uses."""
    return f"T{secrets.token_hex(4).upper()}"


@pytest.fixture
async def connection(server: EmbeddedServer) -> AsyncIterator[Connection]:
    """Give an open connection to the server of this run."""
    async with await Connection.open(server.address, name="test") as opened:
        yield opened


@pytest.fixture
def own_server() -> Iterator[TestServer]:
    """Give a server of this test's own, to restart, kill or freeze."""
    with TestServer.start() as running:
        yield running
