"""What uses a try, and what does not: the table of docs/how-to/retry-and-end-tasks.md, row by row."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from jetq.app.application import App
from jetq.errors import Retry, Snooze
from jetq.execution.context import Context
from jetq.model.record import Run, TaskRecord
from jetq.model.retry import Fixed
from jetq.model.state import State
from jetq.model.transition import claimed
from jetq.observe.fault_points import Point, arm
from jetq.settings import WorkerSettings
from jetq.worker.desk import NAK
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS


async def read(app: App, task_id: str) -> TaskRecord:
    return await app.handle(task_id).arecord()


async def after_its_first_run(app: App, handler: Callable[..., Any], **options: Any) -> TaskRecord:
    """Return the record of a task that ran once, and waits for an hour if it is to run again."""
    task = app.task("once", retry=Fixed(3600), **options)(handler)
    handle = await task.aenqueue()
    async with Worker(app, settings=SETTINGS):
        await eventually(lambda: _has_run(app, handle.id))
    return await read(app, handle.id)


async def _has_run(app: App, task_id: str) -> bool:
    record = await read(app, task_id)
    return record.runs == 1 and record.state is not State.ACTIVE


async def returns() -> None: ...


async def fails() -> None:
    raise ValueError("no")


async def asks_for_a_retry() -> None:
    raise Retry(3600)


async def runs_too_long() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("handler", [returns, fails, asks_for_a_retry, runs_too_long])
async def test_a_run_that_ends_uses_a_try_however_it_ends(app: App, handler: Callable[..., Any]) -> None:
    assert (await after_its_first_run(app, handler, timeout=0.1)).tries == 1


async def snoozes() -> None:
    raise Snooze(3600)


async def returns_a_snooze() -> Any:
    return Snooze(3600)


async def snoozes_in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(snoozes())


@pytest.mark.parametrize("handler", [snoozes, returns_a_snooze, snoozes_in_a_group])
async def test_a_snooze_uses_no_try(app: App, handler: Callable[..., Any]) -> None:
    record = await after_its_first_run(app, handler)

    assert (record.tries, record.runs, record.state) == (0, 1, State.RETRY)


async def test_an_error_that_snoozes_its_task_uses_no_try(app: App) -> None:
    record = await after_its_first_run(app, fails, on_error=lambda _error, _ctx: Snooze(3600))

    assert (record.tries, record.last_err) == (0, "ValueError: no")


async def test_a_worker_that_dies_uses_a_try(app: App) -> None:
    @app.task("orphan")
    async def orphan(ctx: Context) -> int:
        return ctx.tries

    handle = await app.aenqueue("orphan")
    backend = (await app.clients.current()).backend
    stored = await backend.tasks.read(handle.id)
    assert stored is not None
    dead = claimed(stored.record, Run("dead", 1, "abc"), datetime.now(UTC))
    await backend.tasks.write(stored.document.updated(dead), stored.sequence)

    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(25) == 2
    assert (await read(app, handle.id)).crashes == 1


async def test_a_type_that_the_worker_does_not_know_uses_a_try(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetq.worker.attempt._UNROUTABLE_RETRY", Fixed(3600))
    handle = await app.aenqueue("unheard:of")

    async with Worker(app, settings=SETTINGS):
        await eventually(lambda: _has_run(app, handle.id))

    assert (await read(app, handle.id)).tries == 1


async def test_a_worker_that_stops_gives_the_try_back(app: App) -> None:
    started = asyncio.Event()

    @app.task("long")
    async def long() -> None:
        started.set()
        await asyncio.sleep(600)

    handle = await app.aenqueue("long")
    async with Worker(app, settings=WorkerSettings(concurrency=1, shutdown_timeout=0)):
        await started.wait()
    record = await read(app, handle.id)

    assert (record.tries, record.runs, record.state) == (0, 1, State.RETRY)


async def test_a_delivery_whose_lease_was_lost_before_the_handler_began_uses_no_try(
    make_app: Callable[[], App],
) -> None:
    first, second = make_app(), make_app()
    started, go_on, delivered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    runs: list[int] = []
    for app in (first, second):

        @app.task("long")
        async def long(ctx: Context) -> int:
            runs.append(ctx.attempt)
            started.set()
            await go_on.wait()
            return ctx.tries

    handle = await first.aenqueue("long")
    async with Worker(first, settings=SETTINGS) as owner:
        await started.wait()
        disarm = arm(Point.ITEM_DELIVERED, delivered.set)
        try:
            async with Worker(second, settings=SETTINGS):
                (entry,) = owner._table.entries()
                owner._backend.connection.send(entry.reply, NAK)  # as if its lease had run out: whoever asks gets it
                await delivered.wait()
                go_on.set()
                assert await handle.aresult(20) == 1
        finally:
            disarm()

    assert runs == [1]
    assert (await read(first, handle.id)).tries == 1
