"""Fixtures of all tests: a real nats-server, and names that no other test uses."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from inspect import iscoroutinefunction

import pytest

from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from tests.servers import TestServer

_TEARDOWN = 5.0
"""Seconds of a test's time-out that are left for its fixtures."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """
    End an async test that hangs, some seconds before its time-out.

    pytest-timeout leaves such a test pending, and the teardown of its fixtures would wait for it for ever.
    """
    if isinstance(item, pytest.Function) and iscoroutinefunction(item.obj):
        marker = item.get_closest_marker("timeout")
        limit = float(marker.args[0] if marker else item.config.getoption("timeout") or item.config.getini("timeout"))
        item.obj = _bounded(item.obj, limit - _TEARDOWN)


def _bounded(test: Callable[..., Awaitable[None]], limit: float) -> Callable[..., Awaitable[None]]:
    @wraps(test)
    async def run(*args: object, **kwargs: object) -> None:
        async with asyncio.timeout(limit):
            await test(*args, **kwargs)

    return run


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
