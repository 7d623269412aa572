"""
latency: how long one task takes when nothing else is to be done.

A ``jetq worker`` idles; tasks come one by one with random pauses between them, so that no loop's rhythm is met. The
start is counted from before the call to the first line of the handler, and the round trip until the caller has the
result. The bare loop does the same beside it. Then come pairs of tasks after silence: what sleeps while nothing comes,
such as a connection or a pull that has run out, shows in the first task or in the second.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles
from typing import Any, Final

from bench import bare, body, draining, processes, side, work, workload
from bench.figures import figure
from bench.processes import Crew
from bench.sheet import Sheet, ratios, shown
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"samples": 5, "repeat": 1, "silences": "0.2"}
P50, P95, P99, WORST = "p50, ms", "p95, ms", "p99, ms", "worst, ms"
START, BARE_START = "start", "start, bare loop"
ROUND_TRIP, BARE_ROUND_TRIP = "round trip with result", "round trip with result, bare loop"
_PAUSE: Final = 0.02
_FIRST: Final = 20
_POLL: Final = 0.0005
_PATIENCE: Final = 30.0

Send = Callable[[dict[str, Any]], Awaitable[object]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--samples", type=int, default=300, help="single tasks of each repetition")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions")
    parser.add_argument("--silences", default="1,6,12,60", help="seconds before a pair of tasks")
    parser.add_argument("--pairs", type=int, default=2, help="repetitions that have such pairs")
    parser.add_argument("--slots", type=int, default=50, help="of the worker")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="of all processes")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure both sides, and silence."""
    conditions = f"{given.samples} tasks, {given.repeat} repetitions, {given.slots} slots, {given.loop}"
    sheet = Sheet(bench="latency", about="idle worker", conditions=conditions, columns=[P50, P95, P99, WORST])
    for number in range(given.repeat):
        for name in ("bare", "jetq") if number % 2 else ("jetq", "bare"):
            with EmbeddedServer.start() as server:
                draining.make_streams(server, name)
                command = workload.command(given.slots, loop=given.loop)
                if name == "bare":
                    command = side.bare_worker(server.url, given.slots, given.loop)
                with processes.crew([command], workload.environ(server.url)) as running:
                    one_side = _bare if name == "bare" else _jetq
                    side.run(one_side(sheet, server.url, running, given, number), given.loop)
    for ours, theirs in ((START, BARE_START), (ROUND_TRIP, BARE_ROUND_TRIP)):
        found = figure(ratios(sheet.values(ours, P50), sheet.values(theirs, P50)))
        sheet.notes.append(f"{ours} ÷ bare loop's, p50: {shown(found)}")
    return sheet


async def _jetq(sheet: Sheet, url: str, running: Crew, given: argparse.Namespace, number: int) -> None:
    async with workload.make_app(url) as app:

        async def send(payload: dict[str, Any]) -> None:
            await app.aenqueue(work.TASK_TYPE, payload)

        async def send_and_wait(payload: dict[str, Any]) -> None:
            handle: Any = await app.aenqueue(work.TASK_TYPE, payload)
            await handle.aresult(timeout=_PATIENCE)

        await _starts(running, send, _FIRST)
        _put(sheet, START, await _starts(running, send, given.samples))
        _put(sheet, ROUND_TRIP, await _round_trips(send_and_wait, given.samples))
        for named in given.silences.split(",") if number < given.pairs else ():
            await asyncio.sleep(float(named))
            for place in ("first", "second"):
                [took] = await _starts(running, send, 1, pause=0.0)
                sheet.put(f"start after {named} s of silence, {place}", {P50: took, WORST: took})


async def _bare(sheet: Sheet, url: str, running: Crew, given: argparse.Namespace, _number: int) -> None:
    loop = await bare.Loop.open(url, side.BARE_NAMESPACE)
    producer = bare.Producer(loop)

    async def send(payload: dict[str, Any]) -> None:
        await producer.enqueue_many([payload])

    await _starts(running, send, _FIRST)
    _put(sheet, BARE_START, await _starts(running, send, given.samples))
    caller = bare.Caller(loop)

    async def send_and_wait(payload: dict[str, Any]) -> None:
        [task_id] = await producer.enqueue_many([payload])
        await asyncio.wait_for(caller.result(task_id), _PATIENCE)

    _put(sheet, BARE_ROUND_TRIP, await _round_trips(send_and_wait, given.samples))
    await loop.client.close()


async def _starts(running: Crew, send: Send, samples: int, *, pause: float = _PAUSE) -> list[float]:
    """Return the milliseconds from a call to the handler's begin."""
    before = body.count(running.notes)
    for number in range(samples):
        await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - no secret
        await send(body.payload(number))
        limit = time.monotonic() + _PATIENCE
        while body.count(running.notes) <= before + number:
            if time.monotonic() > limit:
                raise processes.StalledError(f"a task did not begin in {_PATIENCE:g} s")
            await asyncio.sleep(_POLL)
    return [(note.began - note.sent) / 1e6 for note in body.read(running.notes)[before:]]


async def _round_trips(send_and_wait: Send, samples: int) -> list[float]:
    times: list[float] = []
    for number in range(samples):
        await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
        began = time.perf_counter()
        await send_and_wait(body.payload(number))
        times.append((time.perf_counter() - began) * 1e3)
    return times


def _put(sheet: Sheet, label: str, times: list[float]) -> None:
    cuts = quantiles(times, n=100, method="inclusive")
    sheet.put(label, {P50: cuts[49], P95: cuts[94], P99: cuts[98], WORST: max(times)})
