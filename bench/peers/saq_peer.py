"""
saq_peer: SAQ on Redis.
"""

from typing import Any

from saq import Queue

from bench.peers.adapter import REDIS_URL, Adapter, Payload, count_keys, handle, module_command, redis_client

_SLOTS = 100

queue = Queue.from_url(f"{REDIS_URL}/0", name="bench")


async def noop(_context: Any, *, payload: Payload) -> Payload:
    """Do nothing."""
    return handle(payload)


settings = {"queue": queue, "functions": [("noop", noop)], "concurrency": _SLOTS}


class SaqPeer(Adapter):
    """SAQ."""

    distributions = ("saq", "redis")
    is_async = True
    tasks = 4_000
    configuration = "concurrency 100 (default 10), --workers 1, JSON, results kept for 600 s (default); hiredis"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [module_command("saq", "bench.peers.saq_peer.settings", "--workers", "1", "--quiet")]

    async def open(self) -> None:
        """Connect."""
        await queue.connect()
        self.redis = redis_client()

    async def close(self) -> None:
        """Disconnect."""
        await queue.disconnect()

    async def reset(self) -> None:
        """Drop all."""
        self.redis.flushdb()

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return await queue.enqueue("noop", payload=payload)

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        await handle.refresh(until_complete=timeout)
        return handle.result

    async def count_results(self) -> int:
        """Count the jobs that do not wait any more."""
        return count_keys(self.redis, "saq:job:bench:*") - await queue.count("incomplete")
