"""
streaq_peer: streaQ on Redis streams.
"""

from contextlib import AsyncExitStack
from typing import Any

from streaq import Worker

from bench.peers.adapter import REDIS_URL, Adapter, Payload, count_keys, handle, module_command, redis_client

worker = Worker(redis_url=f"{REDIS_URL}/0", queue_name="bench", concurrency=100)


@worker.task(silent=True)  # no line in the log for each task, as for all others
async def noop(payload: Payload) -> Payload:
    """Do nothing."""
    return handle(payload)


class StreaqPeer(Adapter):
    """streaQ."""

    distributions = ("streaq", "coredis")
    is_async = True
    has_bulk = True
    tasks = 3_000
    configuration = "concurrency 100 (default 16), prefetch as many (default), --workers 1, pickle, results kept 5 min"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [module_command("streaq", "run", "bench.peers.streaq_peer:worker", "--workers", "1")]

    async def open(self) -> None:
        """Connect."""
        self.stack = AsyncExitStack()
        await self.stack.enter_async_context(worker)
        self.redis = redis_client()

    async def close(self) -> None:
        """Disconnect."""
        await self.stack.aclose()

    async def reset(self) -> None:
        """Drop all."""
        self.redis.flushdb()

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return await noop.enqueue(payload)

    async def enqueue_bulk(self, payloads: list[Payload]) -> None:
        """Enqueue many."""
        await worker.enqueue_many([noop.enqueue(payload) for payload in payloads])

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return (await handle.result(timeout=int(timeout))).result

    async def count_results(self) -> int:
        """Count the keys of results."""
        return count_keys(self.redis, worker.results_key + "*")
