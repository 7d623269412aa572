"""A worker that takes no tasks, though it should, says so and mends what it can."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jetq.app.application import App
from jetq.jetstream.address import find_address
from jetq.jetstream.connection import Connection
from jetq.jetstream.lookup import find_consumer
from jetq.model.events import Event
from jetq.model.serving import FetchingRestored, FetchingStalled
from jetq.settings import ConnectionSettings, Queue
from jetq.wire.names import WORKERS
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS
from tests.servers import TestServer


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watchdog look often."""
    monkeypatch.setattr("jetq.worker.watchdog._EVERY", 0.3)


class Proxy:
    """Stands between clients and a server, and may stop to hand on what is said on the connections that it has."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._swallowed: set[int] = set()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def swallow(self) -> None:
        """Hand on nothing any more of the connections that there are; new ones are well."""
        self._swallowed = set(range(self._connections))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._connections = self._connections, self._connections + 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, far_writer]
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pass(number, source, target))
            self._tasks.add(task)

    async def _pass(self, number: int, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if number not in self._swallowed:
                    target.write(data)
        if number not in self._swallowed:
            target.close()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


@pytest.fixture
async def proxy(own_server: TestServer) -> AsyncIterator[Proxy]:
    made = Proxy(own_server.port)
    yield made
    await made.stop()


async def _told(told: list[Event], kind: type[Event]) -> None:
    async def found() -> bool:
        return any(isinstance(event, kind) for event in told)

    await eventually(found)


async def test_a_consumer_that_was_removed_is_noticed_told_and_made_again(app: App, told: list[Event]) -> None:
    @app.task("quick")
    async def quick() -> str:
        return "ran"

    async with Worker(app, settings=SETTINGS) as worker:
        backend = (await app.clients.current()).backend
        await (await quick.aenqueue()).await_end(10)
        assert worker.condition.health().ready
        await backend.connection.api(f"CONSUMER.DELETE.{backend.names.queue('DEFAULT')}.{WORKERS}")
        handle = await quick.aenqueue()

        await _told(told, FetchingStalled)
        stalled = worker.condition.health()
        assert await handle.aresult(20) == "ran"
        await _told(told, FetchingRestored)

        assert (stalled.live, stalled.ready) == (True, False)
        assert stalled.reasons == [
            "tasks wait in DEFAULT, slots are free, and nothing arrives: the queue, or its consumer, is gone"
        ]
        assert worker.condition.health().ready
    assert [event.queue for event in told if isinstance(event, FetchingStalled)] == ["DEFAULT"]


async def test_a_connection_that_swallows_everything_is_made_anew(
    own_server: TestServer, proxy: Proxy, told: list[Event]
) -> None:
    port = await proxy.start()
    servers = own_server.url.replace(str(own_server.port), str(port))
    app = App("test", queues=[Queue("DEFAULT", lease=1)])
    app.connect_to(find_address(ConnectionSettings(servers=servers)))
    app.bus.listen(told.append)
    producer = App("producer")
    producer.connect_to(own_server.address)

    @app.task("quick")
    async def quick() -> str:
        return "ran"

    async with Worker(app, settings=SETTINGS) as worker:
        proxy.swallow()
        handle = await producer.aenqueue("quick")
        assert await handle.aresult(20) == "ran"
        await _told(told, FetchingRestored)
        stalled = [event for event in told if isinstance(event, FetchingStalled)]

        assert [event.reason for event in stalled] == ["the server does not answer"]
        assert not worker.condition.stalled
    await app.aclose()
    await producer.aclose()


async def test_a_paused_or_full_queue_is_nothing_to_worry_about(
    app: App, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    started, over = asyncio.Event(), asyncio.Event()
    looks: list[str] = []

    async def look(connection: Connection, stream: str) -> dict[str, Any] | None:
        looks.append(stream)
        return await find_consumer(connection, stream)

    monkeypatch.setattr("jetq.worker.watchdog.find_consumer", look)

    @app.task("held", queue="NARROW")
    async def held() -> None:
        started.set()
        await over.wait()

    backend = (await app.clients.current()).backend
    await backend.topology.ensure_queue(Queue("NARROW", max_concurrent=1, lease=1))
    async with Worker(app, queues=["DEFAULT", "NARROW"], settings=SETTINGS) as worker:
        await app.apause_queue("DEFAULT")
        paused = await app.aenqueue("held", queue="DEFAULT")
        await held.aenqueue()
        await started.wait()
        full = await held.aenqueue()
        looks.clear()

        async def looked() -> bool:
            return all(looks.count(backend.names.queue(queue)) >= 4 for queue in ("DEFAULT", "NARROW"))

        await eventually(looked)
        assert [await handle.astate() for handle in (paused, full)] == ["new", "new"]
        assert not [event for event in told if isinstance(event, FetchingStalled)]
        assert worker.condition.health().ready
        over.set()


async def test_a_worker_that_lost_its_server_or_is_quiet_is_not_ready(
    own_server: TestServer,
) -> None:
    app = App("test", queues=[Queue("DEFAULT", lease=1)])
    app.connect_to(own_server.address)
    worker = Worker(app, settings=SETTINGS)
    assert worker.condition.health().reasons == ["it has not begun to take tasks"]
    async with worker:

        async def ready() -> bool:
            return worker.condition.health().ready

        async def disconnected() -> bool:
            return any("is lost" in reason for reason in worker.condition.health().reasons)

        assert await ready()
        own_server.kill()
        await eventually(disconnected)
        assert worker.condition.health().live
        assert not await ready()
        await asyncio.to_thread(own_server.run)
        await eventually(ready)
        worker.quiet()

        async def quiet() -> bool:
            return worker.condition.health().reasons == ["it was told to take no more tasks"]

        await eventually(quiet)
    assert worker.condition.health().reasons[0] == "it is stopping"
    await app.aclose()
