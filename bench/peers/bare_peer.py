"""
bare_peer: the bare loop among the task queues: what jetq cannot cost less than.
"""

import asyncio
from typing import Any

from bench import bare, side, work
from bench.peers.adapter import NATS_URL, Adapter, Payload
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.wire.names import Names


class BarePeer(Adapter):
    """The bare loop on asyncio."""

    distributions = ("nats-py",)
    stores_results = False
    is_async = True
    has_bulk = True
    tasks = 16_000
    singles = 1_000
    configuration = "nats-py by hand with jetq's messages, 500 slots, asyncio, file storage; no guarantee of any kind"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [side.bare_worker(NATS_URL, 500, "asyncio")]

    async def open(self) -> None:
        """Connect, and make the streams."""
        await side.make_streams(NATS_URL, side.BARE_NAMESPACE)
        self.bare = await bare.Loop.open(NATS_URL, side.BARE_NAMESPACE)
        self.producer = bare.Producer(self.bare)
        self.caller = bare.Caller(self.bare)

    async def close(self) -> None:
        """Disconnect."""
        await self.bare.client.close()

    async def reset(self) -> None:
        """Drop all."""
        await purge(NATS_URL, side.BARE_NAMESPACE)

    async def enqueue(self, payload: Payload) -> str:
        """Enqueue one."""
        [task_id] = await self.producer.enqueue_many([payload])
        return task_id

    async def result(self, handle: str, timeout: float) -> Any:
        """Wait for one."""
        return await asyncio.wait_for(self.caller.result(handle), timeout)

    async def enqueue_bulk(self, payloads: list[Payload]) -> None:
        """Enqueue many."""
        await self.producer.enqueue_many(payloads)


async def purge(url: str, namespace: str) -> None:
    """Drop all tasks and items of a namespace."""
    names = Names(namespace)
    async with await Connection.open(Address.of(url), name="bench") as connection:
        for stream in (names.tasks, names.queue(work.QUEUE)):
            await connection.api(f"STREAM.PURGE.{stream}")
