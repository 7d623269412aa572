"""
drain: how fast workers run what waits: one and two, each kind of handler, and arguments of different sizes.

The workers are the real ``jetq worker``, and each has a process of its own. Beside each size and number stands the bare
loop, whose handler is a coroutine; so the ratio of other handlers says what threads and processes cost as well. Large
arguments travel in the bare loop's items, while jetq reads a record above 64 KiB before it claims.
"""

import argparse
from typing import Final

from bench import draining, side, work
from bench.draining import Drain
from bench.sheet import Sheet
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"tasks": 200, "repeat": 1, "sizes": ["100 B"]}
JETQ, BARE, RATIO = "jetq, tasks/s", "bare loop, tasks/s", "ratio"
CPU, BARE_CPU, RSS = "jetq, CPU µs/task", "bare loop, CPU µs/task", "jetq, RSS MiB"
_SIZES: Final = {"100 B": (24, 1), "10 kB": (10_000, 4), "300 kB": (300_000, 60)}
"""Bytes of arguments, and what part of the tasks."""
_HANDLERS: Final = {
    "async": (work.TASK_TYPE, 500, 1),
    "thread": (work.THREAD_TYPE, 50, 2),
    "process": (work.PROCESS_TYPE, 50, 6),
}
"""Task type, slots, and what part of the tasks."""
_WORKERS: Final = (1, 2)
_POOL: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=12_000, help="small tasks for async handlers")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions")
    parser.add_argument("--sizes", nargs="+", choices=list(_SIZES), default=list(_SIZES), help="of arguments")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of all workers")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure every kind."""
    slots = ", ".join(f"{name} {slots}" for name, (_, slots, _) in _HANDLERS.items())
    sheet = Sheet(
        bench="drain",
        about="handler, arguments, workers",
        conditions=f"{given.tasks:,} tasks or a part of it, {given.repeat} repetitions, {given.loop}; slots: {slots}",
        columns=[JETQ, BARE, RATIO, CPU, BARE_CPU, RSS],
        notes=["A worker's process pool has two processes."],
    )
    for _ in range(given.repeat):
        for named in given.sizes:
            for workers in _WORKERS:
                _beside(sheet, given, named, workers)
    return sheet


def _beside(sheet: Sheet, given: argparse.Namespace, named: str, workers: int) -> None:
    """Measure the bare loop and every kind of handler after it."""
    size, part = _SIZES[named]
    small = max(given.tasks // part, 60)
    bare = _drained("bare", small, size, given.loop, workers=workers)
    for kind, (task_type, slots, fewer) in _HANDLERS.items():
        tasks = max(small // fewer, 60)
        ours = _drained("jetq", tasks, size, given.loop, workers=workers, task_type=task_type, slots=slots)
        told = {JETQ: ours.rate, BARE: bare.rate, RATIO: ours.rate / bare.rate, CPU: ours.cpu_us}
        label = f"{kind}, {named}, {workers}"
        sheet.put(label, {**told, BARE_CPU: bare.cpu_us, RSS: ours.rss_mib})


def _drained(
    name: str,
    tasks: int,
    size: int,
    loop: str,
    *,
    workers: int,
    task_type: str = work.TASK_TYPE,
    slots: int = 500,
) -> Drain:
    with EmbeddedServer.start() as server:
        draining.make_streams(server, name)
        side.enqueue(name, server.url, tasks, size=size, task_type=task_type)
        pool = _POOL if task_type == work.PROCESS_TYPE else 0
        return draining.drain_side(name, server, tasks, workers=workers, slots=slots, loop=loop, processes=pool)
