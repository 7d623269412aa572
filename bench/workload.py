"""
workload: the application that the benchmarks' workers serve: ``jetq worker bench.workload:app``.

Its environment says where the server is (``BENCH_URL``), which queues there are (``BENCH_QUEUES``, a number), how
many copies the store keeps (``BENCH_REPLICAS``), and whether some tasks run in processes (``BENCH_POOL``).
"""

import os
import sys
from typing import Final

from bench import work
from jetq import App, Queue, Settings, StoreSettings

NAMESPACE: Final = "FULL"
URL: Final = "BENCH_URL"
QUEUES: Final = "BENCH_QUEUES"
REPLICAS: Final = "BENCH_REPLICAS"
POOL: Final = "BENCH_POOL"


def make_app(url: str, *, queues: int = 1, replicas: int = 1, has_pool: bool = False) -> App:
    """Return the application, with or without a handler that makes workers start processes."""
    settings = Settings(store=StoreSettings(replicas=replicas))
    app = App("bench", servers=url, namespace=NAMESPACE, queues=map(Queue, names(queues)), settings=settings)
    app.task(work.TASK_TYPE)(work.handle)
    app.task(work.THREAD_TYPE)(work.handle_blocking)
    if has_pool:
        app.task(work.PROCESS_TYPE, pool="process")(work.handle_blocking)
    return app


def names(queues: int) -> list[str]:
    """Return the names of so many queues."""
    return [work.QUEUE, *(f"Q{number}" for number in range(1, queues))]


def environ(url: str, *, queues: int = 1, replicas: int = 1, has_pool: bool = False) -> dict[str, str]:
    """Return what a worker must be told."""
    return {URL: url, QUEUES: str(queues), REPLICAS: str(replicas), POOL: "yes" if has_pool else ""}


def command(slots: int, *options: str, loop: str = "asyncio") -> list[str]:
    """Return the command of a worker."""
    choice = "on" if loop == "uvloop" else "off"
    program = [sys.executable, "-m", "jetq", "worker", "bench.workload:app", "--log-level", "warning"]
    return [*program, "-c", str(slots), "--uvloop", choice, *options]


if found := os.environ.get(URL):
    app = make_app(
        found,
        queues=int(os.environ.get(QUEUES) or "1"),
        replicas=int(os.environ.get(REPLICAS) or "1"),
        has_pool=bool(os.environ.get(POOL)),
    )
