"""
flows: what it costs that tasks wait for others.

A worker in a process of its own idles, and one server serves all of it. A hop is from the first line of a handler to
that of the next one in a chain of tasks that do nothing; it is compared with the round trip of a single task, measured
in the same run, between the chains. A fan is one task, very many that wait for it, and one that waits for all of them.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import time
from statistics import median
from typing import Any

from bench.sheet import Goal, Sheet
from bench.side import run
from jetq import App, Flow, Node, Task, Worker, chain, group
from jetq.client.flow_handle import FlowHandle
from jetq.jetstream.server import EmbeddedServer

HOP_GOAL = 3.0
QUICK = {"chain": 5, "fan": 5, "nodes": 5, "samples": 5, "repeat": 1}
_FIGURE = "figure"
_BRANCHES = 10
_PAUSE = 0.02
_FIRST = 20
_PATIENCE = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--chain", type=int, default=100, help="tasks of a chain")
    parser.add_argument("--fan", type=int, default=1000, help="tasks in the middle of a fan")
    parser.add_argument("--nodes", type=int, default=10_000, help="tasks that are submitted together")
    parser.add_argument("--samples", type=int, default=100, help="single tasks of each repetition")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of the worker")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure chains, fans and submissions, and single tasks between them."""
    with EmbeddedServer.start() as server:
        command = [sys.executable, "-m", "bench.flows", server.url, given.loop]
        worker = subprocess.Popen(command)  # noqa: S603 - this very program
        try:
            return asyncio.run(_measure(server.url, given))
        finally:
            worker.terminate()
            worker.wait()


async def _measure(url: str, given: argparse.Namespace) -> Sheet:
    conditions = f"{given.repeat} repetitions, {given.samples} single tasks in each"
    sheet = Sheet(bench="flows", about="tasks that wait for others", conditions=conditions, columns=[_FIGURE])
    ratios: list[float] = []
    app, task = clock_task(url)
    async with app:
        await _round_trip(task, _FIRST)
        await _chain(task, _FIRST)
        for _ in range(given.repeat):
            trip, hop = await _round_trip(task, given.samples), await _chain(task, given.chain)
            ratios.append(hop / trip)
            sheet.put(f"hop in a chain of {given.chain:,}, ms", {_FIGURE: hop})
            sheet.put("round trip of one task, ms", {_FIGURE: trip})
            sheet.put(f"fan of {given.fan:,}, tasks/s", {_FIGURE: await _fan(task, given.fan)})
            sheet.put(f"submission of {given.nodes:,}, tasks/s", {_FIGURE: await _submit(task, given.nodes)})
    sheet.goals.append(Goal("hop ÷ round trip of a single task", HOP_GOAL, at_least=False, reached=ratios))
    return sheet


async def _round_trip(task: Task[[], int], samples: int) -> float:
    """Return the milliseconds of a single task."""
    times: list[float] = []
    for _ in range(samples):
        await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
        began = time.monotonic_ns()
        await (await task.aenqueue()).aresult(timeout=30)
        times.append((time.monotonic_ns() - began) / 1e6)
    return median(times)


async def _chain(task: Task[[], int], tasks: int) -> float:
    """Return the milliseconds from one task of a chain to the next."""
    line = chain(task.si(), *[task.si()] * (tasks - 2), task.si())
    return await _spent(await line.aenqueue()) / (tasks - 1) * 1e3


async def _fan(task: Task[[], int], tasks: int) -> float:
    """Return how many tasks a second begin after the first of a fan."""
    fan = chain(task.si(), group([task.si()] * tasks), task.si())
    return (tasks + 1) / await _spent(await fan.aenqueue())


async def _submit(task: Task[[], int], tasks: int) -> float:
    """Return how many tasks of a flow a second are stored; each but the first waits for one of those before it."""
    nodes: list[Node] = []
    with Flow("bench") as flow:
        for place in range(tasks):
            nodes.append(flow.add(task.si(), after=nodes[(place - 1) // _BRANCHES] if place else ()))
    began = time.perf_counter()
    handle = await flow.aenqueue()
    spent = time.perf_counter() - began
    await handle.acancel()
    return tasks / spent


async def _spent(flow: FlowHandle[Any]) -> float:
    """Return the seconds from the first line of the first task of a flow to that of the last."""
    await flow.aresult(timeout=_PATIENCE)
    began, *_, ended = [await node.aresult(timeout=_PATIENCE) for node in flow.nodes.values()]
    return (ended - began) / 1e9


def clock_task(url: str) -> tuple[App, Task[[], int]]:
    """Return the application, and its task."""
    app = App("bench", servers=url, namespace="CLOCK")
    return app, app.task("bench:clock")(clock)


async def clock() -> int:
    """Return the time, in nanoseconds of the monotonic clock."""
    return time.monotonic_ns()


if __name__ == "__main__":
    run(Worker(clock_task(sys.argv[1])[0]).run(), sys.argv[2])
