"""What operations and the janitor make of unique keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq.admin.task_operations import TaskOperations
from jetq.client.enqueue import Enqueuer
from jetq.client.keyed import ExistingTask
from jetq.client.request import EnqueueRequest
from jetq.errors import OperationRefusedError
from jetq.jetstream.backend import Backend
from jetq.jetstream.key_store import StoredKey
from jetq.jetstream.task_store import Stored
from jetq.model.record import Run, TaskRecord
from jetq.model.state import State
from jetq.model.transition import claimed
from jetq.model.unique import KeyEntry, UniqueKey, UniqueMode

KEY = "x:y k"


def request(mode: UniqueMode = UniqueMode.UNFINISHED, **more: Any) -> EnqueueRequest:
    fields: dict[str, Any] = {"type": "x:y", "queue": "DEFAULT", "payload": b'{"a":1}', "max_tries": 5}
    period = 60 if mode is UniqueMode.PERIOD else 0
    fields["unique"] = UniqueKey(KEY, mode, period)
    return EnqueueRequest(**(fields | more))


@pytest.fixture
def enqueuer(backend: Backend) -> Enqueuer:
    return Enqueuer(backend, {})


@pytest.fixture
def operations(backend: Backend) -> TaskOperations:
    return TaskOperations(backend)


async def read(backend: Backend, task_id: str) -> Stored:
    found = await backend.tasks.read(task_id)
    assert found is not None
    return found


async def begin(backend: Backend, task_id: str) -> None:
    stored = await read(backend, task_id)
    active = claimed(stored.record, Run("W", stored.record.runs + 1, "n"), datetime.now(UTC))
    await backend.tasks.write(stored.document.updated(active), stored.sequence)


@pytest.mark.parametrize("due", [None, datetime.now(UTC) + timedelta(hours=1)], ids=["queued", "delayed"])
@pytest.mark.parametrize("operation", ["cancel", "delete"])
async def test_a_task_that_is_cancelled_or_deleted_frees_its_key(
    enqueuer: Enqueuer, backend: Backend, operations: TaskOperations, operation: str, due: datetime | None
) -> None:
    await enqueuer.enqueue(request(task_id="first", due=due))

    await getattr(operations, operation)("first")

    assert await backend.keys.holder(KEY) == ""


async def test_a_throttle_outlives_a_cancelled_task(
    enqueuer: Enqueuer, backend: Backend, operations: TaskOperations
) -> None:
    await enqueuer.enqueue(request(UniqueMode.PERIOD, task_id="first"))

    await operations.cancel("first")

    assert await backend.keys.holder(KEY) == "first"


async def test_a_deleted_task_wakes_the_one_that_waits_for_its_end(
    enqueuer: Enqueuer, backend: Backend, operations: TaskOperations
) -> None:
    await enqueuer.enqueue(request(UniqueMode.LATEST, task_id="first"))
    await begin(backend, "first")
    await enqueuer.enqueue(request(UniqueMode.LATEST, task_id="second"))
    assert (await read(backend, "second")).record.is_waiting

    await operations.delete("first", force=True)

    second = await read(backend, "second")
    assert second.record.is_runnable
    assert await backend.queues.has_item(second)


@pytest.mark.parametrize("operation", ["cancel", "delete", "nothing tells"])
async def test_the_key_of_a_task_that_waited_for_anothers_end_goes_back_to_that(
    enqueuer: Enqueuer, backend: Backend, operations: TaskOperations, operation: str
) -> None:
    await enqueuer.enqueue(request(UniqueMode.LATEST, task_id="first"))
    await begin(backend, "first")
    await enqueuer.enqueue(request(UniqueMode.LATEST, task_id="second"))

    if operation == "nothing tells":
        await backend.tasks.remove("second")
    else:
        await getattr(operations, operation)("second")
        assert await backend.keys.holder(KEY) == "first"
    assert await enqueuer.enqueue(request()) == ExistingTask("first", "DEFAULT")
    third = await enqueuer.enqueue(request(UniqueMode.LATEST, task_id="third"))

    assert isinstance(third, TaskRecord)
    assert third.after == "first"


async def test_a_retry_takes_the_key_again(enqueuer: Enqueuer, backend: Backend, operations: TaskOperations) -> None:
    await enqueuer.enqueue(request(task_id="first"))
    await operations.cancel("first")

    await operations.retry("first")

    assert await backend.keys.holder(KEY) == "first"
    assert await enqueuer.enqueue(request()) == ExistingTask("first", "DEFAULT")


async def test_a_retry_is_refused_while_another_task_has_the_key(
    enqueuer: Enqueuer, backend: Backend, operations: TaskOperations
) -> None:
    await enqueuer.enqueue(request(task_id="first"))
    await operations.cancel("first")
    before = await read(backend, "first")
    await enqueuer.enqueue(request(task_id="second"))

    with pytest.raises(OperationRefusedError, match="second") as caught:
        await operations.retry("first")

    assert (caught.value.operation, caught.value.state) == ("retry", "cancelled")
    assert await read(backend, "first") == before
    await operations.cancel("second")
    await operations.retry("first")


async def test_a_retry_that_loses_the_key_puts_the_record_back(
    enqueuer: Enqueuer, backend: Backend, operations: TaskOperations
) -> None:
    await enqueuer.enqueue(request(task_id="first"))
    await operations.cancel("first")
    before = await read(backend, "first")
    looked = 0
    readings = backend.keys.read

    async def read_key(key: str, *, timeout: float | None = None) -> StoredKey:
        """Let another task be faster, between the record and the key."""
        nonlocal looked
        looked += 1
        if looked == 2:
            backend.keys.read = readings  # type: ignore[method-assign]
            await backend.tasks.remove("second")
            await backend.keys.take(KeyEntry(KEY, "second"), (await readings(KEY)).sequence)
            await enqueuer.store(request(task_id="second"))
        return await readings(key, timeout=timeout)

    backend.keys.read = read_key  # type: ignore[method-assign]
    with pytest.raises(OperationRefusedError, match="second"):
        await operations.retry("first")

    after = await read(backend, "first")
    assert after.data == before.data
    assert not await backend.queues.has_item(after)


async def test_an_enqueue_that_saw_the_ended_task_before_its_retry_finds_it_unfinished(
    enqueuer: Enqueuer, backend: Backend, operations: TaskOperations
) -> None:
    """The key still names the ended task, since nobody freed it; both want it."""
    await enqueuer.enqueue(request(task_id="first"))
    stored = await read(backend, "first")
    cancelled = await operations.cancel("first")
    await backend.keys.take(KeyEntry(KEY, "first"), 0)
    take, taking = backend.keys.take, asyncio.Event()
    retried = asyncio.Event()

    async def slow(entry: KeyEntry, expect: int, *, timeout: float | None = None) -> int:
        taking.set()
        await retried.wait()
        return await take(entry, expect, timeout=timeout)

    backend.keys.take = slow  # type: ignore[method-assign]
    enqueueing = asyncio.create_task(enqueuer.enqueue(request(task_id="second")))
    await taking.wait()
    backend.keys.take = take  # type: ignore[method-assign]
    await operations.retry("first")
    retried.set()

    assert await enqueueing == ExistingTask("first", "DEFAULT")
    assert (cancelled.after, stored.record.key) == ("cancelled", KEY)
    assert (await read(backend, "second")).record.state is State.EXPIRED
