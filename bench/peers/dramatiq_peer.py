"""
dramatiq_peer: Dramatiq on Redis with its middleware for results, which are in database 1.
"""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers.adapter import REDIS_URL, Adapter, Payload, handle, module_command, redis_client

broker = RedisBroker(url=f"{REDIS_URL}/0")
broker.add_middleware(Results(backend=RedisBackend(url=f"{REDIS_URL}/1")))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def noop(payload: Payload) -> Payload:
    """Do nothing."""
    return handle(payload)


class DramatiqPeer(Adapter):
    """Dramatiq."""

    distributions = ("dramatiq", "redis")
    tasks = 5_000
    configuration = (
        "--processes 1 --threads 32 (default 8: as fast), Redis broker and results, JSON, default middleware"
    )

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [module_command("dramatiq", "bench.peers.dramatiq_peer", "--processes", "1", "--threads", "32")]

    async def open(self) -> None:
        """Connect."""
        self.queue, self.backend = redis_client(0), redis_client(1)

    async def reset(self) -> None:
        """Drop all."""
        self.queue.flushdb()
        self.backend.flushdb()

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return noop.send(payload)

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return handle.get_result(block=True, timeout=int(timeout * 1000))

    async def count_results(self) -> int:
        """Count the keys of the results' database."""
        return self.backend.dbsize()
