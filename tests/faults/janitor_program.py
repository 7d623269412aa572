"""
A producer, an operator or a worker that dies where a test says::

    python -m tests.faults.janitor_program URL NAMESPACE produce POINT ID [KEY]
    python -m tests.faults.janitor_program URL NAMESPACE delay POINT ID
    python -m tests.faults.janitor_program URL NAMESPACE retry POINT ID
    python -m tests.faults.janitor_program URL NAMESPACE run-now POINT ID
    python -m tests.faults.janitor_program URL NAMESPACE serve POINT LOG

A worker is no janitor, says ``ready``, and works until it is killed. POINT is the name of a fault point.
"""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from jetq.admin.task_operations import TaskOperations
from jetq.app.application import App
from jetq.model.unique import Unique
from jetq.settings import JanitorSettings, WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.program import add_handlers, make_app
from tests.faults.unique_program import arm_death

JANITOR = JanitorSettings(every=1.0, patience=0.5)


def make_janitors_app(url: str, namespace: str) -> App:
    """Return an application whose janitor has little patience."""
    app = make_app(url, namespace)
    app.reconfigure(replace(app.settings, janitor=JANITOR))
    return app


async def act(app: App, role: str, point: str, task_id: str, *key: str) -> None:
    async with app:
        operations = TaskOperations((await app.clients.current()).backend)
        arm_death(point)
        match role:
            case "produce":
                await app.aenqueue("work", {}, id=task_id, unique=Unique(key[0]) if key else False)
            case "delay":
                await app.aenqueue("work", {}, id=task_id, delay=1.0)
            case "retry":
                await operations.retry(task_id)
            case _:
                await operations.run_now(task_id)


async def serve(app: App, point: str, log: str) -> None:
    add_handlers(app, Path(log))
    async with Worker(app, settings=WorkerSettings(concurrency=20, janitor=False)) as worker:
        arm_death(point)
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        await worker._stop.wait()


def main(url: str, namespace: str, role: str, *words: str) -> None:
    """Do what the arguments say."""
    app = make_janitors_app(url, namespace)
    asyncio.run(serve(app, *words) if role == "serve" else act(app, role, *words))


if __name__ == "__main__":
    main(*sys.argv[1:])
