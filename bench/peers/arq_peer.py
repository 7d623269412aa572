"""
arq_peer: arq on Redis: with its default of half a second between polls, and with a hundredth of one.
"""

from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from bench.peers.adapter import REDIS_URL, Adapter, Payload, handle, module_command, redis_client

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "WARNING"},
    "loggers": {"arq": {"level": "WARNING"}},
}
"""A line for each job is arq's default; it is off, as for all others."""


async def noop(_context: Any, payload: Payload) -> Payload:
    """Do nothing."""
    return handle(payload)


class WorkerSettings:
    """As documented, but for its slots."""

    functions: ClassVar[list[Any]] = [noop]
    redis_settings = RedisSettings.from_dsn(f"{REDIS_URL}/0")
    max_jobs = 100
    poll_delay = 0.5


class FastSettings:
    """With short pauses; arq does not read inherited settings."""

    functions = WorkerSettings.functions
    redis_settings = WorkerSettings.redis_settings
    max_jobs = WorkerSettings.max_jobs
    poll_delay = 0.01


class ArqPeer(Adapter):
    """arq with its defaults."""

    distributions = ("arq", "redis")
    is_async = True
    tasks = 3_000
    settings = "WorkerSettings"
    configuration = "max_jobs 100 (default 10), poll_delay 0.5 s (default), pickle; the caller polls every 10 ms"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        logging = ("--custom-log-dict", "bench.peers.arq_peer.LOGGING")
        return [module_command("arq", f"bench.peers.arq_peer.{self.settings}", *logging)]

    async def open(self) -> None:
        """Connect."""
        self.pool = await create_pool(WorkerSettings.redis_settings)
        self.redis = redis_client()

    async def close(self) -> None:
        """Disconnect."""
        await self.pool.aclose()

    async def reset(self) -> None:
        """Drop all."""
        self.redis.flushdb()

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return await self.pool.enqueue_job("noop", payload)

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return await handle.result(timeout=timeout, poll_delay=0.01)

    async def count_results(self) -> int:
        """Count the keys of results."""
        return sum(1 for _ in self.redis.scan_iter(match="arq:result:*", count=5000))


class ArqFast(ArqPeer):
    """arq with short pauses."""

    settings = "FastSettings"
    configuration = "max_jobs 100 (default 10), poll_delay 0.01 s (default 0.5), pickle; the caller polls every 10 ms"
