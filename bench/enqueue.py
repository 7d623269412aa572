"""
enqueue: how fast tasks are stored: one after the other or many at once, and with arguments of different sizes.

Beside each way stands the bare loop's, which makes the same two acknowledged writes and publishes the same event. The
bare loop has no blocking form; what blocks is compared with the bare loop that awaits one after the other.
"""

import argparse
from typing import Final

from bench import draining, side
from bench.sheet import Sheet
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"tasks": 300, "repeat": 1}
JETQ, BARE, RATIO, CPU, PEAK = "jetq, tasks/s", "bare loop, tasks/s", "ratio", "jetq, CPU µs/task", "jetq, peak MiB"
_SMALL: Final = 24
_WAYS: Final = (
    ("enqueue, one after the other", "sync", _SMALL, 8),
    ("aenqueue, one after the other", "single", _SMALL, 8),
    ("aenqueue, 100 at one time", "abreast", _SMALL, 2),
    ("enqueue_many", "many", _SMALL, 1),
    ("enqueue_many, 10 kB", "many", 10_000, 8),
    ("enqueue_many, 300 kB", "many", 300_000, 100),
)
"""How, in which mode, with how many bytes, and what part of the tasks."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=16_000, help="small tasks that are enqueued at once")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of both sides")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure every way, with both sides in turns."""
    conditions = f"{given.tasks:,} tasks or a part of it, {given.repeat} repetitions, {given.loop}"
    sheet = Sheet(bench="enqueue", about="way", conditions=conditions, columns=[JETQ, BARE, RATIO, CPU, PEAK])
    for number in range(given.repeat):
        for label, mode, size, part in _WAYS:
            tasks = max(given.tasks // part, 20)
            with EmbeddedServer.start() as server:
                draining.make_streams(server, *side.NAMESPACES)
                spent = {
                    name: side.enqueue(
                        name,
                        server.url,
                        tasks,
                        mode="single" if (name, mode) == ("bare", "sync") else mode,
                        size=size,
                        loop=given.loop,
                    )
                    for name in (("bare", "jetq") if number % 2 else ("jetq", "bare"))
                }
            jetq, bare = spent["jetq"], spent["bare"]
            told = {JETQ: jetq.rate, BARE: bare.rate, RATIO: jetq.rate / bare.rate}
            sheet.put(label, {**told, CPU: jetq.cpu_us, PEAK: jetq.peak_mib})
    return sheet
