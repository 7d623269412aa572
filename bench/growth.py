"""
growth: whether a task costs the same when there is more of everything.

Each part is measured beside its own small case, and a ratio below 0.8 asks for a reason:

- queues: one worker that serves 1, 10 and 100 of them.
- stored: the same number of tasks is drained after 1,000, 100,000 and more that ended are stored.
- processes: 1, 2, 4 and 8 workers. More than there are cores cannot be faster; what a task costs is then the figure.
- delayed: so many tasks wait for a time far away while others are drained.
- copies: one copy on one server, and three on three, each beside the bare loop with as many.
"""

import argparse
import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from bench import body, draining, many_queues, side, work, workload
from bench.draining import Drain
from bench.sheet import Goal, Sheet
from jetq.jetstream.server import EmbeddedServer
from tests.servers import TestCluster

QUICK: Final = {
    "tasks": 200,
    "repeat": 1,
    "queues": "1,3",
    "stored": "100,300",
    "processes": "1,2",
    "delayed": "0,300",
    "copies": "1",
}
RATE, RATIO, CPU, SERVER_CPU = "tasks/s", "÷ first", "worker CPU, µs/task", "server CPU, µs/task"
BARE, BARE_RATIO = "bare loop, tasks/s", "÷ bare loop"
_BOUND: Final = 0.8
_CHUNK: Final = 5_000
_SLOTS: Final = 500
_FAR: Final = timedelta(hours=12)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=12_000, help="that are drained in each case")
    parser.add_argument("--repeat", type=int, default=2, help="repetitions")
    parser.add_argument("--parts", nargs="+", choices=list(_PARTS), default=list(_PARTS), help="which ones")
    parser.add_argument("--queues", default="1,10,100", help="how many")
    parser.add_argument("--stored", default="1000,100000", help="tasks that are stored; 1000000 takes minutes")
    parser.add_argument("--processes", default="1,2,4,8", help="workers")
    parser.add_argument("--delayed", default="0,50000", help="tasks that wait; 1000000 takes minutes")
    parser.add_argument("--copies", default="1,3", help="of the store; 3 starts three servers")


class Case(NamedTuple):
    """What is drained: on which servers (their processes), by how many workers, and with how many copies."""

    url: str
    servers: list[int]
    tasks: int
    workers: int = 1
    copies: int = 1


def measure(given: argparse.Namespace) -> Sheet:
    """Measure every part."""
    conditions = f"{given.tasks:,} tasks are drained, {given.repeat} repetitions, {_SLOTS} slots a worker"
    columns = [RATE, RATIO, CPU, SERVER_CPU, BARE, BARE_RATIO]
    sheet = Sheet(bench="growth", about="more of", conditions=conditions, columns=columns)
    for _ in range(given.repeat):
        for part in given.parts:
            _PARTS[part](sheet, given)
    for part in given.parts:
        if part != "processes":
            labels = [row.label for row in sheet.rows if row.label.startswith(part)]
            column = BARE_RATIO if part == "copies" else RATIO
            measure = f"{labels[-1]} ÷ {'bare loop' if part == 'copies' else labels[0]}"
            bound = 0.7 if part == "copies" else _BOUND
            sheet.goals.append(Goal(measure, bound, at_least=True, reached=sheet.values(labels[-1], column)))
    return sheet


def _put(sheet: Sheet, label: str, drained: Drain, first: Drain, bare: Drain | None = None) -> None:
    told = {
        RATE: drained.rate,
        RATIO: drained.rate / first.rate,
        CPU: drained.cpu_us,
        SERVER_CPU: drained.server_cpu_us,
    }
    if bare is not None:
        told |= {BARE: bare.rate, BARE_RATIO: drained.rate / bare.rate}
    sheet.put(label, told)


def _queues(sheet: Sheet, given: argparse.Namespace) -> None:
    first: Drain | None = None
    for named in given.queues.split(","):
        drained = many_queues.drain(given.tasks, int(named), _SLOTS)
        first = first or drained
        _put(sheet, f"queues: {int(named):,}", drained, first)


def _stored(sheet: Sheet, given: argparse.Namespace) -> None:
    """Store tasks that have ended, whose items are gone, and drain others after them."""
    first: Drain | None = None
    stored = 0
    with EmbeddedServer.start() as server:
        draining.make_streams(server, "jetq")
        for size in map(int, given.stored.split(",")):
            while stored < size:
                tasks = min(size - stored, _CHUNK * 4)
                side.enqueue("jetq", server.url, tasks)
                _drained(Case(server.url, [server.pid], tasks))
                stored += tasks
            side.enqueue("jetq", server.url, given.tasks)
            drained = _drained(Case(server.url, [server.pid], given.tasks))
            stored += given.tasks
            first = first or drained
            _put(sheet, f"stored: {size:,}", drained, first)


def _processes(sheet: Sheet, given: argparse.Namespace) -> None:
    first: Drain | None = None
    for workers in map(int, given.processes.split(",")):
        with EmbeddedServer.start() as server:
            draining.make_streams(server, "jetq")
            tasks = given.tasks * min(workers, 2)
            side.enqueue("jetq", server.url, tasks)
            drained = _drained(Case(server.url, [server.pid], tasks, workers=workers))
        first = first or drained
        _put(sheet, f"processes: {workers}", drained, first)


def _delayed(sheet: Sheet, given: argparse.Namespace) -> None:
    first: Drain | None = None
    waiting = 0
    with EmbeddedServer.start() as server:
        draining.make_streams(server, "jetq")
        for size in map(int, given.delayed.split(",")):
            asyncio.run(_store_delayed(server.url, size - waiting))
            waiting = size
            side.enqueue("jetq", server.url, given.tasks)
            drained = _drained(Case(server.url, [server.pid], given.tasks))
            first = first or drained
            _put(sheet, f"delayed: {size:,}", drained, first)


async def _store_delayed(url: str, tasks: int) -> None:
    async with workload.make_app(url) as app:
        at = datetime.now(UTC) + _FAR
        for start in range(0, tasks, _CHUNK):
            calls: list[Any] = [
                app.s(work.TASK_TYPE, body.payload(index), run_at=at)
                for index in range(start, min(start + _CHUNK, tasks))
            ]
            await app.aenqueue_many(calls)


def _copies(sheet: Sheet, given: argparse.Namespace) -> None:
    first: Drain | None = None
    for copies in map(int, given.copies.split(",")):
        with ExitStack() as stack:
            if copies == 1:
                server = stack.enter_context(EmbeddedServer.start())
                url, servers = server.url, [server.pid]
            else:
                cluster = stack.enter_context(TestCluster.start(copies))
                url, servers = cluster.servers[0].url, [each.pid for each in cluster.servers]
            found: dict[str, Drain] = {}
            for name in ("bare", "jetq"):
                asyncio.run(side.make_streams(url, side.NAMESPACES[name], replicas=copies))
                side.enqueue(name, url, given.tasks, replicas=copies)
                found[name] = _drained(Case(url, servers, given.tasks, copies=copies), name)
        first = first or found["jetq"]
        _put(sheet, f"copies: {copies}", found["jetq"], first, found["bare"])


def _drained(case: Case, name: str = "jetq") -> Drain:
    """Drain all that waits; the tasks that warmed up the producer are among it."""
    command = workload.command(_SLOTS) if name == "jetq" else side.bare_worker(case.url, _SLOTS, "asyncio")
    environ = workload.environ(case.url, replicas=case.copies)
    total = case.tasks + work.WARM_UP
    warm = min(work.WARM_UP, case.tasks // 4)
    return draining.drain([command] * case.workers, environ, total, servers=case.servers, warm=warm)


_PARTS: Final[dict[str, Callable[[Sheet, argparse.Namespace], None]]] = {
    "queues": _queues,
    "stored": _stored,
    "processes": _processes,
    "delayed": _delayed,
    "copies": _copies,
}
