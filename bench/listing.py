"""
listing: how long it takes to find tasks among many.

Asked is for the first hundred, for those in a state that none is in, for those of an error that none had, and for one
by its id. Everything but the last looks at stored records until it has enough.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final

from bench import body, side, work, workload
from bench.sheet import Sheet
from jetq import App
from jetq.jetstream.server import EmbeddedServer

QUICK: Final = {"tasks": "100,200", "repeat": 1}
_CHUNK: Final = 5_000
_LIMIT: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--tasks", default="1000,30000", help="how many are stored, separated by commas")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure with each number of stored tasks."""
    sizes = [int(named) for named in given.tasks.split(",")]
    columns = [_column(size) for size in sizes]
    conditions = f"{given.repeat} repetitions, one server"
    sheet = Sheet(bench="listing", about="look for", conditions=conditions, columns=columns)
    with EmbeddedServer.start() as server:
        asyncio.run(_measure(sheet, server.url, sizes, given.repeat))
    return sheet


def _column(size: int) -> str:
    return f"{size:,} tasks, ms"


async def _measure(sheet: Sheet, url: str, sizes: list[int], repeat: int) -> None:
    await side.make_streams(url, workload.NAMESPACE)
    stored, some_id = 0, ""
    async with workload.make_app(url) as app:
        for size in sorted(sizes):
            while stored < size:
                upto = min(stored + _CHUNK, size)
                entries = [(work.TASK_TYPE, body.payload(index)) for index in range(stored, upto)]
                handles: list[Any] = await app.aenqueue_many(entries)
                stored, some_id = upto, handles[0].id
            for _ in range(repeat):
                for label, milliseconds in [(label, await _timed(call)) for label, call in _questions(app, some_id)]:
                    sheet.put(label, {_column(size): milliseconds})


def _questions(app: App, some_id: str) -> list[tuple[str, Awaitable[object]]]:
    return [
        (f"the first {_LIMIT}", app.select(everything=True).alist(limit=_LIMIT)),
        ("those that failed (none)", app.select(states="terminated").alist(limit=_LIMIT)),
        ("those with some error (none)", app.select(error="*Timeout*").alist(limit=_LIMIT)),
        ("one by its id", app.handle(some_id).arecord()),
    ]


async def _timed(call: Awaitable[object]) -> float:
    began = time.perf_counter()
    await call
    return (time.perf_counter() - began) * 1e3
