"""Delayed tasks and idle workers around a restart of the server, which does not link again what feeds the queues."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from jetq.app.application import App
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.settings import Queue, WorkerSettings
from jetq.wire.names import Names
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.servers import TestServer

pytestmark = pytest.mark.timeout(60)

QUICKLY = 2.0
"""Seconds from when the server takes connections again until all goes on."""
AWAY = 4.0
"""Seconds after which who connects again has come to the longest wait between two attempts."""
IDLE = 8
MANY = 2000
ENOUGH = 6.0
"""Seconds for the rest of them; the server alone would take ten before it went on."""


def _stop(server: TestServer) -> None:
    server.restart()


def _kill(server: TestServer) -> None:
    server.kill()
    server.run()


def _stay_away(server: TestServer) -> None:
    server.kill()
    time.sleep(AWAY)
    server.run()


Restart = Callable[[TestServer], None]
RESTARTS = pytest.mark.parametrize("restart", [_stop, _kill], ids=["stopped", "killed"])


class Ran:
    """An application whose task notes when it ran, and on which connection to look."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.times: dict[int, float] = {}
        self.counts: Counter[int] = Counter()

        @app.task("note")
        async def note(number: int, seconds: float = 0.0) -> None:
            self.times.setdefault(number, time.monotonic())
            self.counts[number] += 1
            await asyncio.sleep(seconds)

        self.note = note

    async def saw(self, *numbers: int) -> None:
        """Wait until the tasks have run."""

        async def is_so() -> bool:
            return all(number in self.times for number in numbers)

        await eventually(is_so)


@pytest.fixture
async def ran(own_server: TestServer, namespace: str) -> AsyncIterator[Ran]:
    """Give an application on a server of this test's own."""
    app = App("links", namespace=namespace, queues=[Queue("DEFAULT", lease=2.0, max_concurrent=MANY)])
    app.connect_to(Address.of(own_server.url))
    yield Ran(app)
    await app.aclose()


async def nothing_waits(connection: Connection, stream: str) -> None:
    """Wait until a stream is empty."""

    async def is_empty() -> bool:
        return (await connection.api(f"STREAM.INFO.{stream}"))["state"]["messages"] == 0

    await eventually(is_empty)


@RESTARTS
async def test_what_falls_due_after_a_restart_is_on_time_each_time(
    ran: Ran, own_server: TestServer, restart: Restart
) -> None:
    async with Worker(ran.app, settings=WorkerSettings(concurrency=4)):
        await ran.app.aenqueue("note", {"number": 0}, delay=0.2)
        await ran.saw(0)
        for number in (1, 2, 3):
            await ran.app.aenqueue("note", {"number": number}, delay=1.0)
            await asyncio.to_thread(restart, own_server)
            back = time.monotonic()
            await ran.saw(number)
            assert ran.times[number] - back < QUICKLY


async def test_a_worker_that_starts_with_the_server_gets_what_falls_due(ran: Ran, own_server: TestServer) -> None:
    async with Worker(ran.app, settings=WorkerSettings(concurrency=4)):
        await ran.app.aenqueue("note", {"number": 0}, delay=0.2)
        await ran.saw(0)
    await ran.app.aenqueue("note", {"number": 1}, delay=0.5)
    await ran.app.aclose()
    _stop(own_server)
    back = time.monotonic()
    async with Worker(ran.app, settings=WorkerSettings(concurrency=4)):
        await ran.saw(1)
    assert ran.times[1] - back < QUICKLY


@RESTARTS
async def test_a_restart_amid_many_delayed_tasks_loses_none_and_runs_none_twice(
    ran: Ran, own_server: TestServer, namespace: str, restart: Restart
) -> None:
    async with Worker(ran.app, settings=WorkerSettings(concurrency=50)):
        begin = datetime.now(UTC) + timedelta(seconds=2)
        dues = [begin + timedelta(seconds=3) * number / MANY for number in range(MANY)]
        await ran.app.aenqueue_many(ran.note.using(run_at=due).s(number) for number, due in enumerate(dues))
        await ran.saw(MANY // 4)
        await asyncio.to_thread(restart, own_server)
        back = time.monotonic()
        await ran.saw(*range(MANY))
        assert max(ran.times.values()) - back < ENOUGH
        async with await Connection.open(own_server.address, name="test") as connection:
            await nothing_waits(connection, Names(namespace).schedules)
            await nothing_waits(connection, Names(namespace).queue("DEFAULT"))
        assert set(ran.counts) == set(range(MANY))
        assert set(ran.counts.values()) == {1}


@RESTARTS
async def test_what_came_to_its_queue_right_before_a_restart_runs_once(
    ran: Ran, own_server: TestServer, namespace: str, restart: Restart
) -> None:
    async with AsyncExitStack() as workers:
        for _ in range(2):
            await workers.enter_async_context(Worker(ran.app, settings=WorkerSettings(concurrency=4)))
        handles = [await ran.app.aenqueue("note", {"number": n, "seconds": 0.8 * n}, delay=0.2) for n in range(4)]
        await ran.saw(*range(4))
        await asyncio.to_thread(restart, own_server)
        await asyncio.gather(*(handle.aresult(20) for handle in handles))
        async with await Connection.open(own_server.address, name="test") as connection:
            await nothing_waits(connection, Names(namespace).schedules)
            await nothing_waits(connection, Names(namespace).queue("DEFAULT"))

    assert ran.counts == dict.fromkeys(range(4), 1)


@pytest.mark.parametrize("restart", [_stop, _kill, _stay_away], ids=["stopped", "killed", "away"])
async def test_each_idle_worker_takes_a_task_soon_after_a_restart(
    ran: Ran, own_server: TestServer, restart: Restart
) -> None:
    async with AsyncExitStack() as workers:
        for _ in range(IDLE):
            await workers.enter_async_context(Worker(ran.app, settings=WorkerSettings(concurrency=1)))
        await asyncio.to_thread(restart, own_server)
        back = time.monotonic()
        for number in range(IDLE):
            await ran.app.aenqueue("note", {"number": number, "seconds": 3.0})
        await ran.saw(*range(IDLE))
        assert max(ran.times.values()) - back < QUICKLY
