"""A run whose limit moves: its lease goes with it, and its ownership stays what it was."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.errors import SoftTimeout, TaskExpiredError
from jetq.execution.context import Context
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, RunLost, TaskTakenOver
from jetq.model.record import Run
from jetq.model.retry import Fixed
from jetq.settings import Queue
from jetq.worker import attempt, progress
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import LEASE, SETTINGS


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a lease end with its run's limit, so that only an extension can keep it."""
    monkeypatch.setattr(attempt, "RUN_GRACE", 0.0)
    monkeypatch.setattr(progress, "RUN_GRACE", 0.0)


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_a_handler_that_extends_outlives_three_limits_and_leases_and_runs_once(
    make_app: Callable[[], App], told: list[Event], kind: str
) -> None:
    runs: list[int] = []
    first, second = make_app(), make_app()

    async def on_loop(ctx: Context) -> int:
        runs.append(ctx.attempt)
        for _ in range(30):
            await ctx.aextend(LEASE / 2)
            await asyncio.sleep(LEASE / 10)
        return ctx.attempt

    def in_thread(ctx: Context) -> int:
        runs.append(ctx.attempt)
        for _ in range(30):
            ctx.extend(LEASE / 2)
            time.sleep(LEASE / 10)
        return ctx.attempt

    for app in (first, second):
        app.task("long", timeout=LEASE)(on_loop if kind == "async" else in_thread)
    handle = await first.aenqueue("long")
    async with Worker(first, settings=SETTINGS), Worker(second, settings=SETTINGS):
        assert await handle.aresult(20) == 1

    assert runs == [1]
    assert not [event for event in told if isinstance(event, (TaskTakenOver, RunLost))]


async def test_an_extension_goes_beyond_the_queues_limit(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE, max_run_time=1.0)])
    app.connect_to(server.address)

    @app.task("long")
    async def long(ctx: Context) -> str:
        ctx.extend(10)
        await asyncio.sleep(1.5)
        return "done"

    async with Worker(app, settings=SETTINGS):
        assert await (await long.aenqueue()).aresult(10) == "done"
    await app.aclose()


async def test_a_handler_that_does_not_extend_is_stopped(app: App) -> None:
    @app.task("long", timeout=0.3, max_tries=1)
    async def long() -> None:
        await asyncio.sleep(30)

    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskExpiredError, match=r"ran longer than its limit of 0.3 s"):
            await (await long.aenqueue()).aresult(10)


async def test_a_run_that_lost_its_task_is_stopped_however_it_extends(app: App) -> None:
    started, stopped, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()
    app.bus.listen_to(RunLost, lambda _event: lost.set())

    @app.task("long", timeout=0.5)
    async def long(ctx: Context) -> None:
        started.set()
        try:
            while True:
                ctx.extend(1)
                await asyncio.sleep(0.05)
        finally:
            stopped.set()

    async with Worker(app, settings=SETTINGS):
        handle = await long.aenqueue()
        await started.wait()
        backend = (await app.clients.current()).backend
        stored = await backend.tasks.read(handle.id)
        assert stored is not None
        other = replace(stored.record, run=Run("other", 2, "theirs"), runs=2)
        await backend.tasks.write(stored.document.updated(other), stored.sequence)
        async with asyncio.timeout(10):
            await stopped.wait()
            await lost.wait()


async def test_a_soft_limit_of_a_handler_or_of_one_task_ends_its_run(app: App) -> None:
    @app.task("polite", timeout=30, soft_timeout=0.1)
    async def polite(ctx: Context) -> list[bool]:
        before = ctx.soft_timed_out
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return [before, ctx.soft_timed_out]
        return []

    @app.task("rude", max_tries=1)
    def rude() -> None:
        threading.Event().wait(0.3)
        for _ in range(10_000):
            time.sleep(0.001)

    @app.task("sync")
    def sync() -> str:
        try:
            for _ in range(10_000):
                time.sleep(0.001)
        except SoftTimeout:
            return "in good order"
        return "never"

    async with Worker(app, settings=SETTINGS):
        assert await (await polite.aenqueue()).aresult(10) == [False, True]
        assert await (await sync.using(soft_timeout=0.1).aenqueue()).aresult(10) == "in good order"
        with pytest.raises(TaskExpiredError, match=r"ran longer than its soft limit of 0.1 s"):
            await (await rude.using(soft_timeout=0.1).aenqueue()).aresult(10)


async def test_a_soft_time_out_is_tried_again_as_a_time_out_is(app: App) -> None:
    @app.task("again", retry=Fixed(0), soft_timeout=0.1)
    async def again(ctx: Context) -> int:
        if ctx.tries == 1:
            await asyncio.sleep(30)
        return ctx.tries

    async with Worker(app, settings=SETTINGS):
        assert await (await again.aenqueue()).aresult(10) == 2
