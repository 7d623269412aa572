"""The supervised connection: sending, asking, hearing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jetq.errors import (
    ConnectionClosedError,
    LimitReachedError,
    MessageTooLargeError,
    NoResponderError,
    RequestRefusedError,
    SequenceConflictError,
    ServerTimeoutError,
)
from jetq.jetstream import outbox
from jetq.jetstream.connection import Connection, Incoming, encode_headers
from jetq.jetstream.faults import refusal_of
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, ListenerFailed
from jetq.observe.bus import Bus
from tests.servers import TestServer, until


@pytest.fixture
async def stream(connection: Connection, namespace: str) -> AsyncIterator[str]:
    """Give a stream that keeps one message a subject, and two in all."""
    await connection.api(
        f"STREAM.CREATE.{namespace}",
        {
            "name": namespace,
            "subjects": [f"{namespace}.>"],
            "storage": "memory",
            "max_msgs": 2,
            "discard": "new",
            "max_msgs_per_subject": 1,
        },
    )
    yield namespace
    await connection.api(f"STREAM.DELETE.{namespace}")


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


async def test_headers_may_be_encoded_once(connection: Connection, namespace: str) -> None:
    got: asyncio.Queue[Incoming] = asyncio.Queue()
    await connection.subscribe(namespace, got.put_nowait)
    encoded = encode_headers({"Nats-TTL": "90s"})

    connection.send(namespace, headers=encoded)
    connection.send(namespace, headers={})

    assert [(await got.get()).headers for _ in range(2)] == [{"Nats-TTL": "90s"}, None]


async def test_of_a_queue_one_gets_each_message(connection: Connection, namespace: str) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    for _ in range(3):
        await connection.subscribe(namespace, lambda message: got.put_nowait(message.data), queue="workers")
    await connection.subscribe(f"{namespace}.end", lambda message: got.put_nowait(message.data))

    for number in range(10):
        connection.send(namespace, b"%d" % number)
    connection.send(f"{namespace}.end", b"end")

    assert sorted([await got.get() for _ in range(11)]) == sorted([*(b"%d" % number for number in range(10)), b"end"])


async def test_after_unsubscribing_nothing_is_handed_over(connection: Connection, namespace: str) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    subscription = await connection.subscribe(namespace, lambda message: got.put_nowait(message.data))
    await connection.subscribe(f"{namespace}.end", lambda message: got.put_nowait(message.data))

    connection.send(namespace, b"before")
    assert await got.get() == b"before"
    await subscription.unsubscribe()
    await subscription.unsubscribe()
    connection.send(namespace, b"after")
    connection.send(f"{namespace}.end", b"end")

    assert await got.get() == b"end"


async def test_a_callback_that_raises_is_told_and_disturbs_nobody(server: EmbeddedServer, namespace: str) -> None:
    bus, events, got = Bus(), list[Event](), asyncio.Queue[bytes]()
    bus.listen(events.append)

    def broken(message: Incoming) -> None:
        got.put_nowait(message.data)
        raise ZeroDivisionError("no")

    async with await Connection.open(server.address, name="test", bus=bus) as connection:
        await connection.subscribe(namespace, broken)
        for number in range(3):
            connection.send(namespace, b"%d" % number)
        assert [await got.get() for _ in range(3)] == [b"0", b"1", b"2"]
        assert connection.generation == 1
    assert {(type(event), event.error) for event in events if isinstance(event, ListenerFailed)} == {
        (ListenerFailed, "ZeroDivisionError: no")
    }


async def test_requests_are_answered_each_with_its_own(connection: Connection, namespace: str) -> None:
    def answer(message: Incoming) -> None:
        connection.send(message.reply, message.data * 2, headers=message.headers)

    await connection.subscribe(namespace, answer)

    answers = await asyncio.gather(
        *(connection.request(namespace, b"%d" % number, headers={"N": str(number)}) for number in range(50))
    )

    assert [answer.data for answer in answers] == [b"%d" % number * 2 for number in range(50)]
    assert [answer.headers for answer in answers] == [{"N": str(number)} for number in range(50)]


async def test_a_request_that_nobody_answers_times_out(connection: Connection, namespace: str) -> None:
    await connection.subscribe(namespace, lambda _: None)

    with pytest.raises(ServerTimeoutError, match=f"no answer to {namespace} within 0.05 s"):
        await connection.request(namespace, timeout=0.05)


async def test_an_answer_that_came_while_the_loop_was_blocked_counts(connection: Connection, namespace: str) -> None:
    def answer_late(message: Incoming) -> None:
        connection.send(message.reply, b"here")
        connection._loop.call_soon(blocked.set)

    blocked = asyncio.Event()
    await connection.subscribe(namespace, answer_late)
    request = asyncio.create_task(connection.request(namespace, timeout=0.2))
    await blocked.wait()
    until = asyncio.get_running_loop().time() + 0.4
    while asyncio.get_running_loop().time() < until:
        pass

    assert (await request).data == b"here"


async def test_a_request_without_responder_fails_at_once(connection: Connection, namespace: str) -> None:
    with pytest.raises(NoResponderError, match=namespace):
        await connection.request(namespace)


async def test_a_cancelled_request_leaves_nothing_behind(connection: Connection, namespace: str) -> None:
    await connection.subscribe(namespace, lambda _: None)
    request = asyncio.create_task(connection.request(namespace))
    await asyncio.sleep(0)

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert not connection._replies._pending


async def test_a_message_that_is_too_large_does_not_cost_the_connection(connection: Connection, namespace: str) -> None:
    headers = {"Some": "header"}
    room = connection.max_payload - len(encode_headers(headers))
    got: asyncio.Queue[int] = asyncio.Queue()
    await connection.subscribe(namespace, lambda message: got.put_nowait(len(message.data)))

    with pytest.raises(MessageTooLargeError) as refused:
        connection.send(namespace, b"x" * (room + 1), headers=headers)
    with pytest.raises(MessageTooLargeError):
        await connection.request(namespace, b"x" * (connection.max_payload + 1))
    connection.send(namespace, b"x" * room, headers=headers)

    assert await got.get() == room
    assert (refused.value.size, refused.value.limit) == (connection.max_payload + 1, connection.max_payload)
    assert connection.generation == 1


@pytest.mark.parametrize(
    ("action", "body", "expected", "code"),
    [
        ("STREAM.INFO.NOWHERE", None, RequestRefusedError, 10059),
        ("STREAM.CREATE.X", {"name": "Y"}, RequestRefusedError, 10056),
    ],
)
async def test_refusals_of_jetstream_carry_their_code(
    connection: Connection, action: str, body: Any, expected: type[Exception], code: int
) -> None:
    with pytest.raises(expected) as refused:
        await connection.api(action, body)
    assert isinstance(refused.value, RequestRefusedError)
    assert (refused.value.what, refused.value.code) == (action, code)


async def test_jetstream_says_what_it_has(connection: Connection, stream: str) -> None:
    assert (await connection.api(f"STREAM.INFO.{stream}"))["config"]["max_msgs"] == 2
    assert connection.api_level >= 3
    assert connection.server_version.startswith("2.")


async def test_the_codes_of_a_lost_comparison_and_of_a_full_stream(connection: Connection, stream: str) -> None:
    async def publish(subject: str, **headers: str) -> dict[str, Any]:
        return json.loads((await connection.request(f"{stream}.{subject}", b"x", headers=headers)).data)

    expect_none = {"Nats-Expected-Last-Subject-Sequence": "0"}
    await publish("a", **expect_none)
    await publish("b")

    assert isinstance(refusal_of("a", (await publish("a", **expect_none))["error"]), SequenceConflictError)
    assert isinstance(refusal_of("c", (await publish("c"))["error"]), LimitReachedError)


async def test_what_was_sent_before_closing_arrives(
    server: EmbeddedServer, connection: Connection, namespace: str
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    await connection.subscribe(namespace, lambda message: got.put_nowait(message.data))
    await connection.request("$JS.API.INFO")

    async with await Connection.open(server.address, name="short") as short:
        short.send(namespace, b"last words")

    assert await got.get() == b"last words"


async def test_a_closed_connection_fails_at_once(server: EmbeddedServer, namespace: str) -> None:
    connection = await Connection.open(server.address, name="test")
    await connection.subscribe(namespace, lambda _: None)
    under_way = asyncio.create_task(connection.request(namespace))
    await asyncio.sleep(0)

    await connection.close()
    await connection.close()

    with pytest.raises(ConnectionClosedError):
        await under_way
    with pytest.raises(ConnectionClosedError):
        await connection.request(namespace)
    assert not connection.send(namespace)
    assert not connection.is_connected


async def test_a_server_that_takes_nothing_does_not_fill_our_memory(
    own_server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_LIMIT", 1024 * 1024)
    async with await Connection.open(own_server.address, name="test") as connection:
        own_server.freeze()
        sent = 0
        while connection.send("orders", b"x" * 512 * 1024):
            sent += 1
            await asyncio.sleep(0)
            assert sent < 200
        own_server.thaw()

        await until(lambda: connection.send("orders", b"x"))
        await connection.request("$JS.API.INFO")
