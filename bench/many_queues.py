"""
many_queues: what it costs that a worker serves many queues: the same number of tasks, spread evenly over them.

Each queue is a stream with a consumer of its own, from which the worker pulls.
"""

import argparse
import asyncio
from typing import Any, Final

from bench import body, draining, side, work, workload
from bench.draining import Drain
from bench.sheet import Sheet
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"tasks": 200, "repeat": 1, "queues": "1,3"}
RATE, RATIO, CPU, SERVER_CPU = "tasks/s", "÷ one queue", "worker CPU, µs/task", "server CPU, µs/task"
_CHUNK: Final = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=12_000, help="over all queues")
    parser.add_argument("--queues", default="1,10,100", help="how many")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions")
    parser.add_argument("--slots", type=int, default=500, help="of the worker")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure each number of queues."""
    conditions = f"{given.tasks:,} tasks over all queues, {given.repeat} repetitions, {given.slots} slots"
    columns = [RATE, RATIO, CPU, SERVER_CPU]
    sheet = Sheet(bench="many-queues", about="queues", conditions=conditions, columns=columns)
    for _ in range(given.repeat):
        least = 0.0
        for named in given.queues.split(","):
            drained = drain(given.tasks, int(named), given.slots)
            least = least or drained.rate
            told = {RATE: drained.rate, RATIO: drained.rate / least, CPU: drained.cpu_us}
            sheet.put(named, {**told, SERVER_CPU: drained.server_cpu_us})
    return sheet


def drain(tasks: int, queues: int, slots: int) -> Drain:
    """Let one worker run tasks of so many queues."""
    with EmbeddedServer.start() as server:
        asyncio.run(_fill(server.url, tasks, queues))
        environ = workload.environ(server.url, queues=queues)
        warm = min(work.WARM_UP, tasks // 4)
        return draining.drain([workload.command(slots)], environ, tasks, servers=[server.pid], warm=warm)


async def _fill(url: str, tasks: int, queues: int) -> None:
    names = workload.names(queues)
    await side.make_streams(url, workload.NAMESPACE, queues=queues)
    async with workload.make_app(url, queues=queues) as app:
        for start in range(0, tasks, _CHUNK):
            calls: list[Any] = [
                app.s(work.TASK_TYPE, body.payload(index), queue=names[index % queues])
                for index in range(start, min(start + _CHUNK, tasks))
            ]
            await app.aenqueue_many(calls)
