"""The application of the fault suite: short tasks of all kinds, whose handlers note in the ledger what they do."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.model.retry import Fixed
from jetq.settings import Queue, Settings, StoreSettings
from tests.faults.matrix.ledger import Ledger
from tests.faults.program import LEASE

LEDGER = "FAULTS_LOG"
REPLICAS = "FAULTS_REPLICAS"
"""Variables of the environment."""
RUN = 0.1
"""Seconds that a handler takes."""


def new_app() -> App:
    """Return an application without handlers, for the environment's server, namespace and number of replicas."""
    store = StoreSettings(replicas=int(os.environ.get(REPLICAS, "1")))
    settings = replace(Settings.from_env(), store=store)
    return App("matrix", queues=[Queue("DEFAULT", lease=LEASE)], retry=Fixed(0.3), settings=settings)


app = new_app()
ledger = Ledger(Path(os.environ.get(LEDGER, os.devnull)))


@contextmanager
def noted(ctx: Context, worker: int) -> Iterator[None]:
    """Note the start and the end of a run."""
    run = (ctx.task_id, ctx.attempt, worker)
    ledger.note("start", *run)
    try:
        yield
    except Exception:
        ledger.note("failed", *run)
        raise
    except BaseException:
        ledger.note("cut", *run)
        raise
    ledger.note("end", *run)


@app.task("plain")
async def plain(ctx: Context) -> None:
    """Run in the loop, as most tasks do."""
    with noted(ctx, os.getpid()):
        await asyncio.sleep(RUN)


@app.task("retried")
async def retried(ctx: Context) -> None:
    """Fail the first time."""
    with noted(ctx, os.getpid()):
        await asyncio.sleep(RUN)
        if ctx.tries == 1:
            raise ValueError("as asked")


@app.task("thread")
def thread(ctx: Context) -> None:
    """Run in a thread."""
    with noted(ctx, os.getpid()):
        time.sleep(RUN)


@app.task("process", pool="process")
def process(ctx: Context) -> None:
    """Run in a process of its own, whose worker is its parent."""
    with noted(ctx, os.getppid()):
        time.sleep(RUN)
