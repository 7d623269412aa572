"""Cancelling a task that runs: its worker hears of it, by a message or by the record, and stops the handler."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from jetq.admin.task_operations import TaskOperations
from jetq.app.application import App
from jetq.errors import TaskCancelledError
from jetq.execution.context import Context
from jetq.model.events import Event, TaskStateChanged, TaskTakenOver
from jetq.model.operation import Effect
from jetq.model.outcome import Outcome
from jetq.model.record import CancelRequest, Run, TaskRecord
from jetq.model.state import State
from jetq.model.transition import claimed
from jetq.observe.fault_points import Point, arm
from jetq.worker.parent_results import ParentResults
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue, read
from tests.integration.worker.conftest import LEASE, SETTINGS


async def operations_of(app: App) -> TaskOperations:
    return TaskOperations(await backend_with_queue(app))


async def request_in_record(app: App, task_id: str, by: str = "ops") -> None:
    """Ask as an operator does whose message to the worker is lost."""
    stored = await read(app, task_id)
    asked = replace(stored.record, cancel_requested=CancelRequest(by, datetime.now(UTC)))
    await (await backend_with_queue(app)).tasks.write(stored.document.updated(asked), stored.sequence)


async def cancelled(app: App, task_id: str) -> TaskRecord:
    with pytest.raises(TaskCancelledError):
        await app.handle(task_id).aresult(20)
    record = (await read(app, task_id)).record
    assert record.display_state == "cancelled"
    return record


async def test_an_async_handler_is_cancelled(app: App, told: list[Event]) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @app.task("long")
    async def long() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise

    async with Worker(app, settings=SETTINGS):
        handle = await long.aenqueue()
        await begun.wait()
        done = await (await operations_of(app)).cancel(handle.id, by="ops")
        record = await cancelled(app, handle.id)

    assert (done.effect, done.before, done.after) == (Effect.REQUESTED, "active", "active")
    assert stopped.is_set()
    assert (record.last_err, record.end, record.tries) == ("cancelled by ops", "cancelled", 1)
    ends = [event for event in told if isinstance(event, TaskStateChanged) and event.state is State.EXPIRED]
    assert [event.outcome for event in ends] == ["cancelled"]


async def test_a_handler_in_a_thread_is_stopped_by_an_exception(app: App) -> None:
    begun, stopped = threading.Event(), threading.Event()

    @app.task("thread")
    def loop() -> None:
        begun.set()
        try:
            while True:
                time.sleep(0.01)
        finally:
            stopped.set()

    async with Worker(app, settings=SETTINGS):
        handle = await loop.aenqueue()
        assert await asyncio.to_thread(begun.wait, 20)
        await (await operations_of(app)).cancel(handle.id)
        record = await cancelled(app, handle.id)

    assert stopped.is_set()
    assert record.last_err == "cancelled"


async def test_a_thread_that_a_handler_started_sees_that_its_run_was_cancelled(app: App) -> None:
    seen: list[bool] = []

    @app.task("helper")
    async def helped(ctx: Context) -> None:
        def help_out() -> None:
            seen.append(ctx.cancel_requested)
            while not ctx.cancel_requested:
                time.sleep(0.01)
            seen.append(ctx.cancel_requested)

        helper = threading.Thread(target=help_out)
        helper.start()
        try:
            await asyncio.sleep(60)
        finally:
            helper.join(10)

    async with Worker(app, settings=SETTINGS):
        handle = await helped.aenqueue()
        async with asyncio.timeout(20):
            while not seen:  # noqa: ASYNC110 - a thread tells of it
                await asyncio.sleep(0.01)
        await (await operations_of(app)).cancel(handle.id)
        await cancelled(app, handle.id)

    assert seen == [False, True]


async def test_a_run_that_ends_first_keeps_its_outcome(app: App) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task("nearly")
    async def nearly() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    async with Worker(app, settings=SETTINGS):
        handle = await nearly.aenqueue()
        await begun.wait()
        await request_in_record(app, handle.id)
        go_on.set()
        assert await handle.aresult(10) == "done"


async def test_a_run_that_fails_with_a_request_in_its_record_ends_cancelled_and_is_not_retried(app: App) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task("fails", retry=0.01)
    async def fails() -> None:
        begun.set()
        await go_on.wait()
        raise ValueError("broken")

    async with Worker(app, settings=SETTINGS):
        handle = await fails.aenqueue()
        await begun.wait()
        await request_in_record(app, handle.id)
        go_on.set()
        record = await cancelled(app, handle.id)

    assert (record.tries, record.last_err) == (1, "ValueError: broken")


async def test_a_request_whose_message_was_lost_is_found_in_the_record(app: App) -> None:
    begun = asyncio.Event()

    @app.task("long")
    async def long() -> None:
        begun.set()
        await asyncio.sleep(60)

    async with Worker(app, settings=SETTINGS):
        handle = await long.aenqueue()
        await begun.wait()
        asked = time.monotonic()
        await request_in_record(app, handle.id)
        record = await cancelled(app, handle.id)

    assert record.last_err == "cancelled by ops"
    assert time.monotonic() - asked < 4 * LEASE


async def test_a_claimed_run_whose_handler_has_not_begun_does_not_begin(app: App) -> None:
    ran: list[int] = []

    @app.task("early")
    async def early(ctx: Context) -> None:
        ran.append(ctx.attempt)

    handle = await early.aenqueue()
    asked = threading.Event()

    def between() -> None:
        """Hold the loop after the claim, until another thread has asked; the lease thread hears it meanwhile."""

        async def ask() -> None:
            other = App("ops", namespace=app.settings.namespace)
            other.connect_to(app.address())
            async with other:
                assert (await (await operations_of(other)).cancel(handle.id, by="ops")).effect is Effect.REQUESTED

        thread = threading.Thread(target=lambda: (asyncio.run(ask()), asked.set()))
        thread.start()
        thread.join()

    disarm = arm(Point.RUN_CLAIMED, between)
    try:
        async with Worker(app, settings=SETTINGS):
            record = await cancelled(app, handle.id)
    finally:
        disarm()

    assert asked.is_set()
    assert (ran, record.last_err) == ([], "cancelled by ops")


async def test_a_run_that_is_cancelled_while_results_are_read_for_it_does_not_begin(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    read = ParentResults.loaded

    @app.task("parent")
    async def parent() -> None: ...

    @app.task("child")
    async def child(ctx: Context) -> None:
        ran.append(ctx.attempt)

    async def read_and_cancel(results: ParentResults, record: TaskRecord) -> TaskRecord | Outcome:
        found = await read(results, record)
        await app.handle(record.id).acancel(by="ops")
        return found

    monkeypatch.setattr(ParentResults, "loaded", read_and_cancel)
    first = await parent.aenqueue()
    handle = await child.using(depends_on=[first], load_dependencies=True).aenqueue()
    async with Worker(app, settings=SETTINGS):
        record = await cancelled(app, handle.id)

    assert (ran, record.last_err) == ([], "cancelled by ops")


async def test_whoever_takes_over_a_cancelled_run_ends_it(app: App, told: list[Event]) -> None:
    ran: list[int] = []

    @app.task("orphan")
    async def orphan(ctx: Context) -> None:
        ran.append(ctx.attempt)

    handle = await orphan.aenqueue()
    stored = await read(app, handle.id)
    active = claimed(stored.record, Run("dead", 1, "abc"), datetime.now(UTC))
    await (await backend_with_queue(app)).tasks.write(stored.document.updated(active), stored.sequence)
    done = await (await operations_of(app)).cancel(handle.id, by="ops")
    async with Worker(app, settings=SETTINGS):
        record = await cancelled(app, handle.id)

    assert done.effect is Effect.REQUESTED
    assert (ran, record.last_err) == ([], "cancelled by ops")
    assert not [event for event in told if isinstance(event, TaskTakenOver)]


async def test_a_cancelled_task_is_retried_with_all_its_tries(app: App) -> None:
    begun, attempts = asyncio.Event(), list[int]()

    @app.task("again")
    async def again(ctx: Context) -> list[int]:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            begun.set()
            await asyncio.sleep(60)
        return [ctx.tries, ctx.attempt]

    async with Worker(app, settings=SETTINGS):
        handle = await again.aenqueue()
        await begun.wait()
        operations = await operations_of(app)
        await operations.cancel(handle.id)
        await cancelled(app, handle.id)
        await operations.retry(handle.id)
        assert await handle.aresult(10) == [1, 2]

    record = (await read(app, handle.id)).record
    assert (record.cancel_requested, record.last_err, record.runs) == (None, "", 2)


async def test_a_cancel_message_for_another_run_stops_nothing(make_app: Callable[[], App]) -> None:
    app, begun, go_on = make_app(), asyncio.Event(), asyncio.Event()

    @app.task("other")
    async def other() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    async with Worker(app, settings=SETTINGS) as worker:
        handle = await other.aenqueue()
        await begun.wait()
        backend, run = await backend_with_queue(app), (await read(app, handle.id)).record.run
        assert run is not None
        for task, attempt, nonce in (("x", run.attempt, run.nonce), (handle.id, 7, run.nonce), (handle.id, 1, "n")):
            data = b'{"op":"cancel","task":"%b","attempt":%d,"nonce":"%b"}' % (task.encode(), attempt, nonce.encode())
            answer = await backend.connection.request(backend.names.control(worker.id), data)
            assert b"running" not in answer.data
        go_on.set()
        assert await handle.aresult(10) == "done"
