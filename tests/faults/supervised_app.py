"""An application for supervised workers, whose handlers append each start and each end to the file ``FAULTS_LOG``."""

import asyncio
import os
import time

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.model.retry import Fixed
from jetq.settings import Queue

LEASE = float(os.environ.get("FAULTS_LEASE", "2"))

app = App("faults", queues=[Queue("DEFAULT", lease=LEASE)])


def note(word: str, ctx: Context) -> None:
    """Append a line, whole."""
    stream = os.open(os.environ["FAULTS_LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(stream, f"{word} {ctx.task_id} {ctx.attempt} {os.getpid()} {time.time()}\n".encode())
    os.close(stream)


@app.task("work", retry=Fixed(0.5))
async def work(ctx: Context, seconds: float = 0.0) -> int:
    """Take some time."""
    note("start", ctx)
    await asyncio.sleep(seconds)
    note("end", ctx)
    return ctx.attempt


@app.task("block")
async def block(ctx: Context, seconds: float = 0.0) -> int:
    """Block the loop for some time."""
    note("start", ctx)
    time.sleep(seconds)  # noqa: ASYNC251 - blocking the loop is the point
    note("end", ctx)
    return ctx.attempt
