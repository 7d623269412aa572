"""
taskiq_redis_peer: taskiq with taskiq-redis: a stream with acknowledgements, results in database 1.
"""

from typing import Any

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.peers.adapter import REDIS_URL, Payload, handle, redis_client
from bench.peers.taskiq_peer import TaskiqPeer

broker = RedisStreamBroker(f"{REDIS_URL}/0").with_result_backend(
    RedisAsyncResultBackend(f"{REDIS_URL}/1", result_ex_time=3600)
)


@broker.task
async def noop(payload: dict) -> dict:  # type: ignore[type-arg]  # taskiq reads the annotations
    """Do nothing."""
    return handle(payload)


class TaskiqRedis(TaskiqPeer):
    """taskiq on Redis."""

    distributions = ("taskiq", "taskiq-redis", "redis", "uvloop")
    module = "bench.peers.taskiq_redis_peer"
    tasks = 3_000
    configuration = (
        "RedisStreamBroker (acknowledged), Redis results, --workers 1, --max-async-tasks 100 (default),"
        " --max-prefetch 100, uvloop; the caller polls every 10 ms"
    )

    async def open(self) -> None:
        """Connect."""
        await broker.startup()
        self.queue, self.backend = redis_client(0), redis_client(1)

    async def close(self) -> None:
        """Disconnect."""
        await broker.shutdown()

    async def reset(self) -> None:
        """Drop all, and make the stream's group again, which was dropped with it."""
        self.queue.flushdb()
        self.backend.flushdb()
        await broker._declare_consumer_group()  # noqa: SLF001 - there is no other way

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return await noop.kiq(payload)

    async def count_results(self) -> int:
        """Count the keys of the results' database."""
        return self.backend.dbsize()
