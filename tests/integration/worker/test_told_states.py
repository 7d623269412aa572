"""Every written state is told to subscribers of the server, once, in the order of its writing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from jetq.admin.task_operations import TaskOperations
from jetq.app.application import App
from jetq.errors import QueueFullError, Retry, ServerTimeoutError, Snooze, Terminate
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.server import EmbeddedServer
from jetq.model.record import Run
from jetq.model.transition import claimed
from jetq.settings import Queue, WorkerSettings
from jetq.wire.events import TaskStateEvent, decode_event
from jetq.worker import ownership
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE

SETTINGS: Final = WorkerSettings(concurrency=10, shutdown_timeout=5.0)
AT_ONCE: Final = WorkerSettings(concurrency=10, shutdown_timeout=0.0)


class Stage:
    """An application with one task type for each path, and all that was told."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.heard: list[TaskStateEvent] = []
        app.task("good")(_good)
        app.task("number")(_number)
        app.task("bad", max_tries=2, retry=0.2)(_bad)
        app.task("stubborn")(_stubborn)
        app.task("drowsy")(_drowsy)
        app.task("again")(_again)
        app.task("endless")(_endless)

    async def backend(self) -> Backend:
        return (await self.app.clients.current()).backend

    async def operations(self) -> TaskOperations:
        return TaskOperations(await self.backend())

    async def run_until(self, task_id: str, last: str, *, settings: WorkerSettings = SETTINGS) -> None:
        """Work until a state is told."""
        async with Worker(self.app, settings=settings):
            await self.until(task_id, last)

    async def until(self, task_id: str, last: str) -> None:
        async def is_told() -> bool:
            return last in self.words(task_id)

        await eventually(is_told, within=15)

    def words(self, task_id: str) -> list[str]:
        return [event.display_state for event in self.heard if event.task_id == task_id]

    def events(self, task_id: str) -> list[TaskStateEvent]:
        return [event for event in self.heard if event.task_id == task_id]


async def _good() -> int:
    return 1


async def _number(number: int) -> int:
    return number


async def _bad() -> None:
    raise ValueError("no")


async def _stubborn() -> None:
    raise Terminate("no use")


async def _drowsy(ctx: Context) -> None:
    if ctx.attempt == 1:
        raise Snooze(0.2)


async def _again(ctx: Context) -> None:
    if ctx.attempt == 1:
        raise Retry(0.2)


async def _endless() -> None:
    await asyncio.sleep(60)


@pytest.fixture
async def stage(server: EmbeddedServer, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Give the stage; what is told is heard from the server as anybody would, without a reader of ours in between."""
    monkeypatch.setattr(ownership, "SETTLE_DOWN", 0.2)
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE), Queue("SMALL", max_entries=1)])
    app.connect_to(server.address)
    stage = Stage(app)
    backend = await stage.backend()

    def hear(message: Any) -> None:
        event = decode_event(message.data)
        assert isinstance(event, TaskStateEvent)
        stage.heard.append(event)

    await backend.connection.subscribe(backend.names.task_event("*"), hear)
    yield stage
    await app.aclose()


async def succeed(stage: Stage) -> str:
    handle = await stage.app.aenqueue("good")
    await stage.run_until(handle.id, "complete")
    return handle.id


async def fail(stage: Stage) -> str:
    handle = await stage.app.aenqueue("bad")
    await stage.run_until(handle.id, "expired")
    return handle.id


async def terminate(stage: Stage) -> str:
    handle = await stage.app.aenqueue("stubborn")
    await stage.run_until(handle.id, "terminated")
    return handle.id


async def snooze(stage: Stage) -> str:
    handle = await stage.app.aenqueue("drowsy")
    await stage.run_until(handle.id, "complete")
    return handle.id


async def ask_for_a_retry(stage: Stage) -> str:
    handle = await stage.app.aenqueue("again")
    await stage.run_until(handle.id, "complete")
    return handle.id


async def wait_for_its_time(stage: Stage) -> str:
    handle = await stage.app.aenqueue("good", delay=0.2)
    await stage.run_until(handle.id, "complete")
    return handle.id


async def come_too_late(stage: Stage) -> str:
    handle = await stage.app.aenqueue("good", deadline=datetime.now(UTC) + timedelta(seconds=0.2))
    await asyncio.sleep(0.3)
    await stage.run_until(handle.id, "expired")
    return handle.id


async def have_no_handler(stage: Stage) -> str:
    handle = await stage.app.aenqueue("unheard")
    await stage.run_until(handle.id, "retry")
    return handle.id


async def have_a_bad_payload(stage: Stage) -> str:
    handle = await stage.app.aenqueue("number", {"number": "none"})
    await stage.run_until(handle.id, "terminated")
    return handle.id


async def be_interrupted(stage: Stage) -> str:
    handle = await stage.app.aenqueue("endless")
    await stage.run_until(handle.id, "active", settings=AT_ONCE)
    await stage.until(handle.id, "retry")
    return handle.id


async def be_taken_over(stage: Stage) -> str:
    handle = await stage.app.aenqueue("good")
    tasks = (await stage.backend()).tasks
    stored = await tasks.read(handle.id)
    assert stored is not None
    dead = claimed(stored.record, Run("DEAD", 1, "n"), datetime.now(UTC))
    await tasks.write(stored.document.updated(dead), stored.sequence)
    await stage.run_until(handle.id, "complete")
    return handle.id


async def find_the_queue_full(stage: Stage) -> str:
    await stage.app.aenqueue("good", queue="SMALL")
    with pytest.raises(QueueFullError):
        await stage.app.aenqueue("good", queue="SMALL", id="full")
    await stage.until("full", "queue_error")
    return "full"


async def be_cancelled_while_it_waits(stage: Stage) -> str:
    handle = await stage.app.aenqueue("good", delay=60)
    await (await stage.operations()).cancel(handle.id)
    await stage.until(handle.id, "cancelled")
    return handle.id


async def be_cancelled_while_it_runs(stage: Stage) -> str:
    handle = await stage.app.aenqueue("endless")
    async with Worker(stage.app, settings=SETTINGS):
        await stage.until(handle.id, "active")
        await (await stage.operations()).cancel(handle.id)
        await stage.until(handle.id, "cancelled")
    return handle.id


async def be_retried_after_its_end(stage: Stage) -> str:
    handle = await stage.app.aenqueue("good")
    await stage.run_until(handle.id, "complete")
    await (await stage.operations()).retry(handle.id)
    await stage.until(handle.id, "retry")
    return handle.id


async def be_run_now(stage: Stage) -> str:
    handle = await stage.app.aenqueue("good", delay=60)
    await (await stage.operations()).run_now(handle.id)
    await stage.run_until(handle.id, "complete")
    return handle.id


async def be_one_of_many(stage: Stage) -> str:
    outcomes = await stage.app.aenqueue_many([("good", None)] * 3)
    await stage.run_until(outcomes[1].id, "complete")
    return str(outcomes[1].id)


PATHS: list[tuple[Callable[[Stage], Any], list[str]]] = [
    (succeed, ["new", "active", "complete"]),
    (fail, ["new", "active", "retry", "active", "expired"]),
    (terminate, ["new", "active", "terminated"]),
    (snooze, ["new", "active", "retry", "active", "complete"]),
    (ask_for_a_retry, ["new", "active", "retry", "active", "complete"]),
    (wait_for_its_time, ["scheduled", "active", "complete"]),
    (come_too_late, ["new", "expired"]),
    (have_no_handler, ["new", "active", "retry"]),
    (have_a_bad_payload, ["new", "active", "terminated"]),
    (be_interrupted, ["new", "active", "retry"]),
    (be_taken_over, ["new", "active", "complete"]),
    (find_the_queue_full, ["new", "queue_error"]),
    (be_cancelled_while_it_waits, ["scheduled", "cancelled"]),
    (be_cancelled_while_it_runs, ["new", "active", "cancelled"]),
    (be_retried_after_its_end, ["new", "active", "complete", "retry"]),
    (be_run_now, ["scheduled", "new", "active", "complete"]),
    (be_one_of_many, ["new", "active", "complete"]),
]


@pytest.mark.parametrize(("walk", "words"), PATHS, ids=[walk.__name__ for walk, _ in PATHS])
async def test_each_state_of_a_path_is_told_once_and_in_order(
    stage: Stage, walk: Callable[[Stage], Any], words: list[str]
) -> None:
    task_id = await walk(stage)
    told = stage.events(task_id)

    assert [event.display_state for event in told] == words
    assert [event.sequence for event in told] == sorted({event.sequence for event in told})
    assert len({event.event_id for event in told}) == len(told)
    assert all(event.worker for event in told if event.display_state == "active")


async def test_an_event_says_how_the_run_went(stage: Stage) -> None:
    told = stage.events(await fail(stage))

    assert [event.outcome for event in told] == ["", "", "failed", "", "failed"]
    assert [event.attempt for event in told] == [0, 1, 1, 2, 2]
    assert [event.tries for event in told] == [0, 1, 1, 2, 2]
    assert [event.last_error for event in told] == ["", "", "ValueError: no", "", "ValueError: no"]
    assert [event.due is not None for event in told] == [False, False, True, False, False]
    assert [event.duration > 0 for event in told] == [False, False, True, False, True]
    assert told[-1].end == "max_tries"


async def test_a_take_over_counts_the_crash(stage: Stage) -> None:
    told = stage.events(await be_taken_over(stage))

    assert [event.crashes for event in told] == [0, 1, 1]
    assert [event.attempt for event in told] == [0, 2, 2]


async def test_a_final_record_that_is_delivered_again_is_told_under_the_same_id(stage: Stage) -> None:
    handle = await stage.app.aenqueue("good")
    backend = await stage.backend()
    queued = await backend.tasks.read(handle.id)
    assert queued is not None
    await stage.run_until(handle.id, "complete")
    item = backend.queues.publication(queued)
    await backend.publisher.publish(Publication(item.subject, item.data, b""))

    async def is_told_again() -> bool:
        return stage.words(handle.id).count("complete") == 2

    async with Worker(stage.app, settings=SETTINGS):
        await eventually(is_told_again)

    first, second = stage.events(handle.id)[-2:]
    assert first.event_id == second.event_id
    assert first.worker == second.worker


async def test_a_producer_whose_answer_was_lost_tells_what_it_wrote(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await stage.backend()
    publish_many = backend.publisher.publish_many

    async def deaf(publications: Any, **options: Any) -> Any:
        """Store the record; let a worker run the task before the producer looks."""
        answers = await publish_many(publications, **options)
        monkeypatch.setattr(backend.publisher, "publish_many", publish_many)
        stored = await backend.tasks.read("lost")
        assert stored is not None
        await backend.queues.put(stored)
        await stage.run_until("lost", "complete")
        assert answers
        return [ServerTimeoutError("the record", 1.0)]

    monkeypatch.setattr(backend.publisher, "publish_many", deaf)
    await stage.app.aenqueue("good", id="lost")
    await stage.until("lost", "new")

    assert sorted(stage.words("lost")) == ["active", "complete", "new"]
