"""
pools: what it costs to call a handler where it runs: on the event loop, in a thread, in a process of its own.

No server takes part: the executor is called as a worker calls it, one call after the other, with a payload and a result
of the given size. The start of a process is told as well: a fresh interpreter that imports jetq and an application of
one handler.
"""

import argparse
import asyncio
import pickle
import sys
import time
from datetime import UTC, datetime

from bench.figures import percentiles
from bench.sheet import Sheet
from jetq import App
from jetq.execution.executor import Executor
from jetq.execution.handler_process import Launch
from jetq.execution.process_pool import ProcessPool
from jetq.jetstream.address import Address
from jetq.model.outcome import Succeeded
from jetq.model.record import Run, TaskRecord
from jetq.routing.handler import Handler
from jetq.wire.process_call import Begin

QUICK = {"calls": 5}
_WARM = 50
_MILLISECONDS = 1000

app = App("bench")


@app.task("bench:async")
async def on_loop(text: str) -> str:
    """Return what came."""
    return text


@app.task("bench:thread")
def in_thread(text: str) -> str:
    """Return what came."""
    return text


@app.task("bench:process", pool="process")
def in_process(text: str) -> str:
    """Return what came."""
    return text


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    command.add_argument("--calls", type=int, default=2000, help="calls a pool")
    command.add_argument("--size", type=int, default=100, help="bytes of payload and result")


def measure(given: argparse.Namespace) -> Sheet:
    """Measure all pools."""
    return asyncio.run(_measure(given.calls, given.size))


async def _measure(calls: int, size: int) -> Sheet:
    begin = Begin(
        application="bench.pools:app",
        path=list(sys.path),
        namespace="BENCH",
        address=pickle.dumps(Address.of("127.0.0.1:4222")),
        worker="bench",
    )
    pool = ProcessPool(Launch(program="jetq.runtime.pool_program", begin=begin), size=1)
    conditions = f"{calls:,} calls a pool, {size:,} bytes"
    sheet = Sheet(bench="pools", about="call in", conditions=conditions, columns=["p50, ms", "p99, ms"])
    started = time.perf_counter()
    await pool.start()
    sheet.put("start of a process", {"p50, ms": (time.perf_counter() - started) * _MILLISECONDS})
    executor = Executor(threads=1, processes=pool)
    try:
        for task in (on_loop, in_thread, in_process):
            times = [await _once(executor, task.handler, size) for _ in range(_WARM + calls)]
            told = percentiles(times[_WARM:])
            sheet.put(task.handler.kind, {"p50, ms": told.p50, "p99, ms": told.p99})
    finally:
        await executor.close()
    return sheet


async def _once(executor: Executor, handler: Handler, size: int) -> float:
    record = TaskRecord(
        id="B1",
        type=handler.pattern,
        queue="BENCH",
        payload=b'{"text":"%b"}' % (b"x" * size),
        created=datetime.now(UTC),
        run=Run("bench", 1, "n"),
    )
    started = time.perf_counter()
    outcome = await executor.start(handler, record, limit=60.0, worker="bench").run()
    took = time.perf_counter() - started
    if not isinstance(outcome, Succeeded):
        raise TypeError(f"the handler did not return: {outcome}")
    return took * _MILLISECONDS
