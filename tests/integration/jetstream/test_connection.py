"""The supervised connection against a real server."""

import asyncio

import pytest

from jetq.errors import NoResponderError, ServerTimeoutError
from jetq.jetstream.connection import Connection, Incoming
from tests.servers import TestServer


async def test_messages_arrive_in_order_with_their_headers(connection: Connection, namespace: str) -> None:
    got: asyncio.Queue[Incoming] = asyncio.Queue()
    await connection.subscribe(f"{namespace}.*", got.put_nowait)

    for number in range(100):
        assert connection.send(f"{namespace}.{number}", b"%d" % number, reply="back", headers={"Number": str(number)})

    messages = [await got.get() for _ in range(100)]
    assert [message.subject for message in messages] == [f"{namespace}.{number}" for number in range(100)]
    assert [message.data for message in messages] == [b"%d" % number for number in range(100)]
    assert [message.headers for message in messages] == [{"Number": str(number)} for number in range(100)]
    assert {message.reply for message in messages} == {"back"}


async def test_a_request_that_nobody_answers_times_out(connection: Connection, namespace: str) -> None:
    await connection.subscribe(namespace, lambda _: None)

    with pytest.raises(ServerTimeoutError):
        await connection.request(namespace, timeout=0.05)


async def test_a_request_without_responder_fails_at_once(connection: Connection, namespace: str) -> None:
    with pytest.raises(NoResponderError):
        await connection.request(namespace)


async def test_subscriptions_survive_a_restart(own_server: TestServer) -> None:
    async with await Connection.open(own_server.address, name="test") as connection:
        got: asyncio.Queue[Incoming] = asyncio.Queue()
        restored: asyncio.Queue[int] = asyncio.Queue()
        await connection.subscribe("orders", got.put_nowait)
        connection.on_connected(restored.put_nowait)

        await asyncio.to_thread(own_server.restart)

        assert await restored.get() == 2
        assert connection.generation == 2
        assert connection.send("orders", b"after")
        assert (await got.get()).data == b"after"
