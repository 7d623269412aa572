"""
celery_peer: Celery on Redis: the broker in database 0, results in database 1.
"""

from typing import Any

from celery import Celery

from bench.peers.adapter import REDIS_URL, Adapter, Payload, handle, module_command, redis_client

app = Celery("bench", broker=f"{REDIS_URL}/0", backend=f"{REDIS_URL}/1")
# The default is 4; Celery's guide to optimizing advises 64 or more for short tasks.
app.conf.update(worker_prefetch_multiplier=64, broker_connection_retry_on_startup=True)


@app.task(name="bench.noop")
def noop(payload: Payload) -> Payload:
    """Do nothing."""
    return handle(payload)


class CeleryPeer(Adapter):
    """What all pools share."""

    distributions = ("celery", "kombu", "redis")
    tasks = 2_000

    async def open(self) -> None:
        """Connect."""
        self.broker, self.backend = redis_client(0), redis_client(1)

    async def reset(self) -> None:
        """Drop all."""
        self.broker.flushdb()
        self.backend.flushdb()

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return noop.delay(payload)

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return handle.get(timeout=timeout)

    async def count_results(self) -> int:
        """Count the keys of the results' database."""
        return self.backend.dbsize()

    def command(self, pool: str, size: int) -> list[str]:
        """Return the command of a worker."""
        options = ("--loglevel", "WARNING", "-P", pool, "-c", str(size), "-n", f"{pool}@bench")
        return module_command("celery", "-A", "bench.peers.celery_peer", "worker", *options)


class CeleryPrefork(CeleryPeer):
    """The default pool."""

    configuration = "prefork pool, -c 1, prefetch multiplier 64, JSON, early acknowledgement (default), Redis results"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [self.command("prefork", 1)]


class CeleryThreads(CeleryPeer):
    """Threads."""

    configuration = "threads pool, -c 2, prefetch multiplier 64, JSON, early acknowledgement (default), Redis results"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [self.command("threads", 2)]


class CeleryGevent(CeleryPeer):
    """Greenlets."""

    tasks = 1_000
    configuration = "gevent pool, -c 100, prefetch multiplier 64, JSON, early acknowledgement (default), Redis results"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [self.command("gevent", 100)]
