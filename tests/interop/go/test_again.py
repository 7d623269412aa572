"""Retried by id from either side, and what becomes of a task that the other side delayed, cancelled or runs."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from jetq.app.application import App
from jetq.errors import OperationRefusedError, TaskCancelledError
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.stream_message import last_message
from jetq.model.events import Event, RunLost
from jetq.model.state import State
from jetq.settings import JanitorSettings
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go


def counted(app: App) -> list[str]:
    """Give an application a handler, and the ids of the tasks that it was called for."""
    ran: list[str] = []

    @app.task("py:count")
    async def count(ctx: Context) -> int:
        ran.append(ctx.task_id)
        return len(ran)

    return ran


async def is_empty(backend: Backend, queue: str) -> bool:
    answer = await backend.connection.api(f"STREAM.INFO.{backend.names.queue(queue)}")
    return answer["state"]["messages"] == 0


async def put_item(backend: Backend, queue: str, task_id: str) -> None:
    """Publish an item as Go does, in the place of one that may be there."""
    data = f'{{"kind":0,"job":"{task_id}"}}'.encode()
    await backend.publisher.publish(Publication(backend.names.item(queue, task_id), data))


async def sequence_of(backend: Backend, task_id: str) -> int:
    found = await last_message(backend.connection, backend.names.tasks, backend.names.record(task_id))
    assert found is not None
    return found.seq


async def test_go_retries_what_jetq_finished(app: App, queue: str, go: Go) -> None:
    ran = counted(app)
    async with Worker(app, settings=WORKER):
        handle = await app.aenqueue("py:count")
        assert await handle.aresult(10) == 1
        assert await go.peer("retry", queue, handle.id) == [{"retried": handle.id}]
        await eventually(lambda: handle_is(app, handle.id, State.COMPLETE, tries=2))
        assert await handle.aresult(10) == 2
    assert ran == [handle.id] * 2


async def handle_is(app: App, task_id: str, state: State, *, tries: int) -> bool:
    record = await app.handle(task_id).arecord()
    return record.state is state and record.tries == tries


async def test_ajc_retries_into_the_queue_that_it_names(app: App, queue: str, go: Go) -> None:
    counted(app)
    async with Worker(app, settings=WORKER):
        handle = await app.aenqueue("py:count")
        await handle.aresult(10)
        await go.ajc("tasks", "retry", handle.id, f"--queue={queue}")
        await eventually(lambda: handle_is(app, handle.id, State.COMPLETE, tries=2))


async def test_ajc_that_names_no_queue_moves_a_task_to_the_default_one(app: App, queue: str, go: Go) -> None:
    ran = counted(app)
    backend = await prepared(app)
    await go.ajc("info")  # which makes the default queue
    handle = await app.aenqueue("py:count")
    await go.ajc("tasks", "retry", handle.id)
    assert (await handle.arecord()).queue == "DEFAULT"

    async with Worker(app, queues=["DEFAULT"], settings=WORKER):
        assert await handle.aresult(10) == 1
    async with Worker(app, queues=[queue], settings=WORKER):
        await eventually(lambda: is_empty(backend, queue))
    assert ran == [handle.id]
    assert await is_empty(backend, "DEFAULT")


async def test_jetq_retries_what_go_finished(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    worker = await go.worker(queue)
    handle = await app.aenqueue("go:echo", 1)
    await handle.aresult(10)
    ended = await app.aenqueue("go:terminate")
    await ended.await_end(10)

    for task_id in (handle.id, ended.id):
        await app.aretry(task_id)
        await worker.until("runs", task_id, count=2)
        await app.handle(task_id).await_end(10)
    assert (await go.view(queue, handle.id))["tries"] == 1  # a retry by jetq begins anew
    assert (await handle.arecord()).state is State.COMPLETE


@pytest.mark.parametrize("runner", ["jetq", "go"])
async def test_a_delayed_task_that_go_retries_runs_now_and_once(app: App, queue: str, go: Go, runner: str) -> None:
    ran = counted(app)
    backend = await prepared(app)
    delayed = await app.aenqueue("py:count" if runner == "jetq" else "go:echo", 1, delay=1.0)
    assert (await delayed.arecord()).display_state == "scheduled"
    await go.peer("retry", queue, delayed.id)

    async def schedule_is_over() -> bool:
        subject = backend.names.schedule(queue, delayed.id)
        return await last_message(backend.connection, backend.names.schedules, subject) is None

    if runner == "jetq":
        async with Worker(app, settings=WORKER):
            await delayed.aresult(10)
            await eventually(schedule_is_over)
            await eventually(lambda: is_empty(backend, queue))
        assert ran == [delayed.id]
    else:
        worker = await go.worker(queue)
        await delayed.aresult(10)
        await eventually(schedule_is_over)
        await eventually(lambda: is_empty(backend, queue))
        assert len(worker.told("runs")) == 1
    assert (await delayed.arecord()).tries == 1


@pytest.mark.parametrize("delay", [None, 600.0], ids=["queued", "delayed"])
async def test_go_refuses_the_item_of_a_cancelled_task(app: App, queue: str, go: Go, delay: float | None) -> None:
    backend = await prepared(app)
    handle = await app.aenqueue("go:echo", 1, delay=delay)
    await app.acancel(handle.id)
    await put_item(backend, queue, handle.id)
    worker = await go.worker(queue)
    await worker.until("warns")
    await eventually(lambda: is_empty(backend, queue))

    assert 'already in desired state "expired"' in worker.told("warns")[0]["warns"]
    assert worker.told("runs") == []
    with pytest.raises(TaskCancelledError):
        await handle.aresult(1)


async def test_a_run_that_go_retries_under_its_hands_is_lost_and_the_second_one_counts(
    app: App, queue: str, go: Go, told: list[Event]
) -> None:
    started, may_end = [asyncio.Event(), asyncio.Event()], asyncio.Event()
    runs = iter(range(2))

    @app.task("py:slow")
    async def slow() -> int:
        number = next(runs)
        started[number].set()
        await may_end.wait()
        return number

    async with Worker(app, settings=WORKER):
        handle = await app.aenqueue("py:slow")
        await started[0].wait()
        await go.peer("retry", queue, handle.id)
        await started[1].wait()
        may_end.set()
        assert await handle.aresult(10) == 1
    assert [event.task_id for event in told if isinstance(event, RunLost)] == [handle.id]
    assert (await handle.arecord()).tries == 2


async def test_a_delayed_task_runs_in_go_at_its_time(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    worker = await go.worker(queue)
    handle = await app.aenqueue("go:echo", 1, delay=0.3)
    assert await handle.aresult(10) == 1
    record = await handle.arecord()
    assert record.tried is not None
    assert (record.tried - record.created).total_seconds() >= 0.3
    assert len(worker.told("runs")) == 1


async def test_jetq_leaves_alone_what_go_runs(make_app: Callable[..., App], queue: str, go: Go) -> None:
    app = make_app(janitor=JanitorSettings(every=0.05, patience=0.0, blocked_every=0.05))
    ran = counted(app)

    @app.task("go:wait")
    async def wait() -> str:
        ran.append("go:wait")
        return "from Python"

    backend = await prepared(app)
    worker = await go.worker(queue)
    handle = await app.aenqueue("go:wait")
    await worker.until("waits", handle.id)
    before = await sequence_of(backend, handle.id)

    async with Worker(app, settings=replace(WORKER, janitor=True)):
        for operation in (app.acancel, app.aretry, app.arun_now, app.adelete):
            with pytest.raises(OperationRefusedError):
                await operation(handle.id)
        child = await app.aenqueue("py:count", depends_on=[handle])
        await put_item(backend, queue, handle.id)  # a redelivery, as after a restart of the server
        for _ in range(3):
            await (await app.aenqueue("py:count")).aresult(10)  # so it has come, and passes of the janitor went by
        assert await sequence_of(backend, handle.id) == before
        backend.connection.send(f"interop.{handle.id}", b"from Go")
        assert await handle.aresult(10) == "from Go"
        await child.aresult(10)
    assert "go:wait" not in ran
