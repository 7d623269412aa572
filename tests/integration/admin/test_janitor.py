"""What a pass of the janitor mends, what it leaves, and what it must not bring back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from jetq.admin import janitor as janitor_module
from jetq.admin.census import Census, take_census
from jetq.admin.janitor import Janitor
from jetq.admin.task_operations import TaskOperations
from jetq.client.enqueue import Enqueuer
from jetq.client.request import EnqueueRequest
from jetq.errors import ServerTimeoutError
from jetq.jetstream.backend import Backend
from jetq.jetstream.janitor_mark import JanitorMarks
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.publisher import Publication, expecting
from jetq.jetstream.queue_catalog import QueueCatalog
from jetq.jetstream.retention import DISCARD_AFTER
from jetq.jetstream.stream_message import StreamMessage, last_message, purge_subject
from jetq.jetstream.task_store import Stored
from jetq.model.events import Event, JanitorPassed, TaskRepaired, TaskStateChanged
from jetq.model.record import Run, StoredOptions, TaskRecord
from jetq.model.retention import Retention
from jetq.model.state import End, State
from jetq.model.transition import claimed, ended, refused
from jetq.model.unique import KeyEntry, UniqueKey, UniqueMode
from jetq.model.upkeep import Horizon, Repair
from jetq.observe.fault_points import Point, arm
from jetq.settings import JanitorSettings, Queue
from jetq.wire.codec import encode_item, new_document
from jetq.wire.retention import encode_retention
from tests.integration import golayout
from tests.integration.removing import remove_item, remove_schedule
from tests.integration.watching import eventually

KEY = "x:y k"
NOW = datetime.now(UTC)


class Killed(BaseException):
    """Stands in for the death of an actor at some point."""


def request(**changes: object) -> EnqueueRequest:
    fields: dict[str, object] = {"type": "x:y", "queue": "DEFAULT", "payload": b'{"a":1}', "max_tries": 5}
    return EnqueueRequest(**(fields | changes))  # type: ignore[arg-type]


class House:
    """
    A backend whose janitor has no patience.

    Attributes:
        repairs: What the last pass mended.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.enqueuer = Enqueuer(backend, {})
        self.operations = TaskOperations(backend)
        self.janitor = self.new_janitor()
        self.repairs: list[TaskRepaired] = []

    def new_janitor(self, patience: float = 0.0) -> Janitor:
        return Janitor(self.backend, JanitorSettings(patience=patience), name="test")

    async def sweep(self, janitor: Janitor | None = None, *, dry_run: bool = False) -> JanitorPassed:
        self.repairs = []
        return await (janitor or self.janitor).run_pass(tell=self.repairs.append, dry_run=dry_run)

    def mended(self) -> list[tuple[str, str]]:
        return [(repair.kind, repair.task_id) for repair in self.repairs]

    async def enqueue(self, **changes: object) -> TaskRecord:
        made = await self.enqueuer.enqueue(request(**changes))
        assert isinstance(made, TaskRecord)
        return made

    async def read(self, task_id: str) -> Stored:
        found = await self.backend.tasks.read(task_id)
        assert found is not None
        return found

    async def write(self, record: TaskRecord, *, ttl: float | None = None) -> Stored:
        """Write a record over the one that stands there, if one does."""
        found = await self.backend.tasks.read(record.id)
        document = new_document(record) if found is None else found.document.updated(record)
        return await self.backend.tasks.write(document, 0 if found is None else found.sequence, ttl=ttl)

    async def record_only(self, **changes: object) -> TaskRecord:
        """Store a record whose producer dies before its item."""

        def die() -> None:
            raise Killed

        disarm = arm(Point.RECORD_STORED, die)
        wanted = request(**changes)
        try:
            with pytest.raises(Killed):
                await self.enqueuer.enqueue(wanted)
        finally:
            disarm()
        assert wanted.task_id is not None
        return (await self.read(wanted.task_id)).record

    async def item(self, task_id: str, queue: str = "DEFAULT") -> StreamMessage | None:
        names = self.backend.names
        return await last_message(self.backend.connection, names.queue(queue), names.item(queue, task_id))

    async def schedule(self, task_id: str, queue: str = "DEFAULT") -> StreamMessage | None:
        names = self.backend.names
        return await last_message(self.backend.connection, names.schedules, names.schedule(queue, task_id))

    async def due(self, task_id: str, queue: str = "DEFAULT") -> StreamMessage | None:
        names = self.backend.names
        return await last_message(self.backend.connection, names.schedules, names.due(queue, task_id))

    async def purge(self, queue: str = "DEFAULT") -> None:
        await purge_subject(self.backend.connection, self.backend.names.queue(queue), ">")

    async def ttl_of(self, task_id: str) -> bool:
        names = self.backend.names
        found = await last_message(self.backend.connection, names.tasks, names.record(task_id))
        assert found is not None
        return b"Nats-TTL" in found.hdrs

    async def mark(self) -> datetime | None:
        return await JanitorMarks(self.backend.connection, self.backend.publisher, self.backend.names).read()


@pytest.fixture
def house(backend: Backend) -> House:
    return House(backend)


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Awaitable[object]]], None]:
    """Give a function that lets something happen once, after the census and before the mending."""

    def arrange(what: Callable[[], Awaitable[object]]) -> None:
        waiting = [what]

        async def late(backend: Backend, horizon: Horizon, go_on: Callable[[], bool]) -> Census:
            census = await take_census(backend, horizon, go_on)
            if waiting:
                await waiting.pop()()
            return census

        monkeypatch.setattr(janitor_module, "take_census", late)

    return arrange


# What is put in place


async def test_a_queue_that_go_made_anew_is_fed_again(house: House) -> None:
    backend = house.backend
    early = await house.enqueue(due=NOW + timedelta(seconds=600))
    await backend.connection.api(f"STREAM.DELETE.{backend.names.queue('DEFAULT')}")
    await golayout.make_queue(backend.connection, backend.names.namespace, "DEFAULT")
    due = await house.enqueue(due=datetime.now(UTC))
    await house.sweep(dry_run=True)
    found = await find_stream(backend.connection, backend.names.queue("DEFAULT"))
    assert found is not None
    assert "sources" not in found["config"]

    await house.sweep()
    await eventually(lambda: house.item(due.id))
    assert (await house.read(early.id)).record.is_waiting


async def test_a_task_whose_producer_died_before_its_item_gets_it(house: House) -> None:
    record = await house.record_only(task_id="lost")

    passed = await house.sweep()

    item = await house.item("lost")
    assert item is not None
    assert house.mended() == [(Repair.ITEM, "lost")]
    assert passed.repairs == {Repair.ITEM: 1}
    assert passed.complete
    assert (await house.read("lost")).record == record


async def test_a_delayed_task_whose_producer_died_before_its_schedule_gets_it(house: House) -> None:
    await house.record_only(task_id="late", due=datetime.now(UTC) + timedelta(seconds=0.5))

    await house.sweep()

    assert house.mended() == [(Repair.SCHEDULE, "late")]
    assert await house.schedule("late") is not None

    async def came() -> object:
        return await house.item("late")

    await eventually(came)


async def test_a_delayed_task_that_is_due_already_comes_at_once(house: House) -> None:
    record = (await house.enqueue(task_id="due", due=datetime.now(UTC) + timedelta(hours=1))).id
    stored = await house.read(record)
    await house.write(replace(stored.record, due=datetime.now(UTC)))
    await remove_schedule(house.backend, "DEFAULT", record)

    await house.sweep()

    async def came() -> object:
        return await house.item(record)

    await eventually(came)
    assert house.mended() == [(Repair.SCHEDULE, record)]


async def test_an_operators_retry_that_died_before_its_item_is_carried_on(house: House) -> None:
    record = await house.enqueue(task_id="again")
    await house.write(ended(record, End.CANCELLED, ""))
    await remove_item(house.backend, "DEFAULT", "again")
    await house.sweep()

    def die() -> None:
        raise Killed

    disarm = arm(Point.RECORD_CHANGED, die)
    with pytest.raises(Killed):
        await house.operations.retry("again")
    disarm()
    assert await house.item("again") is None
    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "again")]
    assert await house.item("again") is not None


async def test_run_now_that_died_before_its_item_is_carried_on(house: House) -> None:
    await house.enqueue(task_id="now", due=datetime.now(UTC) + timedelta(hours=1))

    def die() -> None:
        raise Killed

    disarm = arm(Point.RECORD_CHANGED, die)
    with pytest.raises(Killed):
        await house.operations.run_now("now")
    disarm()
    await house.sweep()
    mended = house.mended()
    await house.sweep()

    assert await house.item("now") is not None
    assert await house.schedule("now") is None
    assert [*mended, *house.mended()] == [(Repair.ITEM, "now"), (Repair.ORPHAN_SCHEDULE, "now")]


async def test_a_task_for_a_full_queue_waits_until_there_is_room(house: House) -> None:
    await house.record_only(task_id="third", queue="SMALL")
    for name in ("first", "second"):
        await house.enqueue(task_id=name, queue="SMALL")

    await house.sweep()
    assert house.mended() == [(Repair.ITEM, "third")]
    assert await house.item("third", "SMALL") is None
    for _ in range(3):
        await house.sweep()
        assert house.mended() == []
    await remove_item(house.backend, "SMALL", "first")

    async def came() -> object:
        return await house.item("third", "SMALL")

    await eventually(came)


async def test_what_is_in_order_is_left_alone(house: House, backend: Backend) -> None:
    await house.enqueue(task_id="queued")
    await house.enqueue(task_id="delayed", due=datetime.now(UTC) + timedelta(hours=1))
    running = await house.enqueue(task_id="running")
    await house.write(claimed(running, Run("w", 1, "n"), NOW))
    done = await house.enqueue(task_id="done")
    await house.write(ended(done, End.CANCELLED, ""), ttl=60.0)
    keyed = await house.enqueue(task_id="keyed", unique=UniqueKey(KEY, UniqueMode.UNFINISHED))
    before = {name: await house.read(name) for name in ("queued", "delayed", "running", "done", "keyed")}

    for _ in range(3):
        passed = await house.sweep()
        assert (passed.repairs, passed.missed, passed.records) == ({}, 0, 5)

    assert {name: (await house.read(name)).sequence for name in before} == {
        name: stored.sequence for name, stored in before.items()
    }
    assert await house.item("done") is not None  # its worker repeats the after-effects
    assert await backend.keys.holder(KEY) == keyed.id


# What an active task is owed


async def active_without_item(house: House, task_id: str, run: Run | None) -> TaskRecord:
    record = await house.enqueue(task_id=task_id)
    active = replace(claimed(record, Run("w", 1, "n"), datetime.now(UTC)), run=run)
    await house.write(active)
    await remove_item(house.backend, "DEFAULT", task_id)
    return active


async def test_an_active_task_without_item_gets_it_at_any_age_and_never_ends(house: House) -> None:
    await active_without_item(house, "active", Run("w", 1, "n"))

    for _ in range(4):
        await house.sweep()
        assert house.mended() == [(Repair.ITEM, "active")]
        assert (await house.read("active")).record.state is State.ACTIVE
        await remove_item(house.backend, "DEFAULT", "active")


async def test_a_task_that_go_runs_is_left_until_its_run_time_is_over(house: House, backend: Backend) -> None:
    active = await active_without_item(house, "go", None)

    for _ in range(3):
        await house.sweep()
        assert house.mended() == []
    run_time = (await backend.queue(Queue("DEFAULT"))).max_run_time
    assert active.tried is not None
    await house.write(replace(active, tried=active.tried - timedelta(seconds=run_time)))
    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "go")]


# What must not come back


async def test_the_tasks_of_an_emptied_queue_end_as_purged_and_do_not_come_back(
    house: House, events: list[Event]
) -> None:
    for name in ("one", "two"):
        await house.enqueue(task_id=name)
    await house.sweep()
    await house.purge()

    first = await house.sweep()
    assert (first.missed, house.mended()) == (2, [])
    second = await house.sweep()

    assert sorted(house.mended()) == [(Repair.ENDED, "one"), (Repair.ENDED, "two")]
    assert second.missed == 0
    for name in ("one", "two"):
        record = (await house.read(name)).record
        assert (record.state, record.end) == (State.EXPIRED, End.PURGED)
        assert record.last_err == "its item was removed from the queue"
        assert await house.item(name) is None
        assert await house.ttl_of(name)
    told = [event for event in events if isinstance(event, TaskStateChanged) and event.state is State.EXPIRED]
    assert sorted((event.task_id, event.end) for event in told) == [("one", End.PURGED), ("two", End.PURGED)]
    assert (await house.sweep()).repairs == {}


async def test_a_task_that_was_delayed_and_purged_when_due_ends(house: House) -> None:
    await house.enqueue(task_id="late", due=datetime.now(UTC) + timedelta(seconds=0.1))

    async def came() -> object:
        return await house.item("late") and not await house.due("late")

    await eventually(came)
    await house.sweep()
    await house.purge()
    await house.sweep()
    await house.sweep()

    record = (await house.read("late")).record
    assert (record.state, record.end, record.due) == (State.EXPIRED, End.PURGED, None)


async def test_a_purged_task_that_is_not_to_be_kept_is_discarded(house: House, backend: Backend) -> None:
    await house.enqueue(task_id="short", options=StoredOptions(retention=encode_retention(Retention(expired=0))))
    await house.sweep()
    await house.purge()
    await house.sweep()
    await house.sweep()

    names = backend.names
    found = await last_message(backend.connection, names.tasks, names.record("short"))
    assert found is not None
    assert f"Nats-TTL: {DISCARD_AFTER:.0f}s" in found.hdrs.decode()


async def test_what_was_enqueued_after_the_last_pass_and_purged_runs(house: House) -> None:
    await house.sweep()
    await house.enqueue(task_id="fresh")
    await house.purge()

    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "fresh")]


async def test_a_task_dropped_from_a_full_queue_ends_as_dropped(house: House, backend: Backend) -> None:
    await backend.queue(Queue("LOSSY", max_entries=2, discard_old=True))
    await house.enqueue(task_id="a", queue="LOSSY")
    await house.sweep()
    for name in ("b", "c", "d"):
        await house.enqueue(task_id=name, queue="LOSSY")

    await house.sweep()  # b is younger than the last pass, and would drop another one
    await house.sweep()

    assert house.mended() == [(Repair.ENDED, "a")]
    await house.sweep()
    assert house.mended() == [(Repair.ENDED, "b")]
    for name in ("a", "b"):
        record = (await house.read(name)).record
        assert (record.state, record.end) == (State.EXPIRED, End.DROPPED)
    assert [await house.item(name, "LOSSY") is not None for name in "abcd"] == [False, False, True, True]


async def test_a_dropping_queue_with_room_takes_what_a_crash_left_out(house: House, backend: Backend) -> None:
    await backend.queue(Queue("LOSSY", max_entries=2, discard_old=True))
    await house.record_only(task_id="lost", queue="LOSSY")
    await house.enqueue(task_id="other", queue="LOSSY")

    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "lost")]
    assert await house.item("other", "LOSSY") is not None


async def test_a_task_that_outlived_its_queues_age_ends_and_does_not_come_back(house: House, backend: Backend) -> None:
    await backend.queue(Queue("BRIEF", max_age=1.0))
    await house.sweep()
    await house.enqueue(task_id="aged", queue="BRIEF")

    async def dropped() -> bool:
        return await house.item("aged", "BRIEF") is None

    await eventually(dropped)
    await house.sweep()
    assert house.mended() == []  # younger than the last pass, and all the same too old for its queue
    await house.sweep()
    await house.sweep()

    record = (await house.read("aged")).record
    assert (record.state, record.end) == (State.EXPIRED, End.PURGED)
    assert house.mended() == [(Repair.ENDED, "aged")]


async def test_the_tasks_of_a_deleted_queue_end(house: House, backend: Backend) -> None:
    await house.enqueue(task_id="homeless")
    await QueueCatalog(backend.connection, backend.names).delete("DEFAULT")

    passes = [await house.sweep() for _ in range(3)]

    assert [passed.missed for passed in passes] == [0, 1, 0]
    assert all(passed.complete for passed in passes)
    assert (await house.read("homeless")).record.end == End.PURGED


async def test_a_new_janitor_ends_nothing_in_its_first_pass(house: House) -> None:
    await house.enqueue(task_id="one")
    await house.sweep()
    await house.purge()
    await house.sweep()

    for _ in range(3):
        passed = await house.sweep(house.new_janitor())
        assert (passed.missed, house.mended()) == (1, [])
    assert (await house.read("one")).record.state is State.NEW


async def test_a_record_that_changed_since_it_was_missed_is_judged_anew(house: House) -> None:
    record = await house.enqueue(task_id="one")
    await house.sweep()
    await house.purge()
    await house.sweep()
    await house.write(replace(record, last_err="somebody wrote"))

    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "one")]


async def test_an_item_that_was_there_in_between_is_no_second_miss(house: House) -> None:
    await house.enqueue(task_id="one")
    await house.sweep()
    await house.purge()
    assert (await house.sweep()).missed == 1
    await house.backend.queues.put(await house.read("one"))
    assert (await house.sweep()).missed == 0
    await house.purge()

    assert (await house.sweep()).missed == 1
    assert house.mended() == []


# Unique keys, and tasks that wait for others


async def test_a_task_whose_producer_died_with_the_key_gets_its_item(house: House) -> None:
    def die() -> None:
        raise Killed

    disarm = arm(Point.KEY_TAKEN, die)
    with pytest.raises(Killed):
        await house.enqueue(task_id="keyed", unique=UniqueKey(KEY, UniqueMode.UNFINISHED))
    disarm()

    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "keyed")]


async def test_a_task_that_no_key_names_does_not_run_and_ends(house: House) -> None:
    await house.record_only(task_id="keyless", unique=UniqueKey(KEY, UniqueMode.UNFINISHED))

    passes = [await house.sweep() for _ in range(3)]

    record = (await house.read("keyless")).record
    assert [passed.missed for passed in passes] == [0, 1, 0]
    assert house.mended() == [(Repair.ENDED, "keyless")]
    assert (record.state, record.end) == (State.EXPIRED, End.PURGED)
    assert record.last_err == "its item is missing, and no unique key names it"
    assert await house.item("keyless") is None


async def test_a_task_whose_key_another_one_has_ends_as_its_duplicate(house: House) -> None:
    unique = UniqueKey(KEY, UniqueMode.UNFINISHED)
    await house.record_only(task_id="slow", unique=unique)
    await house.enqueue(task_id="quick", unique=unique)

    for _ in range(3):
        await house.sweep()

    record = (await house.read("slow")).record
    assert (record.state, record.end) == (State.EXPIRED, End.DUPLICATE)
    assert record.last_err == "its unique key names another task"
    assert (await house.read("quick")).record.state is State.NEW


@pytest.mark.parametrize("holder", ["nobody", "another"])
async def test_a_task_that_has_begun_is_brought_back_though_its_key_was_lost(house: House, holder: str) -> None:
    unique = UniqueKey(KEY, UniqueMode.PERIOD, 60)
    record = await house.enqueue(task_id="throttled", unique=unique)
    await house.backend.keys.free(KEY, "throttled")  # as when its period is over
    if holder == "another":
        await house.enqueue(task_id="next", unique=unique)
    await house.write(replace(record, state=State.RETRY, tries=1, runs=1))
    await remove_item(house.backend, "DEFAULT", "throttled")

    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "throttled")]
    assert await house.item("throttled") is not None


async def test_a_task_that_outlived_the_period_of_its_key_and_lost_its_item_ends(house: House) -> None:
    await house.enqueue(task_id="throttled", unique=UniqueKey(KEY, UniqueMode.PERIOD, 60))
    await house.backend.keys.free(KEY, "throttled")
    await remove_item(house.backend, "DEFAULT", "throttled")

    for _ in range(3):
        await house.sweep()

    record = (await house.read("throttled")).record
    assert (record.state, record.end) == (State.EXPIRED, End.PURGED)


async def test_the_key_of_a_task_that_ended_or_is_gone_is_freed(house: House, backend: Backend) -> None:
    names = {"ended": "x:y a", "gone": "x:y b", "alive": "x:y c", "throttled": "x:y d"}
    for task_id, key in names.items():
        period = 60 if task_id == "throttled" else 0
        mode = UniqueMode.PERIOD if period else UniqueMode.UNFINISHED
        await house.enqueue(task_id=task_id, unique=UniqueKey(key, mode, period))
    for task_id in ("ended", "throttled"):
        await house.write(ended((await house.read(task_id)).record, End.CANCELLED, ""), ttl=60.0)
    await backend.tasks.remove("gone")

    await house.sweep()

    repairs = house.mended()
    assert sorted(repair for repair in repairs if repair[0] == Repair.KEY) == [
        (Repair.KEY, "ended"),
        (Repair.KEY, "gone"),
    ]
    assert [await backend.keys.holder(key) for key in names.values()] == ["", "", "alive", "throttled"]


async def test_a_key_that_was_taken_meanwhile_stays(
    house: House, backend: Backend, between: Callable[[Callable[[], Awaitable[object]]], None]
) -> None:
    record = await house.enqueue(task_id="old", unique=UniqueKey(KEY, UniqueMode.UNFINISHED))
    await house.write(ended(record, End.CANCELLED, ""), ttl=60.0)
    between(lambda: house.enqueue(task_id="new", unique=UniqueKey(KEY, UniqueMode.UNFINISHED)))

    await house.sweep()

    assert await backend.keys.holder(KEY) == "new"
    assert house.mended() == []


async def test_a_task_with_a_marker_is_left_to_those_it_waits_for(house: House, backend: Backend) -> None:
    await house.record_only(task_id="child")
    await backend.publisher.publish(Publication(backend.names.marker("child"), b"", expecting(0)))

    for _ in range(3):
        await house.sweep()
        assert house.mended() == []
    await purge_subject(backend.connection, backend.names.links, backend.names.marker("child"))
    await house.sweep()
    await house.sweep()

    assert (await house.read("child")).record.end == End.PURGED


async def test_a_blocked_task_is_left_alone(house: House) -> None:
    record = await house.record_only(task_id="blocked")
    await house.write(replace(record, state=State.BLOCKED, dependencies=["other"]))

    for _ in range(3):
        assert (await house.sweep()).missed == 0
        assert house.mended() == []


# What nobody asks for


async def put_item(house: House, task_id: str, queue: str = "DEFAULT") -> None:
    names = house.backend.names
    await house.backend.publisher.publish(Publication(names.item(queue, task_id), encode_item(task_id, 1, b"{}")))


async def test_an_item_without_record_is_removed(house: House) -> None:
    await put_item(house, "stray")

    await house.sweep()

    assert house.mended() == [(Repair.ORPHAN_ITEM, "stray")]
    assert await house.item("stray") is None


async def test_a_young_item_without_record_stays(house: House) -> None:
    await put_item(house, "stray")

    await house.sweep(house.new_janitor(patience=30.0))

    assert house.mended() == []
    assert await house.item("stray") is not None


async def test_an_item_whose_record_comes_meanwhile_stays(
    house: House, between: Callable[[Callable[[], Awaitable[object]]], None]
) -> None:
    await put_item(house, "stray")
    between(lambda: house.enqueue(task_id="stray"))

    await house.sweep()

    assert house.mended() == []
    assert await house.item("stray") is not None


async def test_the_item_of_what_is_no_record_is_left_to_its_worker(house: House, backend: Backend) -> None:
    await backend.publisher.publish(Publication(backend.names.record("broken"), b"no record"))
    await put_item(house, "broken")

    await house.sweep()

    assert house.mended() == []
    assert await house.item("broken") is not None


async def test_the_schedule_of_a_task_that_is_gone_or_ended_is_removed(house: House, backend: Backend) -> None:
    for name in ("gone", "ended", "waits"):
        await house.enqueue(task_id=name, due=datetime.now(UTC) + timedelta(hours=1))
    await backend.tasks.remove("gone")
    await house.write(ended((await house.read("ended")).record, End.CANCELLED, ""), ttl=60.0)

    await house.sweep()

    assert sorted(house.mended()) == [(Repair.ORPHAN_SCHEDULE, "ended"), (Repair.ORPHAN_SCHEDULE, "gone")]
    assert [await house.schedule(name) is not None for name in ("gone", "ended", "waits")] == [False, False, True]


async def test_a_schedule_that_comes_meanwhile_stays(
    house: House, backend: Backend, between: Callable[[Callable[[], Awaitable[object]]], None]
) -> None:
    await house.enqueue(task_id="back", due=datetime.now(UTC) + timedelta(hours=1))
    await backend.tasks.remove("back")
    between(lambda: house.enqueue(task_id="back", due=datetime.now(UTC) + timedelta(hours=2)))

    await house.sweep()

    assert house.mended() == []
    assert await house.schedule("back") is not None


# Traces that stand for good


async def test_the_trace_of_a_refused_enqueue_expires(house: House) -> None:
    record = await house.enqueue(task_id="refused")
    await house.write(refused(record, "the queue is full"))
    await house.purge()

    await house.sweep()
    assert house.mended() == [(Repair.REFUSED, "refused")]
    assert await house.ttl_of("refused")
    assert (await house.read("refused")).record.state is State.QUEUE_ERROR
    await house.sweep()

    assert house.mended() == []
    assert await house.item("refused") is None


async def test_the_trace_of_a_refused_enqueue_ends_where_nothing_may_expire(house: House, backend: Backend) -> None:
    record = await house.enqueue(task_id="refused")
    await house.write(refused(record, "the queue is full"))
    await house.purge()
    backend.tasks.ttl_allowed = False

    await house.sweep()

    found = (await house.read("refused")).record
    assert house.mended() == [(Repair.REFUSED, "refused")]
    assert (found.state, found.end, found.last_err) == (State.EXPIRED, End.DROPPED, "the queue is full")


async def test_a_final_record_that_stands_for_good_gets_a_time_to_live(house: House) -> None:
    go = TaskRecord(id="go", type="x:y", queue="DEFAULT", state=State.COMPLETE, created=NOW, tries=1)
    stored = await house.write(go)

    await house.sweep()
    again = await house.read("go")
    assert house.mended() == [(Repair.TTL, "go")]
    assert again.data == stored.data
    assert await house.ttl_of("go")
    await house.sweep()

    assert house.mended() == []


async def test_final_records_stay_where_the_store_lets_none_expire(house: House, backend: Backend) -> None:
    await house.write(TaskRecord(id="go", type="x:y", queue="DEFAULT", state=State.COMPLETE, created=NOW))
    backend.tasks.ttl_allowed = False

    assert (await house.sweep()).repairs == {}


# Others who act at the same time


async def test_young_records_are_left_to_those_who_wrote_them(house: House) -> None:
    await house.record_only(task_id="lost")

    passed = await house.sweep(house.new_janitor(patience=30.0))

    assert house.mended() == []
    assert passed.complete


@pytest.mark.parametrize("change", ["item", "record", "gone", "ended"])
async def test_what_moved_on_since_the_census_is_left_alone(
    house: House, backend: Backend, between: Callable[[Callable[[], Awaitable[object]]], None], change: str
) -> None:
    record = await house.record_only(task_id="moving")

    async def put() -> None:
        await backend.queues.put(await house.read("moving"))

    async def claim() -> None:
        await house.write(claimed(record, Run("w", 1, "n"), NOW))

    async def end() -> None:
        await house.write(ended(record, End.CANCELLED, ""), ttl=60.0)

    between({"item": put, "record": claim, "gone": lambda: backend.tasks.remove("moving"), "ended": end}[change])
    await house.sweep()

    assert house.mended() == []


async def test_a_task_that_moves_on_in_the_moment_of_its_end_does_not_end(
    house: House, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await house.enqueue(task_id="one")
    await house.sweep()
    await house.purge()
    await house.sweep()
    write = backend.tasks.write

    async def overtaken(*args: object, **kwargs: object) -> Stored:
        monkeypatch.setattr(backend.tasks, "write", write)
        await house.operations.retry("one")
        await house.write(claimed((await house.read("one")).record, Run("w", 1, "n"), NOW))
        return await write(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(backend.tasks, "write", overtaken)
    await house.sweep()

    assert house.mended() == []
    assert (await house.read("one")).record.state is State.ACTIVE
    assert record.state is State.NEW


async def test_two_janitors_at_one_time_do_no_harm(house: House) -> None:
    for number in range(20):
        await house.record_only(task_id=f"lost{number}")
        await house.enqueue(task_id=f"kept{number}")
    other = House(house.backend)

    await asyncio.gather(house.sweep(), other.sweep())
    for number in range(20):
        assert await house.item(f"lost{number}") is not None
    await house.purge()
    await asyncio.gather(house.sweep(), other.sweep())
    await asyncio.gather(house.sweep(), other.sweep())

    ends = [repair.task_id for repair in [*house.repairs, *other.repairs]]
    assert len(ends) == len(set(ends)) == 40
    assert {(await house.read(task_id)).record.end for task_id in ends} == {End.PURGED}


# Passes


async def test_a_dry_run_tells_and_changes_nothing(house: House, backend: Backend) -> None:
    await house.record_only(task_id="lost")
    await house.record_only(task_id="late", due=datetime.now(UTC) + timedelta(hours=1))
    await put_item(house, "stray")
    await house.write(TaskRecord(id="go", type="x:y", queue="DEFAULT", state=State.COMPLETE, created=NOW))
    await backend.keys.take(KeyEntry(KEY, "nobody"), 0)

    passed = await house.sweep(dry_run=True)

    expected = {Repair.ITEM, Repair.SCHEDULE, Repair.ORPHAN_ITEM, Repair.TTL, Repair.KEY}
    assert passed.repairs == dict.fromkeys(expected, 1)
    assert await house.mark() is None
    assert (await house.sweep(dry_run=True)).repairs == passed.repairs


async def test_a_complete_pass_is_noted_with_the_servers_time(house: House) -> None:
    before = datetime.now(UTC)
    await house.sweep()
    mark = await house.mark()

    assert mark is not None
    assert abs(mark - before) < timedelta(seconds=2)
    await house.sweep()
    later = await house.mark()
    assert later is not None
    assert later > mark


async def test_a_note_only_moves_forward(backend: Backend) -> None:
    marks = JanitorMarks(backend.connection, backend.publisher, backend.names)
    now = datetime.now(UTC)
    await marks.write(now, "one")
    await marks.write(now - timedelta(seconds=5), "frozen")

    assert await marks.read() == now


async def test_a_pass_that_may_not_go_on_is_not_complete(house: House) -> None:
    await house.record_only(task_id="lost")
    asked = 0

    def go_on() -> bool:
        nonlocal asked
        asked += 1
        return asked < 3

    passed = await house.janitor.run_pass(tell=house.repairs.append, go_on=go_on)

    assert not passed.complete
    assert await house.mark() is None


async def test_a_pass_with_a_silent_server_is_not_complete_and_the_next_one_publishes(
    house: House, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.record_only(task_id="lost")
    put = backend.queues.put

    async def silent(_stored: Stored) -> None:
        raise ServerTimeoutError("an item", 0.0)

    monkeypatch.setattr(backend.queues, "put", silent)
    passed = await house.sweep()
    assert (passed.complete, house.mended()) == (False, [])
    monkeypatch.setattr(backend.queues, "put", put)
    await house.sweep()

    assert house.mended() == [(Repair.ITEM, "lost")]


async def test_an_empty_namespace_is_passed(house: House) -> None:
    passed = await house.sweep()

    assert (passed.records, passed.repairs, passed.complete) == (0, {}, True)
