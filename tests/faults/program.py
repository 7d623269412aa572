"""
A worker process for fault tests: ``python -m tests.faults.program URL NAMESPACE LOG [AHEAD]``.

Its handlers append one line for each start and each end to LOG (``start ID ATTEMPT PID TIME``), which the tests count.
Those that are held run until there is a file beside it, so that a test has all the time to kill and to hire.
Its clock is AHEAD seconds ahead of everybody else's.
"""

import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.model.retry import Fixed
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker

LEASE = 2.0
GO = "go"
"""Name of the file that lets the held handlers go."""
AHEAD = 4
"""Place of the argument."""


def make_app(url: str, namespace: str) -> App:
    """Return the application that producers and workers of a test share."""
    app = App("faults", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE)])
    app.connect_to(Address.of(url))
    return app


def add_handlers(app: App, log: Path) -> None:
    """Register the handlers of the tests."""
    stream = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def note(word: str, ctx: Context) -> None:
        os.write(stream, f"{word} {ctx.task_id} {ctx.attempt} {os.getpid()} {time.time()}\n".encode())

    @app.task("work", retry=Fixed(0.5))
    async def work(ctx: Context, seconds: float = 0.0, fail: int = 0) -> int:
        note("start", ctx)
        await asyncio.sleep(seconds)
        if ctx.tries <= fail:
            raise ValueError("as asked")
        note("end", ctx)
        return ctx.attempt

    async def hold() -> None:
        while not log.with_name(GO).exists():  # noqa: ASYNC110 - nothing tells of it, and a look is short
            await asyncio.sleep(0.02)

    @app.task("held")
    async def held(ctx: Context) -> int:
        note("start", ctx)
        await hold()
        note("end", ctx)
        return ctx.attempt

    @app.task("report")
    async def report(ctx: Context) -> int:
        note("start", ctx)
        ctx.progress(ctx.attempt, 2, f"run {ctx.attempt}")
        await hold()
        return ctx.attempt

    @app.task("thread")
    def thread(ctx: Context, seconds: float = 0.0) -> int:
        note("start", ctx)
        time.sleep(seconds)
        note("end", ctx)
        return ctx.attempt

    @app.task("block")
    async def block(ctx: Context, seconds: float = 0.0) -> int:
        note("start", ctx)
        time.sleep(seconds)  # noqa: ASYNC251 - blocking the loop is the point
        note("end", ctx)
        return ctx.attempt


async def serve(app: App) -> None:
    """Work until SIGTERM."""
    worker = Worker(app, settings=WorkerSettings(concurrency=20, shutdown_timeout=10.0))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    async with worker:
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        await worker._stop.wait()


if __name__ == "__main__":
    application = make_app(sys.argv[1], sys.argv[2])
    add_handlers(application, Path(sys.argv[3]))
    ahead = timedelta(seconds=float(sys.argv[4])) if len(sys.argv) > AHEAD else timedelta(0)
    with time_machine.travel(datetime.now(UTC) + ahead, tick=True):
        asyncio.run(serve(application))
