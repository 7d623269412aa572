"""
A process that dies at an arrow of a dependency: ``python -m tests.faults.dependency_program URL NAMESPACE POINT DEED``.

DEED is ``work``: serve the queue; ``enqueue``: enqueue a child of the task ``parent``; ``cancel``: cancel that task;
``retry``: retry its child. It ends without a word at the fault point.
"""

import asyncio
import os
import sys
from dataclasses import replace

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.observe.fault_points import Point, arm
from jetq.settings import JanitorSettings, Queue, WorkerSettings
from jetq.worker.worker import Worker

DIED = 17
"""Exit status."""


def make_app(url: str, namespace: str) -> App:
    """Return the application of both processes."""
    app = App("depending", namespace=namespace, queues=[Queue("DEFAULT", lease=1.0)])
    app.connect_to(Address.of(url))
    app.reconfigure(replace(app.settings, janitor=JanitorSettings(blocked_every=0.2)))

    @app.task("parent", max_tries=4)
    async def parent() -> int:
        return 1

    @app.task("bad", max_tries=1)
    async def bad() -> None:
        raise ValueError("broken")

    @app.task("child")
    async def child(ctx: Context) -> dict[str, object]:
        return {**ctx.dependency_results, "attempt": ctx.attempt}

    return app


async def enqueue(app: App) -> None:
    """Enqueue a child."""
    await app.aenqueue("child", depends_on=["parent"], load_dependencies=True, id="child")


async def do(app: App, deed: str) -> None:
    """Do it, and come to the fault point meanwhile."""
    if deed == "work":
        await Worker(app, settings=WorkerSettings(janitor=False)).run()
    elif deed == "enqueue":
        await enqueue(app)
    elif deed == "cancel":
        await app.acancel("parent")
    else:
        await app.aretry("child")


if __name__ == "__main__":
    arm(Point[sys.argv[3]], lambda: os._exit(DIED))
    asyncio.run(do(make_app(sys.argv[1], sys.argv[2]), sys.argv[4]))
