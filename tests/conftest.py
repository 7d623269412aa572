"""Fixtures of all tests: a real nats-server, and names that no other test uses."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path

import pytest

from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from tests.servers import TestServer
from tests.turns import Run, Turns

FINDING = "finding"
"""A property of a test whose value is shown at the end of the run."""
_TEARDOWN = 5.0
"""Seconds of a test's time-out that are left for its fixtures."""


def pytest_configure(config: pytest.Config) -> None:
    """Let the tests of a run of many processes take turns, and let the programs that they start be interrupted."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script; programs would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Turns(Path(config.workerinput["turns"])))
    elif config.getoption("numprocesses", None):
        config.pluginmanager.register(Run())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Make ``-n auto`` one process more than there are processors: most tests wait most of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run at the end what runs alone: there the processes of a run wait for each other once, and not all the time."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests found out."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    found = sorted(value for report in reports for name, value in report.user_properties if name == FINDING)
    if found:
        terminalreporter.section("what was measured")
        for line in found:
            terminalreporter.write_line(line)


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
        os.kill(running.pid, signal.SIGKILL)  # a good end takes it many seconds, with the stores of all tests


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
