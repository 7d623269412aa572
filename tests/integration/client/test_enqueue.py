import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jetq.client.enqueue import Enqueuer
from jetq.client.request import EnqueueRequest
from jetq.errors import (
    DelayTooLongError,
    DuplicateTaskError,
    EnqueueTimeoutError,
    InvalidSettingError,
    PayloadTooLargeError,
    QueueFullError,
    SequenceConflictError,
    ServerTimeoutError,
    UnknownQueueError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.publisher import Publication
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.task_store import Stored
from jetq.model.events import EnqueueFailed, Event, TaskStateChanged
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.model.unique import UniqueKey, UniqueMode
from jetq.observe.bus import Bus
from jetq.settings import Queue, Settings
from tests.integration import golayout
from tests.integration.removing import remove_item
from tests.integration.watching import eventually


def request(**changes: object) -> EnqueueRequest:
    fields: dict[str, object] = {"type": "x:y", "queue": "DEFAULT", "payload": b'{"a":1}', "max_tries": 5}
    return EnqueueRequest(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def enqueuer(backend: Backend) -> Enqueuer:
    return Enqueuer(backend, {"STRICT": Queue("STRICT", create=False)})


async def read(backend: Backend, task_id: str) -> Stored:
    found = await backend.tasks.read(task_id)
    assert found is not None
    return found


async def test_an_enqueued_task_is_stored_and_queued_and_told(
    enqueuer: Enqueuer, backend: Backend, events: list[Event]
) -> None:
    record = await enqueuer.enqueue(request())

    found = await read(backend, record.id)
    told = [event for event in events if isinstance(event, TaskStateChanged)]
    assert found.record == record
    assert await backend.queues.has_item(found)
    assert [(event.task_id, event.state) for event in told] == [(record.id, State.NEW)]


async def test_a_delay_and_a_deadline_count_by_the_servers_clock_and_moments_are_kept(
    enqueuer: Enqueuer, backend: Backend
) -> None:
    moment = datetime.now(UTC) + timedelta(days=1)
    backend.connection.clock.skew = timedelta(hours=1)  # this machine's clock is ahead

    record = await enqueuer.enqueue(request(due=timedelta(seconds=30), deadline=timedelta(seconds=60)))
    fixed = await enqueuer.enqueue(request(due=moment, deadline=moment + timedelta(1)))

    assert record.due is not None
    assert (record.due - record.created, record.deadline) == (
        timedelta(seconds=30),
        record.created + timedelta(minutes=1),
    )
    assert abs(record.due - datetime.now(UTC) + timedelta(hours=1)) < timedelta(seconds=40)
    assert (fixed.due, fixed.deadline) == (moment, moment + timedelta(1))


async def test_whether_a_deadline_has_passed_says_the_servers_clock(enqueuer: Enqueuer, backend: Backend) -> None:
    in_the_past, in_the_future = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (-30, 30))

    backend.connection.clock.skew = timedelta(hours=1)  # this machine's clock is ahead
    record = await enqueuer.enqueue(request(deadline=in_the_past))
    backend.connection.clock.skew = -timedelta(hours=1)  # and behind
    with pytest.raises(InvalidSettingError, match="expected deadline to be in the future"):
        await enqueuer.enqueue(request(deadline=in_the_future))
    [refused] = await enqueuer.enqueue_many([request(deadline=timedelta(1), due=in_the_future + timedelta(days=2))])

    assert isinstance(record, TaskRecord)
    assert record.deadline == in_the_past
    assert isinstance(refused, InvalidSettingError)
    assert refused.setting == "run_at"


async def test_a_task_that_is_due_when_its_record_is_dropped_is_refused(
    connection: Connection, server: EmbeddedServer, namespace: str
) -> None:
    """A store that Go made may drop every record at an age."""
    await golayout.make_store(connection, namespace, max_age=3600 * golayout.SECOND)
    backend = await Backend.open(server.address, Settings(namespace=namespace), name="test", bus=Bus())
    enqueuer = Enqueuer(backend, {})
    unique = UniqueKey("x:y k", UniqueMode.REPLACE)
    early, late = timedelta(minutes=59), timedelta(minutes=61)

    first = await enqueuer.enqueue(request(due=early, unique=unique))
    for wish in (request(due=late, task_id="late"), request(due=late, unique=unique)):
        with pytest.raises(DelayTooLongError, match=r"due in 3,660 s, .* drops every record after 3,600 s"):
            await enqueuer.enqueue(wish)
    [refused] = await enqueuer.enqueue_many([request(due=late)])

    assert isinstance(refused, DelayTooLongError)
    assert await backend.tasks.read("late") is None
    assert isinstance(first, TaskRecord)
    assert (await read(backend, first.id)).record.due == first.due
    await backend.close()


async def test_a_delayed_task_waits_outside_of_its_queue(enqueuer: Enqueuer, backend: Backend) -> None:
    record = await enqueuer.enqueue(request(due=datetime.now(UTC) + timedelta(seconds=0.6)))

    found = await read(backend, record.id)
    assert found.record.display_state == "scheduled"
    assert not await backend.queues.has_item(found)
    await eventually(lambda: backend.queues.has_item(found))


async def test_a_second_task_with_the_same_id_is_refused(enqueuer: Enqueuer) -> None:
    await enqueuer.enqueue(request(task_id="mine"))

    with pytest.raises(DuplicateTaskError) as caught:
        await enqueuer.enqueue(request(task_id="mine"))

    assert (caught.value.task_id, caught.value.state) == ("mine", "new")


async def test_a_record_without_item_is_taken_over_by_the_same_enqueue(enqueuer: Enqueuer, backend: Backend) -> None:
    first = await enqueuer.enqueue(request(task_id="mine"))
    await remove_item(backend, "DEFAULT", "mine")

    second = await enqueuer.enqueue(request(task_id="mine"))

    assert second.nonce != first.nonce
    assert await backend.queues.has_item(await read(backend, "mine"))


async def test_a_record_without_item_is_not_taken_over_by_another_enqueue(enqueuer: Enqueuer, backend: Backend) -> None:
    await enqueuer.enqueue(request(task_id="mine"))
    await remove_item(backend, "DEFAULT", "mine")

    with pytest.raises(DuplicateTaskError):
        await enqueuer.enqueue(request(task_id="mine", payload=b'{"a":2}'))


async def test_a_full_queue_refuses_and_leaves_no_lasting_record(enqueuer: Enqueuer, backend: Backend) -> None:
    for name in ("a", "b"):
        await enqueuer.enqueue(request(queue="SMALL", task_id=name))

    with pytest.raises(QueueFullError):
        await enqueuer.enqueue(request(queue="SMALL", task_id="c"))

    assert (await read(backend, "c")).record.state is State.QUEUE_ERROR

    async def is_gone() -> bool:
        return await backend.tasks.read("c") is None

    await eventually(is_gone)


async def test_a_refused_task_may_be_enqueued_again_once_there_is_room(enqueuer: Enqueuer, backend: Backend) -> None:
    for name in ("a", "b"):
        await enqueuer.enqueue(request(queue="SMALL", task_id=name))
    with pytest.raises(QueueFullError):
        await enqueuer.enqueue(request(queue="SMALL", task_id="c"))
    await remove_item(backend, "SMALL", "a")

    record = await enqueuer.enqueue(request(queue="SMALL", task_id="c"))

    assert record.state is State.NEW
    assert await backend.queues.has_item(await read(backend, "c"))


async def test_a_queue_that_may_not_be_created_must_exist(enqueuer: Enqueuer) -> None:
    with pytest.raises(UnknownQueueError, match="STRICT"):
        await enqueuer.enqueue(request(queue="STRICT"))


async def test_a_task_that_is_too_large_is_refused_with_both_sizes(enqueuer: Enqueuer, backend: Backend) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        await enqueuer.enqueue(request(payload=b'"' + b"x" * 1_000_000 + b'"'))

    assert f"{caught.value.size:,}" in str(caught.value)
    assert f"{backend.connection.max_payload - 64 * 1024:,}" in str(caught.value)


async def test_many_tasks_keep_their_order_and_their_errors(enqueuer: Enqueuer, backend: Backend) -> None:
    await enqueuer.enqueue(request(task_id="taken"))
    wishes = [request(task_id=f"t{index}") for index in range(600)]
    wishes[10] = request(task_id="taken")
    wishes[20] = request(payload=b'"' + b"x" * 1_000_000 + b'"')
    wishes[30] = request(task_id="later", due=datetime.now(UTC) + timedelta(hours=1))

    results = await enqueuer.enqueue_many(wishes)

    errors = {index: type(result) for index, result in enumerate(results) if not isinstance(result, TaskRecord)}
    assert errors == {10: DuplicateTaskError, 20: PayloadTooLargeError}
    names = [result.id for result in results if isinstance(result, TaskRecord)]
    assert names == [wish.task_id for index, wish in enumerate(wishes) if index not in errors]
    assert not await backend.queues.has_item(await read(backend, "later"))
    assert await backend.queues.has_item(await read(backend, "t599"))


async def test_many_tasks_beyond_a_full_queue_say_so_one_by_one(enqueuer: Enqueuer) -> None:
    results = await enqueuer.enqueue_many([request(queue="SMALL", task_id=f"s{index}") for index in range(4)])

    assert [type(result) for result in results] == [TaskRecord, TaskRecord, QueueFullError, QueueFullError]


class LossyPublisher:
    """The real publisher, whose first answer about a subject is lost: the message was stored, nobody heard."""

    def __init__(self, backend: Backend, subject: str) -> None:
        self._publisher = backend.publisher
        self._subject = subject
        self.lost = 0

    async def publish_many(self, publications: list[Publication], *, timeout: float | None = None) -> list[object]:
        answers: list[object] = list(await self._publisher.publish_many(publications, timeout=timeout))
        for index, publication in enumerate(publications):
            if publication.subject == self._subject and not self.lost:
                self.lost += 1
                answers[index] = ServerTimeoutError("publishing", 0.0)
        return answers

    def close(self) -> None:
        self._publisher.close()


async def test_a_record_whose_answer_was_lost_is_recognised_and_queued(backend: Backend) -> None:
    lossy = LossyPublisher(backend, backend.names.record("mine"))
    backend.publisher = lossy  # type: ignore[assignment]

    record = await Enqueuer(backend, {}).enqueue(request(task_id="mine"))

    assert lossy.lost == 1
    assert await backend.queues.has_item(await read(backend, record.id))


async def test_an_enqueue_that_nobody_answers_says_that_it_may_have_been_stored(
    enqueuer: Enqueuer, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(*_args: object, **_kwargs: object) -> list[object]:
        return [ServerTimeoutError("publishing", 0.1)]

    async def no_answer(*_args: object, **_kwargs: object) -> None:
        raise ServerTimeoutError("reading", 0.1)

    monkeypatch.setattr(backend.publisher, "publish_many", silence)
    monkeypatch.setattr(backend.tasks, "read", no_answer)

    with pytest.raises(EnqueueTimeoutError, match="may have been stored"):
        await enqueuer.enqueue(request())


async def test_two_enqueues_of_one_id_at_the_same_moment_make_one_task(enqueuer: Enqueuer) -> None:
    results = await asyncio.gather(
        *(enqueuer.enqueue(request(task_id="mine")) for _ in range(8)), return_exceptions=True
    )

    kinds = sorted(type(result).__name__ for result in results)
    assert kinds.count("TaskRecord") >= 1
    assert set(kinds) <= {"TaskRecord", "DuplicateTaskError"}
    assert not any(isinstance(result, SequenceConflictError) for result in results)


async def test_what_is_not_enqueued_is_told(enqueuer: Enqueuer, events: list[Event]) -> None:
    await enqueuer.enqueue(request(task_id="mine"))
    with pytest.raises(DuplicateTaskError):
        await enqueuer.enqueue(request(task_id="mine", payload=b"2"))
    with pytest.raises(UnknownQueueError):
        await enqueuer.enqueue(request(queue="STRICT"))
    await enqueuer.enqueue_many([request(queue="SMALL") for _ in range(3)])

    told = [(event.queue, event.error) for event in events if isinstance(event, EnqueueFailed)]
    assert told == [
        ("DEFAULT", "DuplicateTaskError"),
        ("STRICT", "UnknownQueueError"),
        ("SMALL", "QueueFullError"),
    ]
