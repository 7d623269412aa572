from datetime import UTC, datetime, timedelta

import pytest

from jetq.errors import LimitReachedError
from jetq.jetstream.backend import Backend
from jetq.jetstream.message import decode_headers
from jetq.jetstream.publisher import Publication
from jetq.jetstream.queue_store import published_for
from jetq.jetstream.remains import Remains
from jetq.jetstream.stream_message import last_message
from jetq.jetstream.task_store import Stored
from jetq.model.record import Run, TaskRecord
from jetq.model.state import State
from jetq.model.transition import claimed, waiting
from jetq.wire.codec import new_document
from jetq.wire.names import SCHEDULE
from tests.integration.removing import remove_item
from tests.integration.watching import eventually


async def stored(backend: Backend, task_id: str = "one", queue: str = "DEFAULT") -> Stored:
    record = TaskRecord(
        id=task_id, type="x:y", queue=queue, payload=b"{}", max_tries=3, state=State.NEW, created=datetime.now(UTC)
    )
    return await backend.tasks.write(new_document(record), 0)


async def item_sequence(backend: Backend, task: Stored) -> tuple[int, int]:
    record = task.record
    item = await last_message(
        backend.connection, backend.names.queue(record.queue), backend.names.item(record.queue, record.id)
    )
    assert item is not None
    return item.seq, published_for(item)


async def test_an_item_is_put_once(backend: Backend) -> None:
    task = await stored(backend)

    await backend.queues.put(task)
    first = await item_sequence(backend, task)
    await backend.queues.put(task)

    assert await item_sequence(backend, task) == first


async def test_an_item_that_is_scheduled_for_now_comes_by_the_servers_clock(backend: Backend) -> None:
    task, clock = await stored(backend), backend.connection.clock
    clock.skew = timedelta(hours=-1)

    await backend.queues.schedule(task)

    schedule = await last_message(
        backend.connection, backend.names.schedules, backend.names.schedule("DEFAULT", task.record.id)
    )
    assert schedule is not None
    moment = datetime.fromisoformat(decode_headers(schedule.hdrs)[SCHEDULE].removeprefix("@at "))
    assert abs(moment - clock.now()) < timedelta(minutes=1)


async def test_an_older_item_is_replaced_by_one_for_the_newer_record(backend: Backend) -> None:
    task = await stored(backend)
    await backend.queues.put(task)
    newer = await backend.tasks.write(task.document, task.sequence)

    await backend.queues.put(newer)

    assert (await item_sequence(backend, newer))[1] == newer.sequence


async def test_an_item_that_go_made_is_replaced(backend: Backend) -> None:
    task = await stored(backend)
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "one"), b'{"kind":0,"job":"one"}'))

    await backend.queues.put(task)

    assert (await item_sequence(backend, task))[1] == task.sequence


async def test_an_item_for_a_record_that_was_overtaken_carries_the_newest_sequence(backend: Backend) -> None:
    task = await stored(backend)
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "one"), b'{"kind":0,"job":"one"}'))
    run = Run("worker", 1, "nonce")
    active = await backend.tasks.write(
        task.document.updated(claimed(task.record, run, datetime.now(UTC))), task.sequence
    )

    await backend.queues.put(task)

    assert (await item_sequence(backend, task))[1] == active.sequence


async def test_the_old_item_of_a_task_that_waits_is_left_alone(backend: Backend) -> None:
    task = await stored(backend)
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "one"), b'{"kind":0,"job":"one"}'))
    before = await item_sequence(backend, task)
    later = waiting(task.record, datetime.now(UTC) + timedelta(hours=1))
    await backend.tasks.write(task.document.updated(later), task.sequence)

    await backend.queues.put(task)

    assert await item_sequence(backend, task) == before


async def test_a_full_queue_refuses(backend: Backend) -> None:
    for name in ("a", "b"):
        await backend.queues.put(await stored(backend, name, "SMALL"))

    with pytest.raises(LimitReachedError):
        await backend.queues.put(await stored(backend, "c", "SMALL"))


async def test_a_schedule_brings_the_item_when_it_is_due(backend: Backend) -> None:
    task = await stored(backend)
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    later = await backend.tasks.write(task.document.updated(waiting(task.record, due)), task.sequence)

    await backend.queues.schedule(later)
    assert not await backend.queues.has_item(later)
    await eventually(lambda: backend.queues.has_item(later))

    assert datetime.now(UTC) >= due
    assert (await item_sequence(backend, later))[1] == later.sequence


async def test_a_schedule_in_the_past_brings_the_item_at_once(backend: Backend) -> None:
    task = await stored(backend)
    past = datetime.now(UTC) - timedelta(hours=1)
    later = await backend.tasks.write(task.document.updated(waiting(task.record, past)), task.sequence)

    await backend.queues.schedule(later)

    await eventually(lambda: backend.queues.has_item(later))


async def test_a_task_that_leaves_the_wait_has_no_schedule(backend: Backend) -> None:
    task = await stored(backend)
    later = waiting(task.record, datetime.now(UTC) + timedelta(hours=1))
    waits = await backend.tasks.write(task.document.updated(later), task.sequence)
    await backend.queues.schedule(waits)
    schedule = backend.names.schedule("DEFAULT", "one")
    assert await last_message(backend.connection, backend.names.schedules, schedule) is not None

    runnable = await backend.tasks.write(task.document, waits.sequence)
    await backend.queues.remove_schedule(Remains.of(runnable))

    assert await last_message(backend.connection, backend.names.schedules, schedule) is None


async def scheduled_for(backend: Backend) -> int:
    schedule = backend.names.schedule("DEFAULT", "one")
    found = await last_message(backend.connection, backend.names.schedules, schedule)
    return 0 if found is None else published_for(found)


async def test_a_schedule_for_a_newer_record_stays(backend: Backend) -> None:
    task = await stored(backend)
    later = waiting(task.record, datetime.now(UTC) + timedelta(hours=1))
    old = await backend.tasks.write(task.document.updated(later), task.sequence)
    new = await backend.tasks.write(old.document, old.sequence)

    for one, stands in ((old, old), (new, new), (old, new), (new, new)):
        await backend.queues.schedule_unless_newer(one)
        assert await scheduled_for(backend) == stands.sequence

    await backend.queues.remove_schedule(Remains.of(old))
    assert await scheduled_for(backend) == new.sequence
    runnable = await backend.tasks.write(task.document, new.sequence)
    await backend.queues.remove_schedule(Remains.of(runnable))
    assert await scheduled_for(backend) == 0


async def test_a_task_is_placed_by_an_item_or_while_it_waits_by_a_schedule(backend: Backend) -> None:
    task = await stored(backend)
    later = waiting(task.record, datetime.now(UTC) + timedelta(seconds=0.3))
    waits = await backend.tasks.write(task.document.updated(later), task.sequence)

    assert not await backend.queues.is_placed(waits)
    await backend.queues.schedule(waits)
    assert await backend.queues.is_placed(waits)
    await eventually(lambda: backend.queues.has_item(waits))
    assert await backend.queues.is_placed(waits)
    await remove_item(backend, "DEFAULT", "one")

    async def is_nowhere() -> bool:
        return not await backend.queues.is_placed(waits)

    await eventually(is_nowhere)
