"""
A worker process that dies while a retry moves: ``python -m tests.faults.moving_program URL NAMESPACE POINT``.

It serves one queue, whose tasks it moves to another, and ends without a word at the fault point.
"""

import asyncio
import os
import sys

from jetq.app.application import App
from jetq.errors import Retry
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue
from jetq.worker.worker import Worker

LEASE = 1.0
DIED = 17
"""Exit status."""


def make_app(url: str, namespace: str) -> App:
    """Return the application of both processes."""
    app = App("moving", namespace=namespace, queues=[Queue(name, lease=LEASE) for name in ("DEFAULT", "BULK")])
    app.connect_to(Address.of(url))

    @app.task("move")
    async def move(ctx: Context) -> list[object]:
        if ctx.queue == "DEFAULT":
            raise Retry(0, queue="BULK")
        return [ctx.queue, ctx.attempt, ctx.tries]

    return app


if __name__ == "__main__":
    arm(Point[sys.argv[3]], lambda: os._exit(DIED))
    asyncio.run(Worker(make_app(sys.argv[1], sys.argv[2]), queues=["DEFAULT"]).run())
