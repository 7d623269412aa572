"""
memory: what a worker and a producer hold: before any work, and after it, with arguments of different sizes (Linux).

What a worker held is looked at when its last task has begun; what a producer held is the most that it ever did.
Whether memory grows with time is what ``soak`` tells.
"""

import argparse
import time
from typing import Final

from bench import draining, processes, side, workload
from bench.sheet import Sheet
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"tasks": 300, "repeat": 1}
WORKER, PRODUCER = "worker, RSS MiB", "producer, peak MiB"
_SIZES: Final = {"100 B": (24, 1), "10 kB": (10_000, 4), "300 kB": (300_000, 60)}
_READY: Final = 1.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=12_000, help="small tasks; of large ones a part of it")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions")
    parser.add_argument("--slots", type=int, default=50, help="of the worker")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure before and after."""
    conditions = f"{given.tasks:,} tasks or a part of it, {given.repeat} repetitions, {given.slots} slots"
    sheet = Sheet(bench="memory", about="after", conditions=conditions, columns=[WORKER, PRODUCER])
    for _ in range(given.repeat):
        with (
            EmbeddedServer.start() as server,
            processes.crew([workload.command(given.slots)], workload.environ(server.url)) as running,
        ):
            time.sleep(_READY)
            sheet.put("nothing", {WORKER: running.rss_mib()})
        for named, (size, part) in _SIZES.items():
            with EmbeddedServer.start() as server:
                draining.make_streams(server, "jetq")
                tasks = max(given.tasks // part, 60)
                spent = side.enqueue("jetq", server.url, tasks, size=size)
                drained = draining.drain_side("jetq", server, tasks, slots=given.slots)
                sheet.put(f"{tasks:,} tasks of {named}", {WORKER: drained.rss_mib, PRODUCER: spent.peak_mib})
    return sheet
