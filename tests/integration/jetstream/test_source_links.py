"""Sources of queues that the server did not link again are linked; all others are left as they are."""

import asyncio
import time
from typing import Any

import pytest

from jetq.jetstream.address import Address
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.connection import Connection
from jetq.jetstream.source_links import SourceLinks
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import Names
from tests.servers import TestServer

SOON = 3.0
USERS = """
authorization {{
  users: [
    {{ user: admin, password: secret }}
    {{ user: other, password: secret, permissions: {{ publish: {{ deny: ["{denied}"] }} }} }}
  ]
}}
"""


async def make_queues(connection: Connection, names: Names, *queues: str) -> None:
    await Topology(connection, names, StoreSettings()).ensure([Queue(queue) for queue in queues])


async def sources(connection: Connection, names: Names, queue: str) -> Any:
    return (await connection.api(f"STREAM.INFO.{names.queue(queue)}"))["config"]["sources"]


async def are_linked(connection: Connection, names: Names) -> list[bool]:
    answer = await connection.api(f"CONSUMER.LIST.{names.schedules}", {})
    return [bool(consumer.get("push_bound")) for consumer in answer["consumers"]]


async def settle(connection: Connection, names: Names) -> None:
    """Wait until the server has linked the sources of queues that were made just now."""
    await SourceLinks(connection, names).mend({"ONE", "TWO"})
    assert await are_linked(connection, names) == [True, True]


async def test_sources_that_are_linked_stay_as_they_are(connection: Connection, namespace: str) -> None:
    names = Names(namespace)
    await make_queues(connection, names, "ONE", "TWO")
    before = await sources(connection, names, "ONE")
    await settle(connection, names)

    assert await sources(connection, names, "ONE") == before


async def test_a_queue_that_is_gone_is_not_waited_for(connection: Connection, namespace: str) -> None:
    names = Names(namespace)
    await make_queues(connection, names, "ONE", "TWO")
    began = time.monotonic()
    await SourceLinks(connection, names).mend({"GONE"})

    assert time.monotonic() - began < SOON


async def test_several_that_mend_at_one_time_link_all_queues_after_a_restart(
    own_server: TestServer, namespace: str
) -> None:
    names = Names(namespace)
    async with await Connection.open(own_server.address, name="test") as connection:
        await make_queues(connection, names, "ONE", "TWO")
        await settle(connection, names)
    await asyncio.to_thread(own_server.restart)
    async with await Connection.open(own_server.address, name="test") as connection:
        began = time.monotonic()
        await asyncio.gather(*(SourceLinks(connection, names).mend({"ONE", "TWO"}) for _ in range(3)))

        assert time.monotonic() - began < SOON
        assert await are_linked(connection, names) == [True, True]
        for queue in ("ONE", "TWO"):
            info = await connection.api(f"STREAM.INFO.{names.queue(queue)}")
            assert len(info["config"]["sources"]) == len(info["sources"]) == 1
            assert 0 <= info["sources"][0]["active"] < SOON * NANOSECONDS


@pytest.mark.parametrize("denied", ["CONSUMER.LIST", "STREAM.UPDATE"], ids=str)
async def test_who_may_not_do_it_leaves_it_to_others(namespace: str, denied: str) -> None:
    names = Names(namespace)
    with TestServer.start(USERS.format(denied=f"$JS.API.{denied}.>"), user_part="admin:secret") as server:
        async with await Connection.open(server.address, name="admin") as admin:
            await make_queues(admin, names, "ONE", "TWO")
            await settle(admin, names)
        await asyncio.to_thread(server.restart)
        address = Address.of(f"nats://other:secret@127.0.0.1:{server.port}")
        async with await Connection.open(address, name="other") as other:
            links = SourceLinks(other, names)
            for _ in range(2):
                began = time.monotonic()
                await links.mend({"ONE"})
                assert time.monotonic() - began < SOON
            assert len(await sources(other, names, "ONE")) == 1
