"""
delayed: how late tasks with a delay are, and what storing them costs.

All are due at one moment, which is the worst case, or each a little later than the one before. The server keeps the
time; lateness is from the moment at which a task was due to the first line of its handler.
"""

import argparse
import asyncio
import time
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any, Final

from bench import body, processes, work, workload
from bench.sheet import Sheet
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"tasks": 50, "repeat": 1, "delay": 1.0, "spread": 0.5}
STORED, P50, P99, WORST, DRAINED = "stored, tasks/s", "late p50, s", "late p99, s", "worst, s", "begun, tasks/s"
_PATIENCE: Final = 120.0
_CHUNK: Final = 1000
_SLOWEST: Final = 4_000
"""Tasks a second that are stored at least, so that the first is due after the last was stored."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=2_000, help="how many")
    parser.add_argument("--delay", type=float, default=4.0, help="seconds until they are due")
    parser.add_argument("--spread", type=float, default=4.0, help="seconds over which they are due when not at once")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions")
    parser.add_argument("--slots", type=int, default=500, help="of the worker")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure both."""
    conditions = f"{given.tasks:,} tasks, {given.repeat} repetitions, {given.slots} slots"
    columns = [STORED, P50, P99, WORST, DRAINED]
    sheet = Sheet(bench="delayed", about="due", conditions=conditions, columns=columns)
    for _ in range(given.repeat):
        for label, spread in (("all at once", 0.0), (f"over {given.spread:g} s", given.spread)):
            sheet.put(label, due(given.tasks, given.delay, spread, given.slots))
    return sheet


def due(tasks: int, delay: float, spread: float, slots: int) -> dict[str, float]:
    """Store tasks that are due after so many seconds, evenly over the next ones; return the figures."""
    with (
        EmbeddedServer.start() as server,
        processes.crew([workload.command(slots)], workload.environ(server.url)) as running,
    ):
        stored, began, first = asyncio.run(_store(server.url, tasks, delay, spread))
        running.await_count(tasks, delay + spread + _PATIENCE)
        notes = body.read(running.notes)
    late = [(note.began - began) / 1e9 - first - spread * note.task / tasks for note in notes]
    cuts = quantiles(late, n=100, method="inclusive")
    took = (max(note.began for note in notes) - min(note.began for note in notes)) / 1e9
    return {
        STORED: tasks / stored,
        P50: cuts[49],
        P99: cuts[98],
        WORST: max(late),
        DRAINED: (tasks - 1) / max(took, 1e-9),
    }


async def _store(url: str, tasks: int, delay: float, spread: float) -> tuple[float, int, float]:
    """
    Store them.

    Returns:
        The seconds that took, a moment of the monotonic clock, and the seconds from that moment until the first is due.
    """
    async with workload.make_app(url) as app:
        began, clock = time.monotonic_ns(), time.perf_counter()
        lasts = tasks / _SLOWEST
        first = datetime.now(UTC) + timedelta(seconds=delay + lasts)
        for start in range(0, tasks, _CHUNK):
            calls: list[Any] = [
                app.s(work.TASK_TYPE, body.payload(index), run_at=first + timedelta(seconds=spread * index / tasks))
                for index in range(start, min(start + _CHUNK, tasks))
            ]
            await app.aenqueue_many(calls)
        return time.perf_counter() - clock, began, delay + lasts
