"""
huey_peer: Huey on Redis: blocking pops, results in a hash.
"""

from typing import Any

from huey import RedisHuey

from bench.peers.adapter import REDIS_URL, Adapter, Payload, handle, module_command, redis_client

huey = RedisHuey("bench", url=f"{REDIS_URL}/0")


@huey.task()
def noop(payload: Payload) -> Payload:
    """Do nothing."""
    return handle(payload)


class HueyPeer(Adapter):
    """Huey."""

    distributions = ("huey", "redis")
    tasks = 5_000
    configuration = (
        "RedisHuey, consumer -k thread -w 2, pickle, no periodic scheduler; the caller polls its result every 10 ms"
    )

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        options = ("-k", "thread", "-w", "2", "-n", "-q")
        return [module_command("huey.bin.huey_consumer", "bench.peers.huey_peer.huey", *options)]

    async def open(self) -> None:
        """Connect."""
        self.redis = redis_client()

    async def reset(self) -> None:
        """Drop all."""
        self.redis.flushdb()

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return noop(payload)

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return handle.get(blocking=True, timeout=timeout, backoff=1.0, max_delay=0.01)

    async def count_results(self) -> int:
        """Count the hash's fields."""
        return huey.result_count()
