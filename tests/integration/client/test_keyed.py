"""Unique keys, without a worker: who gets the key, and what becomes of the task that waits."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.client.enqueue import Enqueuer
from jetq.client.keyed import ExistingTask
from jetq.client.request import EnqueueRequest
from jetq.errors import DuplicateTaskError, JetqError, PayloadTooLargeError, QueueFullError
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.stream_message import last_message
from jetq.jetstream.task_store import Stored
from jetq.model.events import Event, TaskDeduplicated
from jetq.model.record import TaskRecord
from jetq.model.state import End, State
from jetq.model.transition import ended, refused
from jetq.model.unique import KeyEntry, UniqueKey, UniqueMode
from jetq.observe.bus import Bus
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue, Settings
from jetq.wire.keys import encode_key, key_digest
from tests.integration.removing import remove_item
from tests.integration.watching import eventually

KEY = "x:y k"


def request(
    mode: UniqueMode = UniqueMode.UNFINISHED, *, key: str = KEY, period: int = 0, **more: Any
) -> EnqueueRequest:
    fields: dict[str, Any] = {"type": "x:y", "queue": "DEFAULT", "payload": b'{"a":1}', "max_tries": 5}
    fields["unique"] = UniqueKey(key, mode, period)
    return EnqueueRequest(**(fields | more))


REPLACE, LATEST, PERIOD = UniqueMode.REPLACE, UniqueMode.LATEST, UniqueMode.PERIOD


class Killed(BaseException):
    """Stands in for the death of a producer at some point."""


@pytest.fixture
def enqueuer(backend: Backend) -> Enqueuer:
    return Enqueuer(backend, {"STRICT": Queue("STRICT", create=False)})


async def new(enqueuer: Enqueuer, wanted: EnqueueRequest) -> TaskRecord:
    made = await enqueuer.enqueue(wanted)
    assert isinstance(made, TaskRecord)
    return made


async def existing(enqueuer: Enqueuer, wanted: EnqueueRequest) -> ExistingTask:
    found = await enqueuer.enqueue(wanted)
    assert isinstance(found, ExistingTask)
    return found


async def read(backend: Backend, task_id: str) -> Stored:
    found = await backend.tasks.read(task_id)
    assert found is not None
    return found


async def end(backend: Backend, task_id: str) -> Stored:
    stored = await read(backend, task_id)
    return await backend.tasks.write(stored.document.updated(ended(stored.record, End.PURGED, "")), stored.sequence)


async def records(backend: Backend) -> int:
    answer = await backend.connection.api(f"STREAM.INFO.{backend.names.tasks}")
    count: int = answer["state"]["messages"]
    return count


async def die_at(point: Point, enqueue: Callable[[], Awaitable[object]]) -> None:
    def die() -> None:
        raise Killed

    disarm = arm(point, die)
    try:
        with pytest.raises(Killed):
            await enqueue()
    finally:
        disarm()


# one while it has not ended


async def test_a_second_enqueue_of_a_key_gets_the_first_task(
    enqueuer: Enqueuer, backend: Backend, events: list[Event]
) -> None:
    first = await new(enqueuer, request())

    second = await existing(enqueuer, request(payload=b'{"a":2}'))

    assert second == ExistingTask(first.id, "DEFAULT")
    assert (await read(backend, first.id)).record.payload == b'{"a":1}'
    assert await records(backend) == 1
    (told,) = [event for event in events if isinstance(event, TaskDeduplicated)]
    assert (told.task_id, told.key, told.mode, told.replaced) == (first.id, KEY, "unfinished", False)


async def test_another_key_makes_another_task(enqueuer: Enqueuer) -> None:
    keys = ["x:y a", "x:y b", "x:y " + "ü" * 1500, "x:y 日本\n語\0 .>*", "x:z a"]

    made = [await new(enqueuer, request(key=key)) for key in keys]
    found = [await existing(enqueuer, request(key=key)) for key in keys]

    assert [task.id for task in found] == [task.id for task in made]
    assert [task.key for task in made] == keys


@pytest.mark.parametrize("how", ["ended", "deleted", "ended by Go", "failed to be queued"])
async def test_a_key_is_valid_no_more_when_its_task_is_over_whoever_ended_it(
    enqueuer: Enqueuer, backend: Backend, how: str
) -> None:
    first = await new(enqueuer, request())
    stored = await read(backend, first.id)
    match how:
        case "ended":
            await end(backend, first.id)
        case "deleted":
            await backend.tasks.remove(first.id)
        case "ended by Go":
            go = b'{"id":"%b","type":"x:y","queue":"DEFAULT","payload":null,"max_tries":5,"state":"complete",' % (
                first.id.encode()
            )
            go += b'"created":"2026-11-24T03:00:00.123456789Z","tries":1}'
            await backend.publisher.publish(backend.tasks.publication(first.id, go, stored.sequence))
        case _:
            await backend.tasks.write(stored.document.updated(refused(stored.record, "full")), stored.sequence)

    second = await new(enqueuer, request())

    assert second.id != first.id
    assert await backend.keys.holder(KEY) == second.id


async def test_a_record_that_expired_leaves_a_key_that_is_valid_no_more(enqueuer: Enqueuer, backend: Backend) -> None:
    first = await new(enqueuer, request())
    stored = await read(backend, first.id)
    await backend.tasks.write(stored.document.updated(ended(stored.record, End.PURGED, "")), stored.sequence, ttl=1)

    async def is_gone() -> bool:
        return await backend.tasks.read(first.id) is None

    await eventually(is_gone)

    assert (await new(enqueuer, request())).id != first.id


@pytest.mark.parametrize(
    "data", [b"", b"no json", b"[]", b'{"task":"a.b"}', encode_key(KeyEntry("x:y other", "t"))], ids=range(5)
)
async def test_an_entry_of_no_sense_or_of_another_key_is_written_over(
    enqueuer: Enqueuer, backend: Backend, data: bytes
) -> None:
    await backend.publisher.publish(Publication(backend.names.key(key_digest(KEY)), data))

    made = await new(enqueuer, request())

    assert await backend.keys.holder(KEY) == made.id


async def test_many_enqueues_of_one_key_at_one_moment_make_one_task(enqueuer: Enqueuer, backend: Backend) -> None:
    made = await asyncio.gather(*(enqueuer.enqueue(request()) for _ in range(100)))

    assert len({task.id for task in made}) == 1
    assert sum(isinstance(task, TaskRecord) for task in made) == 1
    items = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    assert items["state"]["messages"] == 1

    async def losers_are_gone() -> bool:
        return await records(backend) == 1

    await eventually(losers_are_gone)


async def test_namespaces_do_not_share_keys(enqueuer: Enqueuer, backend: Backend, server: EmbeddedServer) -> None:
    other = await Backend.open(
        server.address,
        Settings(namespace=f"{backend.names.namespace}X"),
        name="other",
        bus=Bus(),
        queues=[Queue("DEFAULT")],
    )
    try:
        first, second = await new(enqueuer, request()), await new(Enqueuer(other, {}), request())
    finally:
        await other.close()

    assert first.id != second.id


# ids


async def test_an_own_id_with_a_key_gets_the_task_of_the_key(enqueuer: Enqueuer) -> None:
    await new(enqueuer, request(task_id="mine"))

    assert (await existing(enqueuer, request(task_id="mine"))).id == "mine"
    assert (await existing(enqueuer, request(task_id="other"))).id == "mine"


async def test_an_own_id_of_another_task_is_refused_and_the_key_stays_free(
    enqueuer: Enqueuer, backend: Backend
) -> None:
    await enqueuer.enqueue(request(task_id="mine", unique=None))

    with pytest.raises(DuplicateTaskError) as caught:
        await enqueuer.enqueue(request(task_id="mine", payload=b"{}"))

    assert (caught.value.task_type, caught.value.queue) == ("x:y", "DEFAULT")
    assert await backend.keys.holder(KEY) == ""


# producers that die


@pytest.mark.parametrize("mode", [UniqueMode.UNFINISHED, REPLACE, LATEST])
async def test_a_producer_that_dies_before_the_key_is_in_nobodys_way(
    enqueuer: Enqueuer, backend: Backend, mode: UniqueMode
) -> None:
    await die_at(Point.RECORD_STORED, lambda: enqueuer.enqueue(request(mode, task_id="dead")))

    made = await new(enqueuer, request(mode))

    assert made.id != "dead"
    assert not await backend.queues.has_item(await read(backend, "dead"))


@pytest.mark.parametrize("mode", list(UniqueMode))
@pytest.mark.parametrize("due", [None, datetime.now(UTC) + timedelta(hours=1)], ids=["now", "later"])
async def test_a_task_whose_producer_died_after_the_key_is_queued_by_the_next(
    enqueuer: Enqueuer, backend: Backend, mode: UniqueMode, due: datetime | None
) -> None:
    wanted = request(mode, period=60 if mode is PERIOD else 0, task_id="first", due=due)
    await die_at(Point.KEY_TAKEN, lambda: enqueuer.enqueue(wanted))
    assert not await backend.queues.is_placed(await read(backend, "first"))

    found = await existing(enqueuer, request(mode, period=60 if mode is PERIOD else 0, due=due))

    assert found.id == "first"
    assert await backend.queues.is_placed(await read(backend, "first"))


async def test_a_producer_that_dies_after_the_item_has_made_the_task(enqueuer: Enqueuer, backend: Backend) -> None:
    await die_at(Point.ITEM_STORED, lambda: enqueuer.enqueue(request(task_id="first")))

    assert (await existing(enqueuer, request())).id == "first"
    assert await records(backend) == 1


async def test_a_full_queue_leaves_no_key_behind(enqueuer: Enqueuer, backend: Backend) -> None:
    for name in ("a", "b"):
        await enqueuer.enqueue(request(queue="SMALL", task_id=name, unique=None))

    for mode in UniqueMode:
        with pytest.raises(QueueFullError):
            await enqueuer.enqueue(request(mode, queue="SMALL", period=60 if mode is PERIOD else 0))
        assert await backend.keys.holder(KEY) == ""

    await remove_item(backend, "SMALL", "a")
    assert (await new(enqueuer, request(queue="SMALL"))).queue == "SMALL"


async def test_a_producer_that_gives_up_a_task_which_another_one_brought_to_its_queue_leaves_it(
    enqueuer: Enqueuer, backend: Backend
) -> None:
    """Both saw a full queue, and then there was room for the second."""
    for name in ("a", "b"):
        await enqueuer.enqueue(request(queue="SMALL", task_id=name, unique=None))
    put = backend.queues.put
    refused, adopted = asyncio.Event(), asyncio.Event()

    async def slow(stored: Stored, *, timeout: float | None = None) -> None:
        try:
            await put(stored, timeout=timeout)
        except JetqError:
            refused.set()
            await adopted.wait()
            raise

    backend.queues.put = slow  # type: ignore[method-assign]
    giving_up = asyncio.create_task(enqueuer.enqueue(request(queue="SMALL", task_id="c")))
    await refused.wait()
    backend.queues.put = put  # type: ignore[method-assign]
    await remove_item(backend, "SMALL", "a")

    found = await existing(enqueuer, request(queue="SMALL"))
    adopted.set()
    with pytest.raises(QueueFullError):
        await giving_up

    stored = await read(backend, "c")
    assert (found.id, stored.record.state) == ("c", State.NEW)
    assert await backend.queues.has_item(stored)
    assert await backend.keys.holder(KEY) == "c"


# one in a period


async def test_a_throttled_task_is_not_made_again_before_its_period_is_over(
    enqueuer: Enqueuer, backend: Backend
) -> None:
    first = await new(enqueuer, request(PERIOD, period=2))
    await end(backend, first.id)
    await backend.keys.leave((await read(backend, first.id)).record)

    assert (await existing(enqueuer, request(PERIOD, period=2))).id == first.id
    await backend.tasks.remove(first.id)
    assert (await existing(enqueuer, request(PERIOD, period=2))).id == first.id

    async def is_over() -> bool:
        return await backend.keys.holder(KEY) == ""

    await eventually(is_over)
    assert (await new(enqueuer, request(PERIOD, period=2))).id != first.id


# replace


async def test_a_task_that_waits_takes_over_what_the_next_one_brings(
    enqueuer: Enqueuer, backend: Backend, events: list[Event]
) -> None:
    now = datetime.now(UTC)
    first = await new(enqueuer, request(REPLACE, due=now + timedelta(hours=1)))
    later = now + timedelta(seconds=0.5)

    found = await existing(enqueuer, request(REPLACE, payload=b'{"a":2}', due=later, max_tries=7))

    stored = await read(backend, first.id)
    assert found == ExistingTask(first.id, "DEFAULT", replaced=True)
    assert (stored.record.payload, stored.record.due, stored.record.max_tries) == (b'{"a":2}', later, 7)
    assert [event.replaced for event in events if isinstance(event, TaskDeduplicated)] == [True]
    await eventually(lambda: backend.queues.has_item(stored))


async def test_a_task_that_waits_keeps_its_time_if_the_next_one_says_none(enqueuer: Enqueuer, backend: Backend) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    first = await new(enqueuer, request(REPLACE, due=due))

    await existing(enqueuer, request(REPLACE, payload=b'{"a":2}'))

    record = (await read(backend, first.id)).record
    assert (record.due, record.payload) == (due, b'{"a":2}')


async def test_a_wait_and_a_deadline_that_are_replaced_count_from_the_replacement(
    enqueuer: Enqueuer, backend: Backend
) -> None:
    wish = request(REPLACE, due=timedelta(hours=1), deadline=timedelta(hours=2))
    first = await new(enqueuer, wish)
    long_ago = timedelta(minutes=30)
    stored = await read(backend, first.id)
    aged = stored.document.updated(replace(stored.record, created=first.created - long_ago))
    await backend.tasks.write(aged, stored.sequence)

    await existing(enqueuer, wish)

    record = (await read(backend, first.id)).record
    assert record.created == first.created - long_ago
    assert first.due is not None
    assert record.due is not None
    assert record.due >= first.due
    assert record.deadline == record.due + timedelta(hours=1)


async def test_a_queued_task_is_delivered_with_the_newest_payload(enqueuer: Enqueuer, backend: Backend) -> None:
    first = await new(enqueuer, request(REPLACE))

    for number in range(5):
        await existing(enqueuer, request(REPLACE, payload=b'{"a":%d}' % number))

    stored = await read(backend, first.id)
    names = backend.names
    item = await last_message(backend.connection, names.queue("DEFAULT"), names.item("DEFAULT", first.id))
    assert item is not None
    assert item.data == backend.queues.publication(stored).data


async def test_a_payload_that_is_too_large_replaces_nothing(enqueuer: Enqueuer, backend: Backend) -> None:
    first = await new(enqueuer, request(REPLACE))

    with pytest.raises(PayloadTooLargeError):
        await enqueuer.enqueue(request(REPLACE, payload=b'"' + b"x" * 1_000_000 + b'"'))

    assert (await read(backend, first.id)).record.payload == b'{"a":1}'


async def test_of_many_replacements_at_one_moment_one_payload_stands(enqueuer: Enqueuer, backend: Backend) -> None:
    first = await new(enqueuer, request(REPLACE))

    found = await asyncio.gather(
        *(enqueuer.enqueue(request(REPLACE, payload=b'{"a":%d}' % number)) for number in range(30))
    )

    assert {task.id for task in found} == {first.id}
    assert await records(backend) == 1


# many at once


async def test_equal_keys_among_many_make_one_task_each_and_keep_their_order(
    enqueuer: Enqueuer, backend: Backend
) -> None:
    wishes = [request(key=f"x:y {number % 10}", payload=b"%d" % number) for number in range(100)]
    wishes[5] = request(unique=None, task_id="plain")
    wishes[17] = request(key="x:y large", payload=b'"' + b"x" * 1_000_000 + b'"')

    outcomes = await enqueuer.enqueue_many(wishes)

    assert len(outcomes) == 100
    assert isinstance(outcomes[5], TaskRecord)
    assert outcomes[5].id == "plain"
    assert isinstance(outcomes[17], PayloadTooLargeError)
    new_ones = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, TaskRecord)]
    assert new_ones == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15]
    assert await records(backend) == 11


async def test_of_equal_keys_among_many_the_last_payload_stands(enqueuer: Enqueuer, backend: Backend) -> None:
    outcomes = await enqueuer.enqueue_many([request(REPLACE, payload=b"%d" % number) for number in range(600)])

    first = outcomes[0]
    assert isinstance(first, TaskRecord)
    assert (await read(backend, first.id)).record.payload == b"599"
