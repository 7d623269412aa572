"""
A worker process that is killed around a discard: ``python -m tests.faults.discarding_program URL NAMESPACE POINT``.

Its tasks are not kept when they end; it kills itself at the fault point.
"""

import asyncio
import os
import signal
import sys

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue
from jetq.worker.worker import Worker

LEASE = 1.0


def make_app(url: str, namespace: str) -> App:
    """Return the application of both processes."""
    app = App("discarding", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE)], retention=0)
    app.connect_to(Address.of(url))

    @app.task("once")
    async def once(ctx: Context) -> int:
        return ctx.attempt

    return app


if __name__ == "__main__":
    arm(Point[sys.argv[3]], lambda: os.kill(os.getpid(), signal.SIGKILL))
    asyncio.run(Worker(make_app(sys.argv[1], sys.argv[2])).run())
