"""
limit: how near jetq comes to the bare loop, measured beside it in one run.

Each repetition starts a server for each side, and every half (enqueue, work) is a process of its own: first one side
enqueues, then the other, then one works, then the other; who is first changes with each repetition. A ratio is that of
one repetition, whose halves saw the same machine. Processor time of a task is told as well, since it depends less on
what else the machine does.
"""

import argparse
from contextlib import ExitStack
from typing import Final

from bench import draining, side, work
from bench.sheet import Goal, Sheet
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"tasks": 300, "repeat": 1}
SIDES: Final = ("bare", "jetq")
BARE, JETQ, RATIO = "bare loop", "jetq", "ratio"
ENQUEUE_RATE, DRAIN_RATE = "enqueue_many, tasks/s", "one worker, tasks/s"
_GOALS: Final = (
    (DRAIN_RATE, Goal("worker drain ÷ bare loop", 0.70, at_least=True, reached=[])),
    (ENQUEUE_RATE, Goal("enqueue_many ÷ bare loop", 0.75, at_least=True, reached=[])),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=20_000, help="tasks of each half of each repetition")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions")
    parser.add_argument("--slots", type=int, default=500, help="tasks that a worker runs at one time, on both sides")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of both sides' processes")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure everything."""
    conditions = f"{given.tasks:,} tasks, {given.repeat} repetitions, {given.slots} slots, {given.loop}"
    sheet = Sheet(bench="limit", about="one no-op", conditions=conditions, columns=[BARE, JETQ, RATIO])
    for number in range(given.repeat):
        sides = SIDES if number % 2 else SIDES[::-1]
        with ExitStack() as stack:
            servers = {name: stack.enter_context(EmbeddedServer.start()) for name in sides}
            for name in sides:
                draining.make_streams(servers[name], name)
            made = {name: side.enqueue(name, servers[name].url, given.tasks, loop=given.loop) for name in sides}
            drained = {
                name: draining.drain_side(
                    name, servers[name], given.tasks + work.WARM_UP, slots=given.slots, loop=given.loop
                )
                for name in sides
            }
        _pair(sheet, ENQUEUE_RATE, *(made[name].rate for name in SIDES))
        _pair(sheet, "enqueue_many, CPU µs/task", *(made[name].cpu_us for name in SIDES), inverse=True)
        _pair(sheet, DRAIN_RATE, *(drained[name].rate for name in SIDES))
        _pair(sheet, "one worker, CPU µs/task", *(drained[name].cpu_us for name in SIDES), inverse=True)
        _pair(sheet, "its server, CPU µs/task", *(drained[name].server_cpu_us for name in SIDES), inverse=True)
    for label, goal in _GOALS:
        sheet.goals.append(Goal(goal.measure, goal.bound, goal.at_least, sheet.values(label, RATIO)))
    return sheet


def _pair(sheet: Sheet, label: str, bare: float, jetq: float, *, inverse: bool = False) -> None:
    """Add both sides; where less is better, the ratio is upside down, so that it means the same."""
    sheet.put(label, {BARE: bare, JETQ: jetq, RATIO: bare / max(jetq, 1e-9) if inverse else jetq / max(bare, 1e-9)})
