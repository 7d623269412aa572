"""
A producer or a worker that dies where a test says::

    python -m tests.faults.unique_program URL NAMESPACE produce COUNT MODE POINT
    python -m tests.faults.unique_program URL NAMESPACE serve LOG POINT

The first says ``ready``, waits for a line, enqueues COUNT tasks of one key at one moment and prints what it got, a
line each. The second says ``ready`` and works until it is killed. POINT is the name of a fault point, or ``none``.
"""

import asyncio
import os
import signal
import sys

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.model.unique import Unique
from jetq.observe.fault_points import Point, arm
from jetq.settings import WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.program import make_app

NO_POINT = "none"


def unique_of(mode: str) -> Unique:
    """Return the wish of a mode for the one key."""
    return Unique("k", mode=mode, period=60 if mode == "period" else None)


def arm_death(point: str) -> None:
    """Let this process die as if it was killed when it passes a point."""
    if point != NO_POINT:
        arm(Point[point], lambda: os.kill(os.getpid(), signal.SIGKILL))


async def produce(app: App, count: int, mode: str, point: str) -> None:
    async with app:
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        sys.stdin.readline()
        arm_death(point)
        tasks = [app.aenqueue("once", {"number": number}, unique=unique_of(mode)) for number in range(count)]
        for handle in await asyncio.gather(*tasks):
            print(handle.id, int(handle.is_new), flush=True)  # noqa: T201 - the test reads it


def add_handler(app: App, log: str) -> None:
    stream = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    @app.task("once")
    async def once(ctx: Context, number: int) -> int:
        os.write(stream, f"start {ctx.task_id} {number}\n".encode())
        await asyncio.sleep(0.3)
        os.write(stream, f"end {ctx.task_id} {number}\n".encode())
        return number


async def serve(app: App, log: str, point: str) -> None:
    add_handler(app, log)
    async with Worker(app, settings=WorkerSettings(concurrency=20)) as worker:
        arm_death(point)
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        await worker._stop.wait()


def main(url: str, namespace: str, role: str, *words: str) -> None:
    """Do what the arguments say."""
    app = make_app(url, namespace)
    if role == "produce":
        count, mode, point = words
        asyncio.run(produce(app, int(count), mode, point))
    else:
        log, point = words
        asyncio.run(serve(app, log, point))


if __name__ == "__main__":
    main(*sys.argv[1:])
