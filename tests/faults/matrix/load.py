"""The application of the fault suite: short tasks of all kinds, whose handlers note in the ledger what they do."""

import asyncio
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.model.retry import Fixed
from jetq.settings import JanitorSettings, Queue, Settings, StoreSettings
from tests.faults.matrix.clock import TOLD, follow_if_told
from tests.faults.matrix.ledger import Ledger
from tests.faults.program import LEASE

LEDGER = "FAULTS_LOG"
REPLICAS = "FAULTS_REPLICAS"
QUICK = "FAULTS_QUICK_JANITOR"
"""Variables of the environment."""
JANITOR_EVERY = 3.0
"""Seconds, of a quick janitor; the others would come too late to hide what is wrong."""
RUN = 0.1
"""Seconds that a handler takes."""
SLOW, SLOW_RUN = "slow", 4 * LEASE
"""A task that outlasts its lease, and the seconds that it takes."""


def new_app() -> App:
    """Return an application without handlers, for the environment's server, namespace and number of replicas."""
    store = StoreSettings(replicas=int(os.environ.get(REPLICAS, "1")))
    janitor = JanitorSettings(every=JANITOR_EVERY, patience=JANITOR_EVERY) if QUICK in os.environ else JanitorSettings()
    settings = replace(Settings.from_env(), store=store, janitor=janitor)
    return App("matrix", queues=[Queue("DEFAULT", lease=LEASE)], retry=Fixed(0.3), settings=settings)


follow_if_told()
app = new_app()
ledger = Ledger(Path(os.environ.get(LEDGER, os.devnull)))


@contextmanager
def noted(ctx: Context, worker: object) -> Generator[None]:
    """Note the start and the end of a run."""
    run = (ctx.task_id, ctx.attempt, worker)
    ledger.note("start", *run)
    if TOLD in os.environ:
        ledger.note("wall", worker, time.time())
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
async def plain(ctx: Context, ballast: str = "") -> None:  # noqa: ARG001 - it is carried, and of no use
    """Run in the loop, as most tasks do."""
    with noted(ctx, os.getpid()):
        await asyncio.sleep(RUN)


@app.task(SLOW)
async def slow(ctx: Context) -> None:
    """Outlast the lease."""
    ledger.note("slow", ctx.task_id, ctx.attempt, os.getpid())
    with noted(ctx, os.getpid()):
        await asyncio.sleep(SLOW_RUN)


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
    with noted(ctx, f"{os.getppid()}+{os.getpid()}"):
        time.sleep(RUN)
