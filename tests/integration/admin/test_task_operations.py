"""Every operation in every state, against a real server; and what goes with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from jetq.admin.task_operations import TaskOperations
from jetq.errors import (
    ConfigurationError,
    InvalidSettingError,
    OperationRefusedError,
    PayloadTooLargeError,
    UnknownQueueError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.queue_store import published_for
from jetq.jetstream.stream_message import StreamMessage, last_message
from jetq.jetstream.task_store import Stored
from jetq.model.events import Event, TaskStateChanged
from jetq.model.operation import RULES, Effect, OperatedTask, Operation, Standing, standing_of
from jetq.model.record import ErrorInfo, Result, Run, TaskRecord
from jetq.model.state import State
from jetq.settings import Queue
from jetq.wire.codec import new_document
from jetq.wire.signature import Signer, signed_text
from tests.integration.removing import remove_item
from tests.integration.watching import eventually

LATER = datetime(2099, 1, 1, tzinfo=UTC)
RUN = Run("01DEAD", 2, "nonce")

SHAPES: dict[Standing, dict[str, Any]] = {
    Standing.SCHEDULED: {"state": State.NEW, "due": LATER},
    Standing.NEW: {"state": State.NEW},
    Standing.RETRY: {"state": State.RETRY, "due": LATER, "last_err": "broken"},
    Standing.QUEUED_RETRY: {"state": State.RETRY},
    Standing.QUEUE_ERROR: {"state": State.QUEUE_ERROR, "last_err": "the queue is full"},
    Standing.UNKNOWN: {"state": State.UNKNOWN},
    Standing.BLOCKED: {"state": State.BLOCKED, "dependencies": ["other"]},
    Standing.ACTIVE: {"state": State.ACTIVE, "run": RUN},
    Standing.ACTIVE_GO: {"state": State.ACTIVE},
    Standing.COMPLETE: {"state": State.COMPLETE, "run": RUN, "result": Result(Raw(b"1"), LATER)},
    Standing.EXPIRED: {"state": State.EXPIRED, "run": RUN, "end": "max_tries", "error": ErrorInfo("ValueError", "x")},
    Standing.CANCELLED: {"state": State.EXPIRED, "end": "cancelled"},
    Standing.TERMINATED: {"state": State.TERMINATED, "run": RUN, "end": "crash", "crashes": 3},
    Standing.UNREACHABLE: {"state": State.UNREACHABLE, "dependencies": ["other"]},
}
CELLS = [(standing, operation) for standing in Standing for operation in Operation]


@pytest.fixture
def operations(backend: Backend) -> TaskOperations:
    return TaskOperations(backend)


async def task_in(backend: Backend, standing: Standing, **fields: Any) -> Stored:
    """Leave a task as it is in that state: its record, with its item or its schedule."""
    given: dict[str, Any] = {"id": "one", "type": "t", "queue": "DEFAULT", "payload": b"{}", "max_tries": 5, "tries": 2}
    record = TaskRecord(**(given | {"created": datetime.now(UTC), "runs": 2} | SHAPES[standing] | fields))
    assert standing_of(record) is standing
    ttl = 600.0 if record.is_final else None
    stored = await backend.tasks.write(new_document(record), 0, ttl=ttl)
    if record.is_waiting:
        await backend.queues.schedule(stored)
    elif record.state in {State.NEW, State.RETRY, State.ACTIVE}:
        await backend.queues.put(stored)
    return stored


async def read(backend: Backend, task_id: str = "one") -> Stored:
    stored = await backend.tasks.read(task_id)
    assert stored is not None
    return stored


async def item_of(backend: Backend, queue: str = "DEFAULT") -> StreamMessage | None:
    return await last_message(backend.connection, backend.names.queue(queue), backend.names.item(queue, "one"))


async def schedule_of(backend: Backend) -> StreamMessage | None:
    return await last_message(backend.connection, backend.names.schedules, backend.names.schedule("DEFAULT", "one"))


async def operate(operations: TaskOperations, operation: Operation, *, force: bool = False) -> OperatedTask:
    match operation:
        case Operation.CANCEL:
            return await operations.cancel("one", by="ops")
        case Operation.RETRY:
            return await operations.retry("one")
        case Operation.RUN_NOW:
            return await operations.run_now("one")
        case Operation.DELETE:
            return await operations.delete("one", force=force)
        case Operation.CHANGE:
            return await operations.change("one", payload=b'{"x":1}')


def cells_with(*effects: Effect) -> pytest.MarkDecorator:
    """Return the cells of the table that have one of these effects."""
    chosen = [(standing, operation) for standing, operation in CELLS if RULES[standing][operation].effect in effects]
    return pytest.mark.parametrize(("standing", "operation"), chosen, ids=[f"{o}-{s}" for s, o in chosen])


def test_the_table_has_every_state_and_every_operation() -> None:
    assert set(RULES) == set(Standing) == set(SHAPES)
    assert all(set(row) == set(Operation) for row in RULES.values())


@cells_with(Effect.REFUSED)
async def test_a_refused_operation_says_why_and_changes_nothing(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation, events: list[Event]
) -> None:
    before = await task_in(backend, standing)

    with pytest.raises(OperationRefusedError) as caught:
        await operate(operations, operation)

    error = caught.value
    assert (error.task_id, error.operation, error.state) == ("one", operation, before.record.display_state)
    assert error.reason == RULES[standing][operation].text
    assert (await read(backend)).sequence == before.sequence
    assert events == []


@cells_with(Effect.ENDED)
async def test_a_cancelled_task_has_ended_and_left_nothing_behind(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation, events: list[Event]
) -> None:
    before = await task_in(backend, standing)

    done = await operate(operations, operation)
    stored = await read(backend)

    assert (done.effect, done.before, done.after) == (Effect.ENDED, before.record.display_state, "cancelled")
    assert (stored.record.end, stored.record.last_err, stored.record.due) == ("cancelled", "cancelled by ops", None)
    assert (await item_of(backend), await schedule_of(backend)) == (None, None)
    assert b"Nats-TTL: 604800" in await headers_of(backend)
    told = [event for event in events if isinstance(event, TaskStateChanged)]
    assert [(event.state, event.end, event.sequence) for event in told] == [
        (State.EXPIRED, "cancelled", stored.sequence)
    ]


async def headers_of(backend: Backend) -> bytes:
    message = await last_message(backend.connection, backend.names.tasks, backend.names.record("one"))
    assert message is not None
    return message.hdrs


@cells_with(Effect.REQUESTED)
async def test_a_running_task_carries_the_request(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation
) -> None:
    before = await task_in(backend, standing)

    done = await operate(operations, operation)
    stored = await read(backend)
    again = await operate(operations, operation)

    assert (done.effect, done.after) == (Effect.REQUESTED, "active")
    assert stored.record.cancel_requested is not None
    assert stored.record == replace(before.record, cancel_requested=stored.record.cancel_requested)
    assert stored.record.cancel_requested.by == "ops"
    assert again.effect is Effect.REQUESTED
    assert (await read(backend)).sequence == stored.sequence


@cells_with(Effect.STARTED)
async def test_a_started_task_is_runnable_with_its_item_and_no_schedule(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation, events: list[Event]
) -> None:
    await task_in(backend, standing)

    done = await operate(operations, operation)
    stored, item = await read(backend), await item_of(backend)
    record = stored.record

    assert done.effect is Effect.STARTED
    assert record.is_runnable
    assert (record.tries, record.runs) == (2 if operation is Operation.RUN_NOW else 0, 2)
    assert (record.end, record.error, record.result, record.crashes) == ("", None, None, 0)
    assert item is not None
    assert published_for(item) == stored.sequence
    assert await schedule_of(backend) is None
    assert b"Nats-TTL" not in await headers_of(backend)
    assert [event.sequence for event in events if isinstance(event, TaskStateChanged)] == [stored.sequence]


@cells_with(Effect.QUEUED)
async def test_a_queued_task_gets_its_item_if_that_is_gone(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation
) -> None:
    before = await task_in(backend, standing)
    await remove_item(backend, "DEFAULT", "one")

    done = await operate(operations, operation)
    first = await item_of(backend)
    await operate(operations, operation)

    assert done.effect is Effect.QUEUED
    assert (await read(backend)).sequence == before.sequence
    assert first is not None
    assert await item_of(backend) == first


@cells_with(Effect.REMOVED)
async def test_a_deleted_task_is_gone_with_its_item_and_its_schedule(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation
) -> None:
    before = await task_in(backend, standing)
    if RULES[standing][operation].force:
        with pytest.raises(OperationRefusedError, match="only with force"):
            await operate(operations, operation)

    done = await operate(operations, operation, force=RULES[standing][operation].force)

    assert (done.effect, done.before, done.after) == (Effect.REMOVED, before.record.display_state, "")
    assert await backend.tasks.read("one") is None
    assert (await item_of(backend), await schedule_of(backend)) == (None, None)


@cells_with(Effect.CHANGED)
async def test_a_changed_task_is_brought_as_it_is_now(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation
) -> None:
    before = await task_in(backend, standing)

    done = await operate(operations, operation)
    stored = await read(backend)
    brings = await schedule_of(backend) if stored.record.is_waiting else await item_of(backend)

    assert (done.effect, done.before, done.after) == (Effect.CHANGED, done.before, before.record.display_state)
    assert stored.record == replace(before.record, payload=b'{"x":1}')
    assert brings is not None
    assert published_for(brings) == stored.sequence


@cells_with(Effect.NOTHING)
async def test_what_is_so_already_stays(
    backend: Backend, operations: TaskOperations, standing: Standing, operation: Operation, events: list[Event]
) -> None:
    before = await task_in(backend, standing)

    assert (await operate(operations, operation)).effect is Effect.NOTHING
    assert (await read(backend)).sequence == before.sequence
    assert events == []


async def test_a_passed_deadline_needs_a_new_one(backend: Backend, operations: TaskOperations) -> None:
    past, future = datetime.now(UTC) - timedelta(minutes=1), datetime.now(UTC) + timedelta(hours=1)
    await task_in(backend, Standing.EXPIRED, deadline=past)

    with pytest.raises(OperationRefusedError, match="has passed: give it a new one"):
        await operations.retry("one")
    await operations.retry("one", deadline=future)

    assert (await read(backend)).record.deadline == future


async def test_a_deadline_in_a_while_counts_by_the_servers_clock(backend: Backend, operations: TaskOperations) -> None:
    await task_in(backend, Standing.EXPIRED)
    backend.connection.clock.skew = -timedelta(hours=2)  # this machine's clock is behind
    told = backend.connection.clock.now()

    await operations.retry("one", deadline=timedelta(hours=1))

    deadline = (await read(backend)).record.deadline
    assert deadline is not None
    assert abs(deadline - told - timedelta(hours=1)) < timedelta(minutes=1)


async def test_a_deadline_can_be_taken_away(backend: Backend, operations: TaskOperations) -> None:
    await task_in(backend, Standing.EXPIRED, deadline=datetime.now(UTC) - timedelta(minutes=1))

    await operations.retry("one", deadline=None)

    assert (await read(backend)).record.deadline is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"deadline": datetime(2099, 1, 1)}, "an aware datetime"),  # noqa: DTZ001 - the point
        ({"deadline": datetime(2020, 1, 1, tzinfo=UTC)}, "in the future"),
        ({"max_tries": -1}, "at least 0"),
        ({"queue": "A B"}, "legal queue"),
        ({}, "a payload, a deadline"),
    ],
)
async def test_changes_that_cannot_be_meant_are_refused(
    backend: Backend, operations: TaskOperations, changes: dict[str, Any], message: str
) -> None:
    before = await task_in(backend, Standing.NEW)

    with pytest.raises(ConfigurationError, match=message):
        await operations.change("one", **changes)

    assert (await read(backend)).sequence == before.sequence


async def test_a_payload_that_leaves_no_room_for_what_runs_add_is_refused(
    backend: Backend, operations: TaskOperations
) -> None:
    await task_in(backend, Standing.NEW)

    with pytest.raises(PayloadTooLargeError):
        await operations.change("one", payload=b'"' + b"x" * 900_000 + b'"')


async def test_a_queued_task_moves_to_another_queue(backend: Backend, operations: TaskOperations) -> None:
    await task_in(backend, Standing.NEW)

    done = await operations.change("one", queue="SMALL")

    assert done.queue == "SMALL"
    assert await item_of(backend, "DEFAULT") is None
    assert await item_of(backend, "SMALL") is not None


async def test_a_waiting_task_moves_with_its_schedule(backend: Backend, operations: TaskOperations) -> None:
    await task_in(backend, Standing.SCHEDULED)

    await operations.change("one", queue="SMALL")

    names = backend.names
    assert await schedule_of(backend) is None
    assert await last_message(backend.connection, names.schedules, names.schedule("SMALL", "one")) is not None


async def test_an_ended_task_is_retried_elsewhere_with_another_payload(
    backend: Backend, operations: TaskOperations
) -> None:
    await task_in(backend, Standing.TERMINATED)

    await operations.retry("one", queue="SMALL", payload=b'{"x":1}', max_tries=9)

    record = (await read(backend)).record
    assert (record.queue, record.payload, record.max_tries) == ("SMALL", b'{"x":1}', 9)
    assert await item_of(backend, "SMALL") is not None


async def test_a_queue_that_is_not_there_takes_no_task(backend: Backend, operations: TaskOperations) -> None:
    before = await task_in(backend, Standing.COMPLETE)

    with pytest.raises(UnknownQueueError, match="GONE"):
        await operations.retry("one", queue="GONE")

    assert (await read(backend)).sequence == before.sequence


async def test_a_full_queue_takes_a_retried_task_when_there_is_room(
    backend: Backend, operations: TaskOperations
) -> None:
    await backend.queue(Queue("SMALL"))
    for name in ("a", "b"):
        await backend.publisher.publish(Publication(backend.names.item("SMALL", name), b"{}"))
    await task_in(backend, Standing.EXPIRED, queue="SMALL")

    done = await operations.retry("one")
    assert (done.after, await item_of(backend, "SMALL")) == ("retry", None)

    async def has_item() -> bool:
        return await item_of(backend, "SMALL") is not None

    await remove_item(backend, "SMALL", "a")
    await eventually(has_item)
    assert published_for_message(await item_of(backend, "SMALL")) == (await read(backend)).sequence


def published_for_message(message: StreamMessage | None) -> int:
    assert message is not None
    return published_for(message)


async def test_what_is_signed_changes_with_the_key_alone(backend: Backend, operations: TaskOperations) -> None:
    signer = Signer(b"k" * 32)
    stored = await task_in(backend, Standing.EXPIRED)
    document = signer.signed(stored.document)
    await backend.tasks.write(document, stored.sequence)

    with pytest.raises(OperationRefusedError, match="takes the signing key"):
        await operations.retry("one", payload=b'{"x":1}')
    await operations.retry("one")
    unchanged = (await read(backend)).record.signature
    await TaskOperations(backend, signer=signer).change("one", payload=b'{"x":1}')

    changed = await read(backend)
    assert unchanged == document.record.signature
    assert changed.record.signature == signer.sign(changed.document) != unchanged
    assert b"eyJ4IjoxfQ==" in signed_text(changed.document)


async def test_who_cancels_may_not_tell_a_story(operations: TaskOperations) -> None:
    with pytest.raises(InvalidSettingError, match="at most 200"):
        await operations.cancel("one", by="x" * 201)
