"""
adapter: what every task queue is asked to do, and the task that all of them run.

An adapter lives in an environment in which nothing but its task queue is installed: this module needs only Python.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Final

from bench import body

REDIS_URL: Final = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379")
NATS_URL: Final = os.environ.get("BENCH_URL", "nats://127.0.0.1:4222")
POSTGRES_DSN: Final = os.environ.get("BENCH_POSTGRES", "host=127.0.0.1 user=postgres dbname=postgres")

Payload = dict[str, Any]


class Adapter:
    """
    One task queue in one configuration. All methods but `commands` run in the client's process.

    Attributes:
        distributions: Whose versions are told.
        configuration: One line for people: pool, prefetch, durability and what else was chosen.
        stores_results: Whether what a handler returned can be had afterwards; "state" where only that it ended.
        waits: Whether the caller can wait for a result.
        is_async: Whether its client is asyncio's, so that many calls may be in flight.
        has_bulk: Whether it has a call that enqueues many.
        has_blocking: Whether an asyncio client has a blocking form beside it.
        loop: The client's event loop: ``asyncio`` or ``uvloop``.
        tasks: How many are drained: some two seconds' worth on two cores.
        singles: How many are enqueued one after the other.
    """

    distributions: ClassVar[Sequence[str]] = ()
    configuration: ClassVar[str] = ""
    stores_results: ClassVar[bool | str] = True
    waits: ClassVar[bool] = True
    is_async: ClassVar[bool] = False
    has_bulk: ClassVar[bool] = False
    has_blocking: ClassVar[bool] = False
    loop: ClassVar[str] = "asyncio"
    tasks: ClassVar[int] = 3_000
    singles: ClassVar[int] = 1_500

    def commands(self) -> list[list[str]]:
        """Return the programs of one worker whose tasks run in one process."""
        raise NotImplementedError

    async def open(self) -> None:
        """Connect, and make what must be there before the first task."""

    async def close(self) -> None:
        """Disconnect."""

    async def reset(self) -> None:
        """Drop every task and result."""
        raise NotImplementedError

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one with the call that everybody uses; return what `result` takes."""
        raise NotImplementedError

    def enqueue_blocking(self, payload: Payload) -> Any:
        """Do the same from code without an event loop."""
        raise NotImplementedError

    async def enqueue_bulk(self, payloads: list[Payload]) -> None:
        """Enqueue many with the task queue's own call for that."""
        raise NotImplementedError

    async def result(self, handle: Any, timeout: float) -> Any:
        """Wait in the caller until the result is there, and return it."""
        raise NotImplementedError

    async def count_results(self) -> int:
        """Return how many results, or tasks that ended, are stored."""
        raise NotImplementedError


def handle(payload: Payload) -> Payload:
    """Note that the task began; return a small value."""
    body.note(payload["index"], payload["sent"])
    return {"index": payload["index"], "ok": True}


def module_command(*arguments: str) -> list[str]:
    """Return ``python -m`` with the interpreter of this environment."""
    return [sys.executable, "-m", *arguments]


def redis_client(database: int = 0) -> Any:
    """Return a client of Redis; every environment that needs one has it."""
    redis: Any = import_module("redis")  # it is not in every environment
    return redis.Redis.from_url(f"{REDIS_URL}/{database}")


def count_keys(client: Any, pattern: str) -> int:
    """Return how many keys there are of a pattern."""
    return sum(1 for _ in client.scan_iter(match=pattern, count=5000))
