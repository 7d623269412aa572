"""An occurrence is made once, whoever makes it, and whatever stands there already."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.admin.occurrences import OccurrenceMaker, Planned
from jetq.errors import PayloadTooLargeError
from jetq.jetstream.backend import Backend
from jetq.jetstream.retention import OCCURRENCE_KEPT
from jetq.model.events import Event, TaskStateChanged
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.model.stored_schedule import StoredSchedule
from jetq.model.timetable import Occurrence
from jetq.observe.fault_points import Point, arm
from jetq.wire.codec import new_document
from tests.integration.watching import eventually

PLANNED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = "nightly:20260102T030405Z"


def schedule(**more: Any) -> StoredSchedule:
    fields: dict[str, Any] = {"name": "nightly", "schedule": "@daily", "queue": "DEFAULT", "task_type": "report"}
    return StoredSchedule(**(fields | {"created_at": PLANNED} | more))


async def make(backend: Backend, record: StoredSchedule | None = None, starts: datetime = PLANNED) -> object:
    occurrence = Occurrence(ID, PLANNED, starts)
    return (await OccurrenceMaker(backend).make_many([Planned(record or schedule(), occurrence)]))[0]


async def messages(backend: Backend, stream: str) -> int:
    return int((await backend.connection.api(f"STREAM.INFO.{stream}"))["state"]["messages"])


async def items(backend: Backend, queue: str = "DEFAULT") -> int:
    return await messages(backend, backend.names.queue(queue))


async def record_of(backend: Backend) -> TaskRecord:
    found = await backend.tasks.read(ID)
    assert found is not None
    return found.record


async def test_its_record_says_which_schedule_and_which_time(backend: Backend, events: list[Event]) -> None:
    record = schedule(payload=b'{"n":1}', max_tries=3, deadline=3600 * 10**9)

    assert await make(backend, record) is None

    found = await record_of(backend)
    assert (found.schedule, found.scheduled_for, found.state, found.due) == ("nightly", PLANNED, State.NEW, None)
    assert (found.type, found.payload, found.max_tries) == ("report", b'{"n":1}', 3)
    assert found.deadline == found.created + timedelta(hours=1)
    assert await items(backend) == 1
    told = [event for event in events if isinstance(event, TaskStateChanged)]
    assert [(event.task_id, event.state) for event in told] == [(ID, State.NEW)]


async def test_two_makers_make_one(backend: Backend) -> None:
    results = await asyncio.gather(*(make(backend) for _ in range(5)))

    assert results == [None] * 5
    assert await items(backend) == 1


async def test_one_that_nobody_queued_is_queued(backend: Backend) -> None:
    class Dead(BaseException):
        pass

    def die() -> None:
        raise Dead

    disarm = arm(Point.OCCURRENCE_STORED, die)
    with pytest.raises(Dead):
        await make(backend)
    disarm()
    before = await items(backend)

    assert await make(backend) is None

    assert (before, await items(backend)) == (0, 1)


async def test_one_that_ended_is_left_alone(backend: Backend) -> None:
    ended = TaskRecord(id=ID, type="report", queue="DEFAULT", state=State.COMPLETE, created=PLANNED)
    await backend.tasks.write(new_document(ended), 0)

    assert await make(backend) is None

    assert await items(backend) == 0
    assert (await record_of(backend)).state is State.COMPLETE


async def test_one_whose_item_was_refused_is_made_anew(backend: Backend) -> None:
    refused = TaskRecord(
        id=ID, type="report", queue="DEFAULT", state=State.QUEUE_ERROR, created=PLANNED, last_err="full"
    )
    await backend.tasks.write(new_document(refused), 0)

    assert await make(backend) is None

    found = await record_of(backend)
    assert (found.state, found.last_err) == (State.NEW, "")
    assert await items(backend) == 1


async def test_a_full_queue_gets_it_when_there_is_room(backend: Backend) -> None:
    small = schedule(queue="SMALL")
    maker = OccurrenceMaker(backend)
    many = [Planned(small, Occurrence(f"nightly:{number}", PLANNED, PLANNED)) for number in range(3)]

    assert await maker.make_many(many) == [None] * 3
    waiting = await messages(backend, backend.names.schedules)
    await backend.connection.api(f"STREAM.PURGE.{backend.names.queue('SMALL')}", {"keep": 1})

    async def arrived() -> bool:
        return await items(backend, "SMALL") == 2 and not await messages(backend, backend.names.schedules)

    assert waiting == 1
    await eventually(arrived)


async def test_jitter_lets_it_wait_at_the_server(backend: Backend) -> None:
    starts = backend.connection.clock.now() + timedelta(seconds=1)

    assert await make(backend, starts=starts) is None

    assert (await record_of(backend)).due == starts
    assert await items(backend) == 0

    async def arrived() -> bool:
        return await items(backend) == 1

    await eventually(arrived)


async def test_a_payload_that_no_message_holds_is_told(backend: Backend) -> None:
    error = await make(backend, schedule(payload=b'"' + b"x" * backend.connection.max_payload + b'"'))

    assert isinstance(error, PayloadTooLargeError)


async def test_its_record_is_kept_for_an_hour_whatever_is_said(backend: Backend) -> None:
    await make(backend)
    record = replace(await record_of(backend), state=State.COMPLETE)
    backend.retention.complete_kept = 0.0

    assert backend.retention.of(record) == OCCURRENCE_KEPT
    assert backend.retention.of(replace(record, schedule="")) == 0
