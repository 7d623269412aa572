"""Emptying a queue ends the tasks that were queued there, and no others."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.admin.operator import Operator
from jetq.admin.queue_purge import QueuePurge
from jetq.admin.task_operations import TaskOperations
from jetq.client.enqueue import Enqueuer
from jetq.client.request import EnqueueRequest
from jetq.errors import UnknownQueueError
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.queue_store import published_for
from jetq.jetstream.stream_message import StreamMessage, last_message
from jetq.jetstream.task_store import Stored
from jetq.model.events import Event, TaskStateChanged
from jetq.model.record import Run, TaskRecord
from jetq.model.state import State
from jetq.wire.codec import new_document
from tests.integration.watching import eventually

LATER = datetime(2099, 1, 1, tzinfo=UTC)


async def put(backend: Backend, task_id: str, *, item: bool = True, **fields: Any) -> Stored:
    given: dict[str, Any] = {"type": "t", "queue": "DEFAULT", "max_tries": 5, "state": State.NEW}
    record = TaskRecord(id=task_id, created=datetime.now(UTC), **(given | fields))
    stored = await backend.tasks.write(new_document(record), 0)
    if item:
        await backend.publisher.publish(backend.queues.publication(stored))
    return stored


async def read(backend: Backend, task_id: str) -> TaskRecord:
    stored = await backend.tasks.read(task_id)
    assert stored is not None
    return stored.record


async def item_of(backend: Backend, task_id: str) -> StreamMessage | None:
    return await last_message(
        backend.connection, backend.names.queue("DEFAULT"), backend.names.item("DEFAULT", task_id)
    )


async def test_queued_tasks_end_as_purged(backend: Backend, events: list[Event]) -> None:
    for task_id in ("a", "b"):
        await put(backend, task_id)
    await put(backend, "released", state=State.RETRY, tries=2)
    await put(backend, "large", payload=b"x" * 100_000)

    assert await Operator(backend).purge_queue("DEFAULT") == 4

    for task_id in ("a", "b", "released", "large"):
        record = await read(backend, task_id)
        assert (record.state, record.end, record.last_err) == (State.EXPIRED, "purged", "its queue was purged")
        assert await item_of(backend, task_id) is None
    told = {event.task_id for event in events if isinstance(event, TaskStateChanged) and event.end == "purged"}
    assert told == {"a", "b", "released", "large"}


async def test_a_stale_item_does_not_hide_that_its_task_is_queued(backend: Backend) -> None:
    stored = await put(backend, "stale")
    await backend.tasks.write(stored.document.updated(replace(stored.record, tries=1)), stored.sequence)
    await put(backend, "go", item=False)
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "go"), b'{"kind":0,"job":"go"}'))

    assert await Operator(backend).purge_queue("DEFAULT") == 2

    assert (await read(backend, "stale")).end == (await read(backend, "go")).end == "purged"


async def test_a_task_that_runs_is_left_alone_and_keeps_an_item(backend: Backend) -> None:
    stored = await put(backend, "running", state=State.ACTIVE, run=Run("01W", 1, "n"), runs=1)

    await Operator(backend).purge_queue("DEFAULT")

    item = await item_of(backend, "running")
    assert (await read(backend, "running")).state is State.ACTIVE
    assert item is not None
    assert published_for(item) == stored.sequence


async def test_a_task_that_waits_goes_on_waiting(backend: Backend) -> None:
    await put(backend, "delayed", due=LATER, item=False)
    failed = await put(backend, "failed", state=State.ACTIVE, run=Run("01W", 1, "n"), runs=1)
    waits = replace(failed.record, state=State.RETRY, due=LATER)
    await backend.tasks.write(failed.document.updated(waits), failed.sequence)

    await Operator(backend).purge_queue("DEFAULT")

    schedule = await last_message(
        backend.connection, backend.names.schedules, backend.names.schedule("DEFAULT", "failed")
    )
    assert (await read(backend, "delayed")).display_state == "scheduled"
    assert (await read(backend, "failed")).is_waiting
    assert schedule is not None


async def test_a_task_that_its_schedule_brought_is_queued(backend: Backend) -> None:
    stored = await put(backend, "due", due=datetime.now(UTC) + timedelta(seconds=0.3), item=False)
    await backend.queues.schedule(stored)
    await eventually(lambda: backend.queues.has_item(stored))

    await Operator(backend).purge_queue("DEFAULT")

    assert (await read(backend, "due")).end == "purged"


async def test_what_is_no_item_and_what_has_no_task_is_removed(backend: Backend) -> None:
    await put(backend, "done", state=State.COMPLETE)
    for task_id, data in (("bad", b"garbage"), ("orphan", b'{"kind":0,"job":"orphan"}'), ("x", b'{"job":"y"}')):
        await backend.publisher.publish(Publication(backend.names.item("DEFAULT", task_id), data))
    await backend.connection.request(backend.names.record("torn"), b"{")
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "torn"), b'{"job":"torn"}'))

    assert await Operator(backend).purge_queue("DEFAULT") == 5

    assert (await read(backend, "done")).state is State.COMPLETE


async def test_a_task_that_is_retried_meanwhile_stays(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(backend, "again")
    api = backend.connection.api

    async def retrying(action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        if action.startswith("STREAM.PURGE"):
            monkeypatch.setattr(backend.connection, "api", api)
            await TaskOperations(backend).retry("again")
        return await api(action, body, timeout=timeout)

    monkeypatch.setattr(backend.connection, "api", retrying)
    await Operator(backend).purge_queue("DEFAULT")

    assert (await read(backend, "again")).is_runnable
    assert await item_of(backend, "again") is not None


async def test_a_purge_that_dies_before_the_items_can_be_begun_again(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(backend, "one")
    monkeypatch.setattr("jetq.admin.queue_purge.purge_subject", _dies)
    with pytest.raises(ZeroDivisionError):
        await Operator(backend).purge_queue("DEFAULT")
    assert (await read(backend, "one")).end == "purged"
    assert await item_of(backend, "one") is not None

    monkeypatch.undo()

    assert await Operator(backend).purge_queue("DEFAULT") == 1


async def _dies(*_args: object, **_kwargs: object) -> int:
    raise ZeroDivisionError


async def test_a_queue_that_is_deleted_ends_its_tasks(backend: Backend) -> None:
    await put(backend, "one")

    await Operator(backend).delete_queue("DEFAULT")

    record = await read(backend, "one")
    assert (record.end, record.last_err) == ("purged", "its queue was deleted")
    with pytest.raises(UnknownQueueError):
        await QueuePurge(backend, "DEFAULT").run()


@pytest.mark.nightly
@pytest.mark.timeout(200)
async def test_a_hundred_thousand_tasks_are_purged_in_a_minute(backend: Backend) -> None:
    request = EnqueueRequest(type="t", queue="DEFAULT", payload=b"{}", max_tries=3)
    enqueuer = Enqueuer(backend, {})
    for _ in range(10):
        await enqueuer.enqueue_many([request] * 10_000)

    began = time.monotonic()
    assert await Operator(backend).purge_queue("DEFAULT") == 100_000

    assert time.monotonic() - began < 60
