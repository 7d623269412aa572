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

import msgspec
from msgspec import Struct

from bench import work
from bench.figures import Figure, figure
from bench.latency import clock_task
from jetq import App, Task, TaskHandle
from jetq.jetstream.server import EmbeddedServer

HOP_GOAL = 3.0
_LATER = 3600.0
_PAUSE = 0.02
_FIRST = 20
_PATIENCE = 120.0


class Report(Struct):
    """
    All figures; the first has a goal.

    Attributes:
        hop_ratio: A hop in a chain, as a multiple of a single task's round trip.
        hop_ms: A hop.
        round_trip_ms: From ``enqueue`` of a single task to its result.
        fan_per_second: Tasks a second, from the first line of the first task of a fan to that of the last one.
        submit_per_second: Tasks a second that are stored blocked, all waiting for one.
        chain, fan, nodes: How many tasks each of these had.
        repeat: Repetitions.
    """

    hop_ratio: Figure
    hop_ms: Figure
    round_trip_ms: Figure
    fan_per_second: Figure
    submit_per_second: Figure
    chain: int
    fan: int
    nodes: int
    repeat: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--chain", type=int, default=100, help="tasks of a chain")
    parser.add_argument("--fan", type=int, default=1000, help="tasks in the middle of a fan")
    parser.add_argument("--nodes", type=int, default=10_000, help="tasks that are submitted together")
    parser.add_argument("--samples", type=int, default=100, help="single tasks of each repetition")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of the worker")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    with EmbeddedServer.start() as server:
        command = [sys.executable, "-m", "bench.latency", server.url, given.loop]
        worker = subprocess.Popen(command)  # noqa: S603 - this very program
        try:
            report = asyncio.run(_measure(server.url, given))
        finally:
            worker.terminate()
            worker.wait()
    print(msgspec.json.format(work.encode(report)).decode() if given.json else text(report))


async def _measure(url: str, given: argparse.Namespace) -> Report:
    trips: list[float] = []
    hops: list[float] = []
    fans: list[float] = []
    submissions: list[float] = []
    app, task = clock_task(url)
    async with app:
        await _round_trip(task, _FIRST)
        await _chain(task, _FIRST)
        for _ in range(given.repeat):
            trips.append(await _round_trip(task, given.samples))
            hops.append(await _chain(task, given.chain))
            fans.append(await _fan(app, task, given.fan))
            submissions.append(await _submit(app, task, given.nodes))
    return Report(
        hop_ratio=figure(hop / trip for hop, trip in zip(hops, trips, strict=True)),
        hop_ms=figure(hops),
        round_trip_ms=figure(trips),
        fan_per_second=figure(fans),
        submit_per_second=figure(submissions),
        chain=given.chain,
        fan=given.fan,
        nodes=given.nodes,
        repeat=given.repeat,
    )


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
    first = last = await task.using(delay=_LATER).aenqueue()
    for _ in range(tasks - 1):
        last = await task.using(depends_on=[last]).aenqueue()
    return await _spent(first, last) / (tasks - 1) * 1e3


async def _fan(app: App, task: Task[[], int], tasks: int) -> float:
    """Return how many tasks a second end between the first and the last of a fan."""
    first = await task.using(delay=_LATER).aenqueue()
    middle = await app.aenqueue_many([task.using(depends_on=[first]).s()] * tasks)
    last = await task.using(depends_on=middle).aenqueue()
    return (tasks + 1) / await _spent(first, last)


async def _submit(app: App, task: Task[[], int], tasks: int) -> float:
    """Return how many tasks a second are stored that wait for one."""
    first = await task.using(delay=_LATER).aenqueue()
    waiting = [task.using(depends_on=[first]).s()] * tasks
    began = time.perf_counter()
    await app.aenqueue_many(waiting)
    spent = time.perf_counter() - began
    await first.acancel()
    return tasks / spent


async def _spent(first: TaskHandle[Any], last: TaskHandle[Any]) -> float:
    """Start the first of some tasks; return the seconds from its first line to that of the last."""
    await first.arun_now()
    ended: int = await last.aresult(timeout=_PATIENCE)
    began: int = await first.aresult(timeout=_PATIENCE)
    return (ended - began) / 1e9


def text(report: Report) -> str:
    """Return the report for people."""
    return f"""{report.repeat} repetitions: median (lowest-highest)

hop in a chain of {report.chain:,}, ms:    {report.hop_ms.text(2)}
round trip of one task, ms:  {report.round_trip_ms.text(2)}
fan of {report.fan:,}, tasks/s:       {report.fan_per_second.text()}
submission of {report.nodes:,}, tasks/s: {report.submit_per_second.text()}

hop_ratio {report.hop_ratio.text(2)} (goal: under {HOP_GOAL:g})"""
