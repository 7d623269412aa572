"""
rq_peer: RQ: the default worker, which forks for each job, and the one that does not.
"""

from typing import Any

from rq import Queue
from rq.registry import FinishedJobRegistry

from bench.peers.adapter import REDIS_URL, Adapter, Payload, handle as body, module_command, redis_client


class RqPeer(Adapter):
    """What both workers share."""

    distributions = ("rq", "redis")
    has_bulk = True
    worker = "rq.worker.Worker"
    tasks = 200
    singles = 200
    configuration = "rq worker (default: a fork for each job), pickle, result_ttl 500 s (default)"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        options = ("--url", f"{REDIS_URL}/0", "--quiet", "--worker-class", self.worker, "bench")
        return [module_command("rq.cli", "worker", *options)]

    async def open(self) -> None:
        """Connect."""
        self.redis = redis_client()
        self.queue = Queue("bench", connection=self.redis)

    async def reset(self) -> None:
        """Drop all."""
        self.redis.flushdb()

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return self.queue.enqueue(body, payload)

    async def enqueue_bulk(self, payloads: list[Payload]) -> None:
        """Enqueue many."""
        self.queue.enqueue_many([Queue.prepare_data(body, args=(payload,)) for payload in payloads])

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait for one."""
        return handle.latest_result(timeout=int(timeout)).return_value

    async def count_results(self) -> int:
        """Count the jobs that ended."""
        return FinishedJobRegistry("bench", connection=self.redis).get_job_count(cleanup=False)


class RqSimple(RqPeer):
    """Without forks."""

    worker = "rq.worker.SimpleWorker"
    tasks = 1_000
    singles = 1_000
    configuration = "rq worker -w SimpleWorker (no fork for a job), pickle, result_ttl 500 s (default)"
