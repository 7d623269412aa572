"""What users do to their tasks, through handles and by id."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import (
    BlockingCallError,
    InvalidPayloadError,
    InvalidSettingError,
    OperationRefusedError,
    ResultTimeoutError,
    TaskCancelledError,
    TaskNotFoundError,
)
from jetq.execution.context import Context
from jetq.jetstream.server import EmbeddedServer
from jetq.model.operation import Effect
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker
from tests.integration.watching import eventually


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=1.0)])
    app.connect_to(server.address)

    @app.task("add")
    async def add(a: int, b: int = 0) -> int:
        return a + b

    @app.task("hang")
    async def hang(stubborn: float = 0.0) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(stubborn)

    yield app
    await app.aclose()
    await asyncio.to_thread(app.close)


async def is_active(handle: TaskHandle[Any]) -> bool:
    return await handle.astate() == "active"


async def test_a_task_is_changed_hastened_cancelled_retried_and_deleted_by_its_handle(app: App) -> None:
    handle = await app.aenqueue("add", {"a": 1}, delay=3600)

    changed = await handle.achange(payload={"a": 2, "b": 3}, max_tries=4)
    cancelled = await handle.acancel(by="me")
    retried = await handle.aretry(queue="DEFAULT", deadline=timedelta(hours=1))
    record = await handle.arecord()
    async with Worker(app, settings=WorkerSettings(concurrency=2)):
        assert await handle.aresult(10) == 5
    deleted = await handle.adelete()

    assert (changed.after, cancelled.after, retried.after, deleted.before) == (
        "scheduled",
        "cancelled",
        "retry",
        "complete",
    )
    assert record.max_tries == 4
    assert record.deadline is not None
    with pytest.raises(TaskNotFoundError):
        await handle.aretry()


def test_sync_code_operates_too(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)
    handle = app.enqueue("add", {"a": 1}, delay=3600)

    states = [
        app.change(handle.id, payload=None).after,
        app.run_now(handle.id).after,
        app.cancel(handle.id).after,
        app.retry(handle.id).after,
        app.delete(handle.id).before,
    ]
    app.close()

    assert states == ["scheduled", "new", "cancelled", "retry", "retry"]


async def test_blocking_methods_name_the_async_one(app: App) -> None:
    handle = await app.aenqueue("add", {"a": 1})

    for name in ("cancel", "retry", "run_now", "delete", "change"):
        with pytest.raises(BlockingCallError, match=rf"await a{name}\(\)"):
            getattr(handle, name)()


async def test_a_running_task_is_cancelled_and_its_end_is_waited_for(app: App) -> None:
    async with Worker(app, settings=WorkerSettings(concurrency=2)):
        handle = await app.aenqueue("hang", {})
        await eventually(lambda: is_active(handle))
        done = await app.acancel(handle.id, by="me", wait=10)
        with pytest.raises(TaskCancelledError, match="cancelled by me"):
            await handle.aresult(0)

    assert (done.effect, done.before, done.after) == (Effect.REQUESTED, "active", "cancelled")


async def test_a_run_that_does_not_stop_in_time_is_told(app: App) -> None:
    async with Worker(app, settings=WorkerSettings(concurrency=2)):
        handle = await app.aenqueue("hang", {"stubborn": 1.0})
        await eventually(lambda: is_active(handle))
        with pytest.raises(ResultTimeoutError):
            await handle.acancel(wait=timedelta(milliseconds=100))
        await handle.await_end(10)


@pytest.mark.parametrize("name", ["achange", "aretry"])
@pytest.mark.parametrize(
    ("payload", "sentence"),
    [({"a": "x"}, "argument 'a': "), ({"a": 1, "c": 2}, "unknown argument 'c'"), (None, "argument 'a' is missing")],
    ids=["type", "unknown", "missing"],
)
async def test_a_new_payload_is_checked_by_the_handler(app: App, name: str, payload: Any, sentence: str) -> None:
    handle = await app.aenqueue("add", {"a": 1}, delay=3600)

    for operate in (getattr(handle, name), partial(getattr(app, name), handle.id)):
        with pytest.raises(InvalidPayloadError, match=rf"the payload of 'add' is not valid: {sentence}"):
            await operate(payload=payload)

    assert (await handle.arecord()).payload == b'{"a":1}'


async def test_the_idempotency_key_stays_when_a_payload_changes_between_runs(app: App) -> None:
    keys: list[str] = []

    @app.task("pay", max_tries=1)
    async def pay(ctx: Context, cents: int) -> int:
        keys.append(ctx.idempotency_key)
        if cents < 0:
            raise ValueError("not so")
        return cents

    async with Worker(app, settings=WorkerSettings(concurrency=2)):
        handle = await pay.aenqueue(cents=-1)
        await handle.await_end(10)
        await handle.aretry(payload={"cents": 1})
        assert await handle.aresult(10) == 1

    assert keys == [handle.id, handle.id]


async def test_a_payload_for_a_handler_elsewhere_is_not_checked(app: App) -> None:
    handle = await app.aenqueue("elsewhere", {"a": 1}, delay=3600)

    await handle.achange(payload=["whatever"])

    assert (await handle.arecord()).payload == b'["whatever"]'


async def test_what_cannot_be_meant_is_refused(app: App) -> None:
    handle = await app.aenqueue("add", {"a": 1})

    with pytest.raises(InvalidSettingError, match="aware"):
        await handle.achange(deadline=datetime(2099, 1, 1))  # noqa: DTZ001 - the point
    with pytest.raises(InvalidSettingError, match="in the future"):
        await handle.achange(deadline=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(InvalidSettingError, match="duration"):
        await handle.achange(deadline=-5)
    with pytest.raises(InvalidPayloadError):
        await handle.achange(payload={"a": {1, 2}, "b": object()})
    with pytest.raises(InvalidSettingError, match="wait"):
        await handle.acancel(wait=-1)
    with pytest.raises(OperationRefusedError, match=r"run now of task .* is refused: the task is new"):
        await handle.arun_now()
    assert await handle.astate() == "new"
