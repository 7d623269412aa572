"""
limit: how near jetq comes to the bare loop, measured beside it in one run.

Each repetition starts a server for each side, and every half (enqueue, work) is a process of its own: first one side
enqueues, then the other, then one works, then the other; who is first changes with each repetition. A ratio is that of
one repetition, whose halves saw the same machine; what is told is the median of the ratios, with the lowest and
the highest. Processor time of a task is told as well, since it depends less on what else the machine does.
"""

import argparse
import asyncio
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version

import msgspec
from msgspec import Struct

from bench import work
from bench.figures import Figure, Percentiles, figure, rows
from bench.latency import measure_latency
from bench.side import BARE_NAMESPACE, JETQ_NAMESPACE
from bench.work import Spent
from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import Names

NAMESPACES = {"bare": BARE_NAMESPACE, "jetq": JETQ_NAMESPACE}
HALVES = ("enqueue", "work")


class Half(Struct):
    """Both sides of enqueueing or of working."""

    bare_per_second: Figure
    jetq_per_second: Figure
    ratio: Figure
    bare_cpu_us: Figure
    jetq_cpu_us: Figure
    cpu_ratio: Figure


class Report(Struct):
    """
    All figures. The first two are the ones that have goals; latencies in milliseconds.

    Attributes:
        enqueue_ratio: jetq's rate of enqueue_many as a part of the bare loop's.
        drain_ratio: The same of one worker process.
        start_ms: From ``enqueue`` to the handler's first line, with an idle worker.
        round_trip_ms: From ``enqueue`` to the result.
    """

    enqueue_ratio: float
    drain_ratio: float
    enqueue: Half
    drain: Half
    start_ms: Percentiles
    round_trip_ms: Percentiles
    tasks: int
    repeat: int
    slots: int
    loop: str
    machine: dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", type=int, default=20_000, help="tasks of each half of each repetition")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions")
    parser.add_argument("--slots", type=int, default=500, help="tasks that a worker runs at one time, on both sides")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of the workers")
    parser.add_argument("--samples", type=int, default=500, help="tasks for the latency")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    report = measure(given.tasks, given.repeat, slots=given.slots, loop=given.loop, samples=given.samples)
    print(msgspec.json.format(work.encode(report)).decode() if given.json else text(report))


def measure(tasks: int, repeat: int, *, slots: int, loop: str, samples: int) -> Report:
    """Measure everything."""
    rounds = [_repetition(number, tasks, slots, loop) for number in range(repeat)]
    enqueue, drain = (_half([each[half] for each in rounds]) for half in HALVES)
    with EmbeddedServer.start() as server:
        start_ms, round_trip_ms = measure_latency(server.url, samples, loop)
    return Report(
        enqueue_ratio=round(enqueue.ratio.median, 3),
        drain_ratio=round(drain.ratio.median, 3),
        enqueue=enqueue,
        drain=drain,
        start_ms=start_ms,
        round_trip_ms=round_trip_ms,
        tasks=tasks,
        repeat=repeat,
        slots=slots,
        loop=loop,
        machine=_machine(),
    )


def _repetition(number: int, tasks: int, slots: int, loop: str) -> dict[str, dict[str, Spent]]:
    """Do every half of every side once; return what it took by half and side."""
    sides = ["bare", "jetq"] if number % 2 else ["jetq", "bare"]
    spent: dict[str, dict[str, Spent]] = {half: {} for half in HALVES}
    with ExitStack() as stack:
        servers = {side: stack.enter_context(EmbeddedServer.start()) for side in sides}
        for side, server in servers.items():
            asyncio.run(_make_streams(server, NAMESPACES[side]))
        for half, side in _each(sides):
            options = ["--tasks", str(tasks), "--slots", str(slots), "--loop", loop]
            spent[half][side] = _child([side, half, servers[side].url, *options])
    return spent


def _each(sides: list[str]) -> Iterator[tuple[str, str]]:
    return ((half, side) for half in HALVES for side in sides)


async def _make_streams(server: EmbeddedServer, namespace: str) -> None:
    """Make the same streams for both sides, as jetq makes them."""
    async with await Connection.open(server.address, name="bench") as connection:
        await Topology(connection, Names(namespace), StoreSettings()).ensure([Queue(work.QUEUE)])


def _child(arguments: list[str]) -> Spent:
    command = [sys.executable, "-m", "bench.side", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - this program's own half
    return msgspec.json.decode(done.stdout, type=Spent)


def _half(rounds: list[dict[str, Spent]]) -> Half:
    bare, jetq = ([each[side] for each in rounds] for side in ("bare", "jetq"))
    pairs = list(zip(bare, jetq, strict=True))
    return Half(
        bare_per_second=figure(spent.rate for spent in bare),
        jetq_per_second=figure(spent.rate for spent in jetq),
        ratio=figure(ours.rate / theirs.rate for theirs, ours in pairs),
        bare_cpu_us=figure(spent.cpu_us for spent in bare),
        jetq_cpu_us=figure(spent.cpu_us for spent in jetq),
        cpu_ratio=figure(theirs.cpu_us / ours.cpu_us for theirs, ours in pairs),
    )


def _machine() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "nats-py": version("nats-py"),
    }


def text(report: Report) -> str:
    """Return the report for people."""
    table: list[tuple[str, ...]] = [("", "bare loop", "jetq", "ratio")]
    for name, half in (("enqueue_many", report.enqueue), ("one worker", report.drain)):
        table += [
            (f"{name}: tasks/s", half.bare_per_second.text(), half.jetq_per_second.text(), half.ratio.text(2)),
            (f"{name}: CPU us/task", half.bare_cpu_us.text(1), half.jetq_cpu_us.text(1), half.cpu_ratio.text(2)),
        ]
    conditions = f"{report.tasks:,} tasks, {report.repeat} repetitions, {report.slots} slots, {report.loop}"
    return f"""{conditions}: median (lowest-highest)

{rows(table)}

start latency, ms: {report.start_ms.text()}
round trip, ms:    {report.round_trip_ms.text()}

enqueue_ratio {report.enqueue_ratio:.2f}, drain_ratio {report.drain_ratio:.2f}"""
