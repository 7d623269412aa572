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

import msgspec
from msgspec import Struct

from bench.figures import Percentiles, percentiles
from jetq import App
from jetq.execution.executor import Executor
from jetq.execution.handler_process import Launch
from jetq.execution.process_pool import ProcessPool
from jetq.jetstream.address import Address
from jetq.model.outcome import Succeeded
from jetq.model.record import Run, TaskRecord
from jetq.routing.handler import Handler
from jetq.wire.process_call import Begin

_WARM = 50
_MILLISECONDS = 1000

app = App("bench")


class Report(Struct, kw_only=True):
    """
    What a call costs.

    Attributes:
        start_ms: Of a process, until it takes calls.
        call_ms: By where the handler runs.
    """

    start_ms: float
    call_ms: dict[str, Percentiles]


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
    command.add_argument("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    """Measure, and print."""
    report = asyncio.run(_measure(given.calls, given.size))
    if given.json:
        print(msgspec.json.encode(report).decode())
        return
    print(f"start of a process, ms  {report.start_ms:8.1f}")
    for pool, told in report.call_ms.items():
        print(f"{pool:22}, ms  {told.text()}")


async def _measure(calls: int, size: int) -> Report:
    begin = Begin(
        application="bench.pools:app",
        path=list(sys.path),
        namespace="BENCH",
        address=pickle.dumps(Address.of("127.0.0.1:4222")),
        worker="bench",
    )
    pool = ProcessPool(Launch(program="jetq.runtime.pool_program", begin=begin), size=1)
    started = time.perf_counter()
    await pool.start()
    start_ms, call_ms = (time.perf_counter() - started) * _MILLISECONDS, dict[str, Percentiles]()
    executor = Executor(threads=1, processes=pool)
    try:
        for task in (on_loop, in_thread, in_process):
            times = [await _once(executor, task.handler, size) for _ in range(_WARM + calls)]
            call_ms[task.handler.kind] = percentiles(times[_WARM:])
    finally:
        await executor.close()
    return Report(start_ms=start_ms, call_ms=call_ms)


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
