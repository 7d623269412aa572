"""The supervised connection: it outlives whatever ends a link."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from jetq.errors import AnswerLostError, ServerTimeoutError
from jetq.jetstream import connection as connection_module
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.jetstream.credentials import Credentials
from jetq.jetstream.dialer import Dialer
from jetq.jetstream.secret import Secret
from jetq.model.events import ConnectionLost, ConnectionRestored
from jetq.observe.bus import Bus
from tests.authorities import Operator
from tests.servers import TestServer, free_port, until

pytestmark = pytest.mark.faults


class Watched:
    """A connection with its events and one subscription."""

    def __init__(self, connection: Connection, bus: Bus) -> None:
        self.connection = connection
        self.lost: asyncio.Queue[str] = asyncio.Queue()
        self.restored: asyncio.Queue[int] = asyncio.Queue()
        self.generations: list[int] = []
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        bus.listen_to(ConnectionLost, lambda event: self.lost.put_nowait(event.reason))
        bus.listen_to(ConnectionRestored, lambda event: self.restored.put_nowait(event.generation))
        connection.on_connected(self.generations.append)

    async def works(self, generation: int) -> None:
        """See that the subscription lives and requests are answered, on a link of that generation."""
        assert self.connection.generation == generation
        assert self.connection.send("orders", b"%d" % generation)
        assert await self.got.get() == b"%d" % generation
        await self.connection.api("INFO")


@pytest.fixture
async def watch():
    """Give a function that opens a watched connection."""
    opened: list[Connection] = []

    async def open_it(address: Address, **options: float) -> Watched:
        bus = Bus()
        connection = await Connection.open(address, name="test", bus=bus, **options)
        opened.append(connection)
        watched = Watched(connection, bus)
        await connection.subscribe("orders", lambda message: watched.got.put_nowait(message.data))
        await watched.works(1)
        return watched

    yield open_it
    for connection in opened:
        await connection.close()


Watch = Callable[..., Awaitable[Watched]]


async def test_a_restart_of_the_server(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)

    await asyncio.to_thread(own_server.restart)

    assert await watched.lost.get() == "the server closed the connection"
    assert await watched.restored.get() == 2
    await watched.works(2)
    assert watched.generations == [2]


async def test_a_server_that_is_killed_and_comes_back(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)
    for generation in (2, 3):
        await asyncio.to_thread(own_server.kill)
        while watched.connection.is_connected:
            await watched.lost.get()  # also told: a renewal that failed, perhaps of the generation before

        await asyncio.to_thread(own_server.run)

        assert await watched.restored.get() == generation
        await watched.works(generation)


async def test_what_is_sent_without_a_connection_is_dropped(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)
    await asyncio.to_thread(own_server.kill)
    await watched.lost.get()

    assert not watched.connection.send("orders", b"lost")
    with pytest.raises(ServerTimeoutError):
        await watched.connection.request("orders", timeout=0.05)
    late: asyncio.Queue[bytes] = asyncio.Queue()
    await watched.connection.subscribe("late", lambda message: late.put_nowait(message.data))
    gone = await watched.connection.subscribe("orders", lambda message: late.put_nowait(message.data))
    await gone.unsubscribe()
    waiting = asyncio.create_task(watched.connection.api("INFO"))
    await asyncio.to_thread(own_server.run)

    assert "limits" in await waiting
    await watched.works(2)
    watched.connection.send("late", b"late")
    assert await late.get() == b"late"


async def test_a_request_under_way_is_lost_at_once(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)
    request = asyncio.create_task(watched.connection.request("orders", timeout=20))
    await watched.got.get()

    await asyncio.to_thread(own_server.kill)

    with pytest.raises(AnswerLostError, match="orders"):
        await request


async def test_a_frozen_server_is_noticed(
    own_server: TestServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "HEALTH_INTERVAL", 0.1)
    watched = await watch(own_server.address, request_timeout=0.2)

    own_server.freeze()
    assert await watched.lost.get() == "no answer to 2 health checks"
    own_server.thaw()

    assert await watched.restored.get() == 2
    await watched.works(2)


async def test_a_busy_server_is_not_taken_for_a_dead_one(
    own_server: TestServer, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "HEALTH_INTERVAL", 0.05)
    watched = await watch(own_server.address, request_timeout=1)

    own_server.freeze()
    await asyncio.sleep(1.4)  # longer than one question waits, shorter than two
    own_server.thaw()

    await watched.connection.request("$JS.API.INFO", timeout=5)
    assert watched.connection.generation == 1


async def test_a_client_that_is_closed_behind_our_back(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)

    assert watched.connection._outbox.link is not None
    await watched.connection._outbox.link._client.close()

    assert await watched.restored.get() == 2
    await watched.works(2)


async def test_a_client_that_stops_reading(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)

    assert watched.connection._outbox.link is not None
    assert watched.connection._outbox.link._client._reading_task is not None
    watched.connection._outbox.link._client._reading_task.cancel()

    assert await watched.lost.get() == "nats-py stopped reading"
    assert await watched.restored.get() == 2
    await watched.works(2)


async def test_an_error_of_the_server_is_not_the_end(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)

    assert watched.connection._outbox.link is not None
    watched.connection._outbox.link.write(b"NONSENSE\r\n")

    assert "unknown protocol operation" in await watched.lost.get()
    assert await watched.restored.get() == 2
    await watched.works(2)


async def test_a_rotated_password_is_found(tmp_path: Path, watch: Watch) -> None:
    def asks_for(password: str) -> str:
        return f'authorization {{ user: "joe", password: "{password}" }}'

    file = tmp_path / "password"
    file.write_text("old")
    credentials = Credentials(user=Secret.of("joe", "test"), password=Secret.in_file(str(file)))
    with TestServer.start(asks_for("old")) as server:
        plain = server.address
        watched = await watch(
            Address(servers=plain.servers, source=plain.source, credentials=credentials), connect_timeout=1
        )

        await asyncio.to_thread(server.reload, asks_for("new"))
        await watched.lost.get()
        assert "refuses the credentials: authorization violation" in await watched.lost.get()
        file.write_text("new")

        assert await watched.restored.get() == 2
        await watched.works(2)


async def test_creds_that_expire_are_read_again(tmp_path: Path, watch: Watch) -> None:
    operator = Operator()
    file = tmp_path / "user.creds"
    file.write_text(operator.creds(lifetime=2))
    with TestServer.start(operator.configuration()) as server:
        plain = server.address
        watched = await watch(
            Address(servers=plain.servers, source="test", credentials=Credentials(creds=Secret.in_file(str(file))))
        )
        file.write_text(operator.creds())

        assert await watched.lost.get() == "user authentication expired"
        assert await watched.restored.get() == 2
        await watched.works(2)


async def test_a_link_that_ends_at_once_every_time_is_not_dialled_in_a_hot_loop(watch: Watch) -> None:
    with TestServer.start("max_subscriptions: 3") as server:
        watched = await watch(server.address)
        subscriptions = [await watched.connection.subscribe(f"s.{n}", lambda _: None) for n in range(3)]
        assert "maximum subscriptions exceeded" in await watched.lost.get()
        await asyncio.sleep(1)
        assert 1 < watched.connection.generation < 8

        for subscription in subscriptions:
            await subscription.unsubscribe()
        generation = watched.connection.generation
        while watched.connection.generation == generation or not watched.connection.is_connected:
            await watched.restored.get()
        await watched.works(watched.connection.generation)


async def test_another_server_of_the_cluster_takes_over() -> None:
    ports = [free_port(), free_port()]

    def cluster(me: int) -> str:
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
        return f'server_name: s{me}\ncluster {{ name: c, listen: "127.0.0.1:{ports[me]}", routes: [{routes}] }}'

    with TestServer.start(cluster(0)) as first, TestServer.start(cluster(1)) as second:
        connection = await Connection.open(first.address, name="test", connect_timeout=10)
        async with connection:
            restored: asyncio.Queue[int] = asyncio.Queue()
            connection.on_connected(restored.put_nowait)
            await until(connection._dialer._discovered)

            await asyncio.to_thread(first.kill)

            assert await restored.get() == 2
            assert connection.server == f"nats://127.0.0.1:{second.port}"


async def test_a_server_that_was_of_no_use_is_the_last_to_be_tried_again(own_server: TestServer, watch: Watch) -> None:
    with TestServer.start(own_server.extra, user_part=own_server.user_part) as other:
        watched = await watch(Address.of(f"{own_server.url},{other.url}"))
        for generation in range(2, 8):
            before = watched.connection.server
            watched.connection.rebuild("it is of no use")
            assert await watched.restored.get() == generation
            assert watched.connection.server != before


async def test_closing_while_it_is_lost(own_server: TestServer) -> None:
    bus, lost = Bus(), asyncio.Event()
    bus.listen_to(ConnectionLost, lambda _: lost.set())
    connection = await Connection.open(own_server.address, name="test", bus=bus)
    await asyncio.to_thread(own_server.kill)
    await lost.wait()

    await connection.close()

    assert not connection._tasks
    assert not connection.is_connected


async def test_closing_towards_a_frozen_server_takes_a_second(own_server: TestServer) -> None:
    connection = await Connection.open(own_server.address, name="test")
    own_server.freeze()
    for _ in range(20):
        connection.send("orders", b"x" * 1024 * 1024)
    loop = asyncio.get_running_loop()
    began = loop.time()

    await connection.close()

    assert loop.time() - began < 3


async def test_listeners_may_be_forgotten(own_server: TestServer, watch: Watch) -> None:
    watched = await watch(own_server.address)
    forgotten: list[int] = []
    forget = watched.connection.on_connected(forgotten.append)
    forget()
    forget()

    await asyncio.to_thread(own_server.restart)
    await watched.restored.get()

    assert (watched.generations, forgotten) == ([2], [])


def test_a_loop_that_ends_leaves_nothing_of_an_open_connection(
    own_server: TestServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def forget() -> None:
        connection = await Connection.open(own_server.address, name="test")
        await connection.api("INFO")

    asyncio.run(forget())
    gc.collect()

    assert not caplog.records


def test_what_a_loop_waits_for_at_its_end_can_still_send(own_server: TestServer) -> None:
    generations: list[int] = []

    async def work(connection: Connection) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.1)  # longer than the first dialling waits
            assert not connection.is_connected
            await connection.api("INFO")
            generations.append(connection.generation)
            await connection.close()

    async def forget() -> asyncio.Task[None]:
        connection = await Connection.open(own_server.address, name="test")
        working = asyncio.create_task(work(connection))
        await asyncio.sleep(0)
        return working

    working = asyncio.run(forget())

    assert (working.cancelled(), generations) == (True, [2])


async def test_reconnecting_begins_again_after_a_defect(
    own_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetq.jetstream.renewal._AFTER_DEFECT", 0.05)
    async with await Connection.open(own_server.address, name="test") as connection:
        again, failed = Dialer.again, []

        async def defect(dialer: Dialer, on_failure: Any) -> Any:
            if not failed:
                failed.append(1)
                raise ZeroDivisionError
            return await again(dialer, on_failure)

        monkeypatch.setattr(Dialer, "again", defect)
        back = asyncio.Event()
        connection.on_connected(lambda _generation: back.set())
        await asyncio.to_thread(own_server.restart)
        async with asyncio.timeout(20):
            await back.wait()

        assert failed == [1]
        await connection.api("INFO")
