"""
latency: how long one task takes when nothing else is to be done.

A worker in a process of its own idles; tasks come one by one with random pauses in between, so that no loop's rhythm
is met. The handler returns the time at which it began, by the clock that all processes of a machine share.
"""

import asyncio
import random
import subprocess
import sys
import time
from typing import Any

from bench.figures import Percentiles, percentiles
from bench.side import run
from jetq import App, Task, Worker

TASK_TYPE = "bench:clock"
_PAUSE = 0.02
_FIRST = 20


def clock_app(url: str) -> App:
    """Return the application."""
    return clock_task(url)[0]


def clock_task(url: str) -> tuple[App, Task[[], int]]:
    """Return the application, and its task."""
    app = App("bench", servers=url, namespace="CLOCK")
    return app, app.task(TASK_TYPE)(clock)


async def clock() -> int:
    """Return the time, in nanoseconds of the monotonic clock."""
    return time.monotonic_ns()


def measure_latency(url: str, samples: int, loop: str) -> tuple[Percentiles, Percentiles]:
    """Return milliseconds from the enqueue to the handler's begin, and to the result."""
    command = [sys.executable, "-m", "bench.latency", url, loop]
    worker = subprocess.Popen(command)  # noqa: S603 - this very program
    try:
        return asyncio.run(_measure(clock_app(url), samples))
    finally:
        worker.terminate()
        worker.wait()


async def _measure(app: App, samples: int) -> tuple[Percentiles, Percentiles]:
    async with app:
        for _ in range(_FIRST):
            await _once(app)
        times: list[tuple[float, float]] = []
        for _ in range(samples):
            await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
            times.append(await _once(app))
    starts, ends = zip(*times, strict=True)
    return percentiles(starts), percentiles(ends)


async def _once(app: App) -> tuple[float, float]:
    began = time.monotonic_ns()
    handle: Any = await app.aenqueue(TASK_TYPE)
    started: int = await handle.aresult(timeout=30)
    return (started - began) / 1e6, (time.monotonic_ns() - began) / 1e6


if __name__ == "__main__":
    run(Worker(clock_app(sys.argv[1])).run(), sys.argv[2])
