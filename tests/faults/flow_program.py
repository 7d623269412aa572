"""
A process that dies at an arrow of a flow: ``python -m tests.faults.flow_program URL NAMESPACE POINT DEED [COUNT]``.

DEED is ``submit``: submit a flow; ``after``: submit one of which tasks depend on a task that exists; ``pass``: make a
pass over the markers, to which every submitter is dead. It ends without a word when it comes to the fault point for the
COUNT-th time.
"""

import asyncio
import os
import sys
from datetime import timedelta

from jetq.admin.blocked_pass import BlockedPass
from jetq.admin.flow_pass import FlowPass
from jetq.admin.janitor import always
from jetq.app.application import App
from jetq.client import flow_submission
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue
from tests.integration.flows import node, submit

DIED = 17
"""Exit status."""
WIDTH = 8
NODES = (
    *(node(f"root-{number}", task_type="count") for number in range(WIDTH)),
    *(node(f"inner-{number}", number, (number + 1) % WIDTH, task_type="count") for number in range(WIDTH)),
    node("lenient", 0, 1, task_type="count", on_failure="ignore"),
    node("last", *range(WIDTH, 2 * WIDTH + 1), task_type="count"),
)

PARENT = "PARENT"
AFTER = (
    *(node(f"root-{number}", *[PARENT][number % 2 :], task_type="count") for number in range(WIDTH)),
    *(node(f"inner-{number}", number, (number + 1) % WIDTH, task_type="count") for number in range(WIDTH)),
    node("last", *range(WIDTH, 2 * WIDTH), PARENT, task_type="count"),
)
"""Half of its roots, and its last task, depend on a task that exists."""


def make_app(url: str, namespace: str) -> App:
    """Return the application of both processes."""
    app = App("flows", namespace=namespace, queues=[Queue("DEFAULT", lease=1.0)])
    app.connect_to(Address.of(url))

    @app.task("count")
    async def count(ctx: Context) -> int:
        return ctx.attempt

    return app


async def look(app: App) -> None:
    """Make a pass over the markers."""
    backend = (await app.clients.current()).backend
    flows = FlowPass(backend, submitted=timedelta(0))
    await BlockedPass(backend, flows).run(always)
    await flows.sweep((), always)


async def do(app: App, deed: str) -> None:
    """Do it, and come to the fault point meanwhile."""
    if deed != "pass":
        setattr(flow_submission, "_PART", 5)  # noqa: B010 - so that a flow has parts
        await submit(app, *(NODES if deed == "submit" else AFTER))
    else:
        await look(app)


def dying(count: int) -> None:
    """Die when called for the last of *count* times."""
    left.append(count)
    if len(left) >= count:
        os._exit(DIED)


left: list[int] = []

if __name__ == "__main__":
    times = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    arm(Point[sys.argv[3]], lambda: dying(times))
    asyncio.run(do(make_app(sys.argv[1], sys.argv[2]), sys.argv[4]))
