"""Producers and waiters over a server that is away."""

import asyncio
import time

import pytest

from jetq.app.application import App
from jetq.errors import EnqueueTimeoutError, ResultTimeoutError
from jetq.settings import RESULT_POLL, ConnectionSettings, Settings
from jetq.worker.worker import Worker
from tests.servers import TestServer


async def test_many_tasks_wait_for_a_silent_server_together(own_server: TestServer, namespace: str) -> None:
    app = App("test", settings=Settings(namespace=namespace, enqueue_timeout=0.5))
    app.connect_to(own_server.address)
    async with app:
        await app.aenqueue("x:y")
        own_server.freeze()
        began = time.monotonic()
        outcomes = await app.aenqueue_many([("x:y", None)] * 50, errors="return")
        took = time.monotonic() - began
        own_server.thaw()

    assert {type(outcome) for outcome in outcomes} == {EnqueueTimeoutError}
    assert took < 5


async def test_a_result_is_waited_for_while_the_server_is_away(own_server: TestServer, namespace: str) -> None:
    connection = ConnectionSettings(request_timeout=0.5)
    app = App("test", settings=Settings(namespace=namespace, connection=connection))
    app.connect_to(own_server.address)

    @app.task("five")
    async def five() -> int:
        return 5

    async with app:
        handle = await five.aenqueue()
        waiting = asyncio.create_task(handle.aresult(25))
        await asyncio.to_thread(own_server.kill)
        await asyncio.sleep(RESULT_POLL + 1)
        await asyncio.to_thread(own_server.run)
        async with Worker(app):
            assert await waiting == 5


async def test_who_waits_for_a_silent_server_waits_no_longer_than_wanted(
    own_server: TestServer, namespace: str
) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(own_server.address)
    async with app:
        handle = await app.aenqueue("x:y")
        own_server.freeze()
        began = time.monotonic()
        with pytest.raises(ResultTimeoutError):
            await handle.aresult(1)
        took = time.monotonic() - began
        own_server.thaw()

    assert took < 3
