"""Operations whose answers are lost, that meet workers and each other, or that die half-way."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from jetq.admin.task_operations import TaskOperations
from jetq.errors import OperationRefusedError, SequenceConflictError, ServerTimeoutError
from jetq.jetstream.backend import Backend
from jetq.jetstream.queue_store import published_for
from jetq.jetstream.stream_message import StreamMessage, last_message
from jetq.jetstream.task_store import Stored
from jetq.model.events import Event, TaskStateChanged
from jetq.model.operation import Effect
from jetq.model.record import CancelRequest, Result, Run, TaskRecord
from jetq.model.state import State
from jetq.model.transition import claimed, retried
from jetq.observe.fault_points import Point, arm
from jetq.wire.codec import Document, new_document

LATER = datetime(2099, 1, 1, tzinfo=UTC)
Write = Callable[..., Awaitable[Stored]]
Meddle = Callable[[Backend, Stored], Awaitable[object]]


class DiesHereError(BaseException):
    """Ends an operation as the death of its process would."""


@pytest.fixture
def operations(backend: Backend) -> TaskOperations:
    return TaskOperations(backend)


async def put(backend: Backend, **fields: Any) -> Stored:
    given: dict[str, Any] = {"type": "t", "queue": "DEFAULT", "max_tries": 5, "state": State.NEW}
    record = TaskRecord(id="one", created=datetime.now(UTC), **(given | fields))
    stored = await backend.tasks.write(new_document(record), 0)
    if record.is_waiting:
        await backend.queues.schedule(stored)
    elif not record.is_final:
        await backend.queues.put(stored)
    return stored


async def put_ended(backend: Backend) -> Stored:
    return await put(backend, state=State.EXPIRED, end="max_tries", tries=5, runs=5)


async def read(backend: Backend) -> Stored:
    stored = await backend.tasks.read("one")
    assert stored is not None
    return stored


async def write(backend: Backend, stored: Stored, **fields: Any) -> Stored:
    record = replace(stored.record, **fields)
    return await backend.tasks.write(stored.document.updated(record), stored.sequence)


async def claim(backend: Backend, stored: Stored) -> Stored:
    record = claimed(stored.record, Run("01W", stored.record.runs + 1, "n"), datetime.now(UTC))
    return await backend.tasks.write(stored.document.updated(record), stored.sequence)


async def complete(backend: Backend, stored: Stored) -> Stored:
    active = await claim(backend, stored)
    return await write(backend, active, state=State.COMPLETE, result=Result(Raw(b"1"), LATER))


async def item_of(backend: Backend, queue: str = "DEFAULT") -> StreamMessage | None:
    return await last_message(backend.connection, backend.names.queue(queue), backend.names.item(queue, "one"))


async def schedule_of(backend: Backend, queue: str = "DEFAULT") -> StreamMessage | None:
    return await last_message(backend.connection, backend.names.schedules, backend.names.schedule(queue, "one"))


async def consistent(backend: Backend) -> bool:
    """Whether what the record asks for is there, and nothing else that would ever be done."""
    record, item, schedule = (await read(backend)).record, await item_of(backend), await schedule_of(backend)
    if record.is_final:
        return item is None and schedule is None
    return (schedule if record.is_waiting else item) is not None


def losing(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, *, applied: bool, then: Meddle | None = None, times: int = 1
) -> None:
    """Lose the answers of the first writes of a record; whether they are applied, and what happens meanwhile."""
    real: Write = backend.tasks.write
    left = times

    async def lossy(document: Document, expect: int, **options: Any) -> Stored:
        nonlocal left
        if not left:
            return await real(document, expect, **options)
        left -= 1
        monkeypatch.setattr(backend.tasks, "write", real)
        stored = await real(document, expect, **options) if applied else await read(backend)
        if then is not None:
            await then(backend, stored)
        monkeypatch.setattr(backend.tasks, "write", lossy)
        raise ServerTimeoutError("publishing", 1.0)

    monkeypatch.setattr(backend.tasks, "write", lossy)


# lost answers


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "lost on the way"])
async def test_a_retry_whose_answer_is_lost_brings_its_item(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    await put_ended(backend)
    losing(backend, monkeypatch, applied=applied)

    done = await operations.retry("one")

    stored, item = await read(backend), await item_of(backend)
    assert (done.effect, stored.record.state, stored.record.tries) == (Effect.STARTED, State.RETRY, 0)
    assert item is not None
    assert published_for(item) == stored.sequence


async def test_a_retry_whose_answer_is_lost_and_that_was_claimed_goes_on(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older item brought it to a worker, which will acknowledge that: the task needs an item all the same."""
    await put_ended(backend)
    losing(backend, monkeypatch, applied=True, then=claim)

    done = await operations.retry("one")

    stored, item = await read(backend), await item_of(backend)
    assert (done.effect, done.after) == (Effect.STARTED, "active")
    assert item is not None
    assert published_for(item) == stored.sequence


async def test_a_retry_remembers_its_first_unanswered_attempt_through_the_second(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt arrives late, while the second is under way, and its task is claimed at once."""
    ended = await put_ended(backend)
    real: Write = backend.tasks.write
    attempts = 0

    async def late(document: Document, expect: int, **options: Any) -> Stored:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ServerTimeoutError("publishing", 1.0)
        monkeypatch.setattr(backend.tasks, "write", real)
        await claim(backend, await real(ended.document.updated(retried(ended.record)), ended.sequence))
        return await real(document, expect, **options)

    monkeypatch.setattr(backend.tasks, "write", late)
    done = await operations.retry("one")

    assert (attempts, done.effect, done.after) == (2, Effect.STARTED, "active")
    assert await item_of(backend) is not None


async def test_a_retry_that_ran_before_its_answer_is_not_repeated(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_ended(backend)
    losing(backend, monkeypatch, applied=True, then=complete)

    done = await operations.retry("one")

    assert (done.after, (await read(backend)).record.runs) == ("complete", 6)
    assert await item_of(backend) is None


async def test_a_task_that_is_hastened_without_an_answer_is_hastened_once(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(backend, due=LATER)
    losing(backend, monkeypatch, applied=True)

    await operations.run_now("one")

    assert (await read(backend)).record.is_runnable
    assert await consistent(backend)
    assert await schedule_of(backend) is None


async def test_a_cancel_whose_answer_is_lost_is_told_and_cleared_up(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch, events: list[Event]
) -> None:
    await put(backend)
    losing(backend, monkeypatch, applied=True)

    done = await operations.cancel("one")

    assert (done.effect, done.after) == (Effect.ENDED, "cancelled")
    assert await consistent(backend)
    assert [event.end for event in events if isinstance(event, TaskStateChanged)] == ["cancelled"]


async def test_a_change_whose_answer_is_lost_is_not_refused_since_its_task_runs_with_it(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(backend)
    losing(backend, monkeypatch, applied=True, then=claim)

    done = await operations.change("one", payload=b"7")

    assert (done.effect, done.after) == (Effect.CHANGED, "active")


async def test_a_server_that_never_answers_is_told(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put_ended(backend)
    losing(backend, monkeypatch, applied=False, times=100)

    with pytest.raises(ServerTimeoutError):
        await operations.retry("one")


# with workers, and with each other


async def meddled(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, meddle: Meddle, work: Callable[[], Awaitable[Any]]
) -> Any:
    """Do *work*, and change its record between its reading and its writing."""
    real: Write = backend.tasks.write

    async def late(document: Document, expect: int, **options: Any) -> Stored:
        monkeypatch.setattr(backend.tasks, "write", real)
        await meddle(backend, await read(backend))
        return await real(document, expect, **options)

    monkeypatch.setattr(backend.tasks, "write", late)
    return await work()


async def test_a_cancel_that_meets_a_claim_asks_the_worker(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(backend)

    done = await meddled(backend, monkeypatch, claim, lambda: operations.cancel("one", by="ops"))

    record = (await read(backend)).record
    assert (done.effect, done.before, done.after) == (Effect.REQUESTED, "new", "active")
    assert record.cancel_requested is not None


async def test_a_cancel_that_meets_the_end_of_the_run_is_refused(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await claim(backend, await put(backend))

    async def ends(backend: Backend, stored: Stored) -> None:
        await write(backend, stored, state=State.COMPLETE)

    with pytest.raises(OperationRefusedError, match="is complete; it has ended"):
        await meddled(backend, monkeypatch, ends, lambda: operations.cancel("one"))


async def test_a_cancel_that_meets_the_failure_of_the_run_ends_what_waits_for_its_retry(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    await claim(backend, await put(backend))

    async def fails(backend: Backend, stored: Stored) -> None:
        await backend.queues.schedule(await write(backend, stored, state=State.RETRY, due=LATER))

    done = await meddled(backend, monkeypatch, fails, lambda: operations.cancel("one"))

    assert (done.effect, done.before, done.after) == (Effect.ENDED, "active", "cancelled")
    assert await consistent(backend)


async def test_a_cancel_takes_no_item_of_a_retry_that_followed_it(backend: Backend, operations: TaskOperations) -> None:
    await put(backend)
    retrying: list[asyncio.Task[Any]] = []
    tasks = backend.tasks

    async def interleaved() -> None:
        disarm = arm(Point.RECORD_CHANGED, lambda: retrying.append(asyncio.ensure_future(operations.retry("one"))))
        try:
            await operations.cancel("one")
        finally:
            disarm()

    await interleaved()
    await asyncio.gather(*retrying)

    assert retrying
    assert (await tasks.read("one")) is not None
    assert (await read(backend)).record.is_runnable
    assert await consistent(backend)


async def test_two_operators_retry_a_task_once(backend: Backend) -> None:
    await put_ended(backend)

    done = await asyncio.gather(*(TaskOperations(backend).retry("one") for _ in range(8)))

    stored = await read(backend)
    assert {each.after for each in done} == {"retry"}
    assert (stored.record.state, stored.record.runs) == (State.RETRY, 5)
    assert await consistent(backend)


async def test_operators_at_cross_purposes_lose_nothing(backend: Backend) -> None:
    await put(backend, due=LATER)
    operations = TaskOperations(backend)

    async def try_to(operate: Callable[[str], Awaitable[Any]]) -> None:
        with contextlib.suppress(OperationRefusedError, SequenceConflictError):
            await operate("one")

    for _ in range(25):
        verbs = [operations.cancel, operations.retry, operations.run_now, operations.cancel, operations.retry]
        await asyncio.gather(*map(try_to, verbs))
        ended = (await read(backend)).record.is_final  # then a late item may lie there, and is found done
        assert ended or await consistent(backend)
    await try_to(operations.retry)
    await operations.cancel("one")

    assert await consistent(backend)


# deaths


async def dying(point: Point, work: Awaitable[Any]) -> None:
    def die() -> None:
        raise DiesHereError

    disarm = arm(point, die)
    try:
        with pytest.raises(DiesHereError):
            await work
    finally:
        disarm()


async def test_a_cancel_that_dies_after_its_record_can_be_repeated(
    backend: Backend, operations: TaskOperations
) -> None:
    await put(backend)
    await dying(Point.RECORD_CHANGED, operations.cancel("one"))
    assert await item_of(backend) is not None

    assert (await operations.cancel("one")).effect is Effect.NOTHING

    assert await consistent(backend)


async def test_a_move_that_dies_after_its_new_item_leaves_the_old_one_to_be_found(
    backend: Backend, operations: TaskOperations
) -> None:
    await put(backend)
    await dying(Point.CHANGE_PLACED, operations.change("one", queue="SMALL"))

    assert (await read(backend)).record.queue == "SMALL"
    assert await item_of(backend, "SMALL") is not None
    assert await item_of(backend, "DEFAULT") is not None


async def test_a_request_that_was_made_is_not_made_again(backend: Backend, operations: TaskOperations) -> None:
    active = await claim(backend, await put(backend))
    asked = await write(backend, active, cancel_requested=CancelRequest("first", LATER))

    done = await operations.cancel("one", by="second")

    assert done.effect is Effect.REQUESTED
    assert (await read(backend)).sequence == asked.sequence
