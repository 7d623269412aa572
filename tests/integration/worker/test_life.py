"""The life of a task, from its enqueue to its end, in one worker."""

import asyncio
import base64
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jetq.app.application import App
from jetq.errors import (
    Retry,
    Snooze,
    TaskCancelledError,
    TaskExpiredError,
    TaskTerminatedError,
    Terminate,
)
from jetq.execution.context import Context
from jetq.model.events import Event, TaskStateChanged
from jetq.model.record import CancelRequest
from jetq.model.retry import Fixed
from jetq.model.serving import QueuePaused
from jetq.model.state import State
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import SETTINGS


def states(told: list[Event], task_id: str) -> list[State]:
    return [event.state for event in told if isinstance(event, TaskStateChanged) and event.task_id == task_id]


async def test_a_task_returns_its_result(app: App, told: list[Event]) -> None:
    @app.task("add:two")
    async def add(first: int, second: int) -> int:
        return first + second

    async with Worker(app, settings=SETTINGS):
        handle = await add.aenqueue(1, second=2)
        result = await handle.aresult(10)

    assert result == 3
    assert states(told, handle.id) == [State.NEW, State.ACTIVE, State.COMPLETE]


async def test_a_sync_handler_runs_in_a_thread(app: App) -> None:
    @app.task("where")
    def where() -> str:
        return threading.current_thread().name

    async with Worker(app, settings=SETTINGS):
        name = await (await where.aenqueue()).aresult(10)

    assert name != threading.current_thread().name


async def test_a_failed_task_is_tried_again_after_its_policys_delay(app: App, told: list[Event]) -> None:
    starts: list[float] = []

    @app.task("flaky", retry=Fixed(0.5))
    async def flaky(ctx: Context) -> int:
        starts.append(time.monotonic())
        if ctx.tries < 3:
            raise ValueError("not yet")
        return ctx.tries

    async with Worker(app, settings=SETTINGS):
        handle = await flaky.aenqueue()
        result = await handle.aresult(20)

    assert result == 3
    assert all(second - first >= 0.5 for first, second in pairwise(starts))
    again = [State.RETRY, State.ACTIVE]
    assert states(told, handle.id) == [State.NEW, State.ACTIVE, *again, *again, State.COMPLETE]
    retries = [event for event in told if isinstance(event, TaskStateChanged) and event.state is State.RETRY]
    assert {event.last_err for event in retries} == {"ValueError: not yet"}


async def test_a_task_that_fails_for_good_expires_with_its_last_error(app: App) -> None:
    @app.task("doomed", max_tries=2, retry=Fixed(0))
    async def doomed() -> None:
        raise ValueError("never")

    async with Worker(app, settings=SETTINGS):
        handle = await doomed.aenqueue()
        with pytest.raises(TaskExpiredError) as caught:
            await handle.aresult(20)
    record = await handle.arecord()
    await app.aclose()

    error = caught.value
    assert (error.state, error.reason, error.error_type, error.error_message) == (
        "expired",
        "max_tries",
        "ValueError",
        "never",
    )
    assert "doomed" in error.remote_traceback
    assert (record.tries, record.runs) == (2, 2)


async def test_a_handler_ends_its_task_for_good(app: App) -> None:
    @app.task("end")
    async def end() -> None:
        raise Terminate("the customer is gone")

    async with Worker(app, settings=SETTINGS):
        handle = await end.aenqueue()
        with pytest.raises(TaskTerminatedError, match="the customer is gone"):
            await handle.aresult(10)


async def test_a_handler_chooses_when_it_is_tried_again(app: App) -> None:
    @app.task("again", retry=Fixed(3600))
    async def again(ctx: Context) -> int:
        if ctx.tries == 1:
            raise Retry(delay=0.1)
        return ctx.tries

    async with Worker(app, settings=SETTINGS):
        assert await (await again.aenqueue()).aresult(10) == 2


async def test_a_snoozed_task_comes_back_and_pays_no_try(app: App) -> None:
    runs: list[int] = []

    @app.task("nap", max_tries=1)
    async def nap(ctx: Context) -> int:
        runs.append(ctx.tries)
        if len(runs) < 3:
            raise Snooze(0.1)
        return ctx.tries

    async with Worker(app, settings=SETTINGS):
        handle = await nap.aenqueue()
        assert await handle.aresult(10) == 1
        record = await handle.arecord()

    assert runs == [1, 1, 1]
    assert (record.tries, record.runs) == (1, 3)


async def test_a_delayed_task_runs_when_it_is_due(app: App) -> None:
    @app.task("later")
    async def later() -> float:
        return time.time()

    async with Worker(app, settings=SETTINGS):
        due = time.time() + 0.7
        handle = await later.using(run_at=datetime.fromtimestamp(due, UTC)).aenqueue()
        assert await handle.astate() == "scheduled"
        assert await handle.aresult(10) >= due


async def test_a_task_beyond_its_deadline_is_not_started(app: App) -> None:
    @app.task("stale")
    async def stale() -> None:
        raise AssertionError

    handle = await stale.using(deadline=0.01).aenqueue()
    await asyncio.sleep(0.02)
    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskExpiredError) as caught:
            await handle.aresult(10)

    assert caught.value.reason == "deadline"


async def test_a_task_that_was_cancelled_before_its_start_does_not_run(app: App) -> None:
    @app.task("unwanted")
    async def unwanted() -> None:
        raise AssertionError

    handle = await unwanted.aenqueue()
    backend = (await app.clients.current()).backend
    stored = await backend.tasks.read(handle.id)
    assert stored is not None
    record = stored.record.__class__(
        **{name: getattr(stored.record, name) for name in stored.record.__struct_fields__}
        | {"cancel_requested": CancelRequest(by="somebody")}
    )
    await backend.tasks.write(stored.document.updated(record), stored.sequence)

    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskCancelledError):
            await handle.aresult(10)


async def test_a_type_without_handler_is_kept_for_a_worker_that_knows_it(
    make_app: Callable[[], App], monkeypatch: pytest.MonkeyPatch, told: list[Event]
) -> None:
    monkeypatch.setattr("jetq.worker.attempt._UNROUTABLE_RETRY", Fixed(0.2))
    old, new = make_app(), make_app()

    @old.task("other")
    async def other() -> None: ...

    @new.task("fresh")
    async def fresh() -> str:
        return "known"

    retried = asyncio.Event()
    old.bus.listen_to(TaskStateChanged, lambda event: retried.set() if event.state is State.RETRY else None)
    handle = await fresh.aenqueue()
    async with Worker(old, settings=SETTINGS):
        async with asyncio.timeout(10):
            await retried.wait()
    async with Worker(new, settings=SETTINGS):
        assert await handle.aresult(10) == "known"

    reasons = [event.last_err for event in told if isinstance(event, TaskStateChanged) and event.state is State.RETRY]
    assert reasons[0] == "no handler for the task type 'fresh' on this worker"


async def test_a_bad_payload_ends_the_task_and_names_the_argument(app: App) -> None:
    @app.task("typed", retry=Fixed(0))
    async def typed(count: int) -> None:
        raise AssertionError(count)

    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("typed", {"count": "many"})
        with pytest.raises(TaskTerminatedError, match="count") as caught:
            await handle.aresult(10)

    assert caught.value.reason == "invalid"


async def test_a_handler_that_outruns_its_limit_is_stopped_and_tried_again(app: App) -> None:
    cancelled: list[int] = []

    @app.task("slow", timeout=0.2, retry=Fixed(0))
    async def slow(ctx: Context) -> int:
        if ctx.tries == 1:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(ctx.tries)
                raise
        return ctx.tries

    async with Worker(app, settings=SETTINGS):
        assert await (await slow.aenqueue()).aresult(10) == 2

    assert cancelled == [1]


async def test_a_result_that_does_not_fit_ends_the_task_and_says_so(app: App) -> None:
    @app.task("huge")
    async def huge() -> str:
        return "x" * 2_000_000

    async with Worker(app, settings=SETTINGS):
        handle = await huge.aenqueue()
        with pytest.raises(TaskTerminatedError, match="2,000,002 bytes") as caught:
            await handle.aresult(10)

    assert caught.value.reason == "too_large"


async def test_a_handler_enqueues_more_tasks(app: App) -> None:
    @app.task("child")
    async def child(number: int) -> int:
        return number * 2

    @app.task("parent")
    async def parent(ctx: Context) -> str:
        return (await ctx.aenqueue("child", {"number": 21})).id

    @app.task("sync:parent")
    def sync_parent() -> str:
        return child.enqueue(number=4).id

    async with Worker(app, settings=SETTINGS):
        for task, expected in ((parent, 42), (sync_parent, 8)):
            child_id = await (await task.aenqueue()).aresult(10)
            assert await app.handle(child_id).aresult(10) == expected
    await asyncio.to_thread(app.close)


async def test_queues_named_by_handlers_are_served(app: App) -> None:
    @app.task("bulk:mail", queue="BULK")
    async def bulk() -> str:
        return "sent"

    async with Worker(app, settings=SETTINGS):
        handle = await bulk.aenqueue()
        assert handle.queue == "BULK"
        assert await handle.aresult(10) == "sent"


async def test_many_tasks_run_beside_each_other_within_the_slots(app: App) -> None:
    now, most = 0, 0

    @app.task("count")
    async def count() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1

    async with Worker(app, settings=SETTINGS):
        handles = await app.aenqueue_many([count.s() for _ in range(200)])
        await asyncio.gather(*(handle.aresult(20) for handle in handles))

    assert most == SETTINGS.concurrency


async def test_a_burst_worker_ends_when_the_queues_are_empty(app: App) -> None:
    done: list[int] = []

    @app.task("item")
    async def item(number: int) -> None:
        done.append(number)

    await app.aenqueue_many([item.s(number) for number in range(100)])
    settings = SETTINGS.__class__(concurrency=4, burst=True)
    async with asyncio.timeout(20):
        await Worker(app, settings=settings).run()
    await app.aclose()

    assert sorted(done) == list(range(100))


async def test_a_burst_worker_does_not_wait_for_a_paused_queue_and_says_that_it_is_paused(
    app: App, told: list[Event]
) -> None:
    @app.task("item")
    async def item() -> None: ...

    handle = await app.aenqueue("item")
    await app.apause_queue("DEFAULT")
    async with asyncio.timeout(10):
        await Worker(app, settings=replace(SETTINGS, burst=True)).run()

    assert await handle.astate() == State.NEW
    assert [event.queue for event in told if isinstance(event, QueuePaused)] == ["DEFAULT"]


async def test_the_log_of_a_handler_goes_to_the_applications_logger(app: App, caplog: pytest.LogCaptureFixture) -> None:
    @app.task("talk")
    async def talk(ctx: Context) -> None:
        ctx.logger.info("hello from %s", ctx.task_id)

    with caplog.at_level(logging.INFO, logger="jetq.task"):
        async with Worker(app, settings=SETTINGS):
            handle = await talk.aenqueue()
            await handle.aresult(10)

    assert f"hello from {handle.id}" in caplog.messages


async def test_a_task_is_kept_for_the_time_that_its_end_says(app: App) -> None:
    @app.task("short")
    async def short() -> int:
        return 1

    async with Worker(app, settings=SETTINGS):
        handle = await short.aenqueue()
        await handle.aresult(10)
        backend = (await app.clients.current()).backend
        answer = await backend.connection.api(
            f"STREAM.MSG.GET.{backend.names.tasks}", {"last_by_subj": backend.names.record(handle.id)}
        )

    headers = base64.b64decode(answer["message"]["hdrs"]).decode()
    assert f"Nats-TTL: {int(timedelta(hours=24).total_seconds())}s" in headers


async def test_a_start_tells_since_when_the_task_could_run(app: App, told: list[Event]) -> None:
    @app.task("second", retry=Fixed(0.2))
    async def second(ctx: Context) -> None:
        if ctx.tries == 1:
            raise ValueError("not yet")

    handle = await app.aenqueue("second")
    later = await app.aenqueue("second", delay=0.5, max_tries=1)
    async with Worker(app, settings=SETTINGS):
        await handle.await_end(15)
        await later.await_end(15)

    changes = [event for event in told if isinstance(event, TaskStateChanged)]
    starts, delayed = (
        [event for event in changes if event.task_id == task.id and event.state is State.ACTIVE]
        for task in (handle, later)
    )
    [retried] = [event for event in changes if event.task_id == handle.id and event.state is State.RETRY]
    assert [event.runnable_since for event in starts] == [starts[0].created, retried.due]
    [new] = [event for event in changes if event.task_id == later.id and event.state is State.NEW]
    assert [event.runnable_since for event in delayed] == [new.due]
