"""What happens to tasks, as programs read it while it happens."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import jetq
from jetq.app.application import App
from jetq.client.clients import Client
from jetq.client.event_stream import EventStream
from jetq.errors import (
    BlockingIterationError,
    InvalidNameError,
    InvalidSettingError,
    PermissionDeniedError,
    TaskNotFoundError,
)
from jetq.execution.context import Context
from jetq.jetstream.connection import Connection
from jetq.jetstream.event_reader import EventReader, EventsMissed
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import LeaderElected, TaskStateChanged
from jetq.model.state import State
from jetq.settings import Queue, WorkerSettings
from jetq.wire.event_filter import EventFilter
from jetq.wire.events import LeaderElectedEvent, TaskProgressEvent, TaskStateEvent
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.servers import TestServer

SETTINGS = WorkerSettings(concurrency=10, shutdown_timeout=5.0)
CREATED = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    """Give an application with two queues."""
    made = App("test", namespace=namespace, queues=[Queue("DEFAULT"), Queue("OTHER")])
    made.connect_to(server.address)
    yield made
    await made.aclose()


async def take(stream: EventStream[Any], count: int) -> list[Any]:
    found: list[Any] = []
    async for event in stream:
        found.append(event)
        if len(found) == count:
            break
    return found


def shown(events: list[Any]) -> list[tuple[str, str]]:
    return [(event.task_id, event.display_state) for event in events if isinstance(event, TaskStateEvent)]


def change(task_id: str, sequence: int, **changes: Any) -> TaskStateChanged:
    values: dict[str, Any] = {"task_type": "x:y", "queue": "DEFAULT", "state": State.NEW, "tries": 0}
    return TaskStateChanged(task_id=task_id, sequence=sequence, created=CREATED, at=CREATED, **(values | changes))


async def emit(app: App, *events: TaskStateChanged | LeaderElected) -> None:
    """Tell events that nothing led to, and return when the server has them."""
    backend = (await app.clients.current()).backend
    for event in events:
        backend.bus.emit(event)
    await backend.connection.api("INFO")


async def subscriptions(app: App) -> int:
    connection = (await app.clients.current()).backend.connection
    return len(connection._subscriptions._by_sid)


# all tasks


async def test_events_come_in_the_order_in_which_they_were_told(app: App) -> None:
    async with app.events() as events:
        handles = [await app.aenqueue("x:y") for _ in range(20)]
        found = await take(events, 20)

    assert shown(found) == [(handle.id, "new") for handle in handles]
    assert [event.sequence for event in found] == sorted(event.sequence for event in found)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "ABCD"),
        ({"task_id": "B"}, "B"),
        ({"queue": "OTHER"}, "B"),
        ({"task_type": "email:*"}, "C"),
        ({"states": ["cancelled"]}, "D"),
        ({"states": ["expired", "scheduled"]}, ""),
        ({"states": "new", "task_type": "x:y"}, "AB"),
    ],
    ids=str,
)
async def test_a_reader_gets_what_it_asks_for(app: App, wanted: Any, expected: str) -> None:
    async with app.events(**wanted) as events:
        await emit(
            app,
            change("A", 1),
            change("B", 2, queue="OTHER"),
            change("C", 3, task_type="email:new"),
            change("D", 4, state=State.EXPIRED, end="cancelled"),
            change("B", 9, task_type="x:y", queue="OTHER", state=State.NEW),
            change("C", 9, task_type="email:new"),
            change("D", 9, state=State.EXPIRED, end="cancelled"),
        )
        await app.aclose()
        found = [event async for event in events]

    assert {event.task_id for event in found if isinstance(event, TaskStateEvent)} == set(expected)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"states": ["resting"]}, InvalidSettingError),
        ({"task_id": "a b"}, InvalidNameError),
        ({"queue": "a.b"}, InvalidNameError),
        ({"task_type": ""}, InvalidSettingError),
        ({"buffer": 0}, InvalidSettingError),
    ],
    ids=str,
)
async def test_a_wish_that_nothing_can_match_is_refused_at_once(app: App, wanted: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        app.events(**wanted)


async def test_elections_are_read_beside_tasks(app: App) -> None:
    async with app.events() as events:
        await emit(app, LeaderElected(component="janitor", name="W1", at=CREATED))
        [found] = await take(events, 1)

    assert isinstance(found, LeaderElectedEvent)
    assert (found.component, found.name, found.timestamp) == ("janitor", "W1", CREATED)


async def test_a_change_that_is_told_twice_is_read_once(app: App) -> None:
    async with app.events() as events:
        await emit(app, change("A", 7), change("A", 7, repeated=True, worker="W2"), change("A", 8))
        found = await take(events, 2)

    assert [event.sequence for event in found] == [7, 8]


async def test_unknown_kinds_of_events_are_passed_over(app: App) -> None:
    backend = (await app.clients.current()).backend
    async with app.events() as events:
        backend.connection.send(backend.names.task_event("A"), b'{"type":"io.choria.asyncjobs.v2.task_state"}')
        backend.connection.send(backend.names.task_event("A"), b"\xff")
        await emit(app, change("A", 7))
        [found] = await take(events, 1)

    assert found.task_id == "A"


async def test_progress_is_read_by_who_asks_for_it(app: App) -> None:
    @app.task("slow")
    async def slow(ctx: Context) -> None:
        ctx.progress(1, 2, "half")

    async with app.events(progress=True, task_type="slow") as events, Worker(app, settings=SETTINGS):
        await slow.aenqueue()
        found = await take(events, 4)

    [progress] = [event for event in found if isinstance(event, TaskProgressEvent)]
    assert (progress.current, progress.total, progress.text, progress.attempt) == (1, 2, "half", 1)


async def test_what_a_slow_reader_misses_is_counted_in_its_place(app: App) -> None:
    async with app.events(buffer=3) as events:
        await emit(app, *(change("A", number) for number in range(1, 11)))
        first = await take(events, 4)
        await emit(app, change("A", 11))
        [after] = await take(events, 1)

    assert [event.sequence for event in first[:3]] == [1, 2, 3]
    assert first[3] == EventsMissed(7)
    assert isinstance(after, TaskStateEvent)
    assert after.sequence == 11


async def test_the_gap_stands_before_what_came_after_it(app: App) -> None:
    async with app.events(buffer=2) as events:
        await emit(app, change("A", 1), change("A", 2), change("A", 3))
        [first] = await take(events, 1)
        await emit(app, change("A", 4))
        rest = await take(events, 3)

    assert first.sequence == 1
    assert [event if isinstance(event, EventsMissed) else event.sequence for event in rest] == [2, EventsMissed(1), 4]


@pytest.fixture
async def telling(app: App) -> AsyncIterator[None]:
    """Tell one event after the other."""

    async def tell() -> None:
        for number in itertools.count(1):
            await emit(app, change("A", number))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(tell())
    yield
    task.cancel()


@pytest.mark.usefixtures("telling")
async def test_break_unsubscribes(app: App) -> None:
    before = await subscriptions(app)
    async for _ in app.events():
        assert await subscriptions(app) == before + 2
        break

    async def is_as_before() -> bool:
        return await subscriptions(app) == before

    await eventually(is_as_before, within=5)


@pytest.mark.usefixtures("telling")
async def test_closing_unsubscribes(app: App) -> None:
    before = await subscriptions(app)
    events = app.events()
    iterator = aiter(events)
    await anext(iterator)
    await events.aclose()

    assert await subscriptions(app) == before


@pytest.mark.usefixtures("telling")
async def test_within_one_with_reading_goes_on_after_a_break(app: App) -> None:
    before = await subscriptions(app)
    async with app.events() as events:
        first = await take(events, 3)
        second = await take(events, 3)

    numbers = [event.sequence for event in first + second]
    assert numbers == list(range(numbers[0], numbers[0] + 6))
    assert await subscriptions(app) == before


async def test_closing_the_application_ends_its_readers(app: App) -> None:
    async with app.events() as events:
        reading = asyncio.create_task(take(events, 1))
        await asyncio.sleep(0)
        await app.aclose()

        assert await reading == []


async def test_what_had_come_is_read_before_the_application_ends_its_readers(app: App) -> None:
    async with app.events(states=["new"]) as events:
        reading = aiter(events)
        ids = [(await app.aenqueue("x:y")).id for _ in range(3)]
        first = await anext(reading)
        heard = app.events(states=["cancelled"])
        async with heard:
            await app.acancel(ids[0])
            await take(heard, 1)  # so the others, told before that, have come
        await app.aclose()

        assert [event.task_id async for event in reading] == ids[1:]  # type: ignore[union-attr]
        assert first.task_id == ids[0]  # type: ignore[union-attr]


async def test_a_reader_is_told_of_a_connection_that_was_lost(own_server: TestServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(own_server.address)
    async with app, app.events() as events:
        await emit(app, change("A", 1))
        [first] = await take(events, 1)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.run)
        [gap] = await take(events, 1)
        await emit(app, change("A", 2))
        [after] = await take(events, 1)

    assert (first.sequence, gap, after.sequence) == (1, EventsMissed(None), 2)


# outside of an event loop, and without an application


def test_events_are_read_without_a_loop(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)
    with app.events() as events:
        handles = [app.enqueue("x:y") for _ in range(3)]
        found = [event for _, event in zip(range(3), events, strict=False)]
        more = app.enqueue("x:y")
        found.append(next(iter(events)))
    app.close()

    assert [event.task_id for event in found] == [handle.id for handle in [*handles, more]]  # type: ignore[union-attr]


def test_break_unsubscribes_without_a_loop_too(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)
    handle = app.enqueue("x:y", delay=60)
    before = app.clients.blocking(_subscribed)
    for _ in handle.events():
        assert app.clients.blocking(_subscribed) == before + 2
        break
    until = time.monotonic() + 5
    while app.clients.blocking(_subscribed) != before:
        assert time.monotonic() < until
    app.close()


async def _subscribed(client: Client) -> int:
    return len(client.backend.connection._subscriptions._by_sid)


async def test_in_a_loop_the_blocking_words_are_refused(app: App) -> None:
    with pytest.raises(BlockingIterationError, match="async for"):
        iter(app.events())
    with pytest.raises(BlockingIterationError, match="async with"), app.events():
        pass


async def test_a_program_that_knows_only_the_server_reads_too(app: App, server: EmbeddedServer, namespace: str) -> None:
    async with jetq.events(servers=server.url, namespace=namespace, task_type="x:*") as events:
        await app.aenqueue("a:b")
        handle = await app.aenqueue("x:y")
        [found] = await take(events, 1)

    assert found.task_id == handle.id


async def test_an_application_may_be_named_in_place_of_a_server(app: App) -> None:
    async with jetq.events(app, queue="OTHER") as events:
        await app.aenqueue("x:y", queue="OTHER")
        [found] = await take(events, 1)

    assert found.queue == "OTHER"
    with pytest.raises(InvalidSettingError):
        jetq.events(app, namespace="X")


async def test_reading_alone_makes_no_streams(server: EmbeddedServer, namespace: str, connection: Connection) -> None:
    async with jetq.events(servers=server.url, namespace=namespace):
        pass

    names = (await connection.api("STREAM.NAMES"))["streams"] or []
    assert not [name for name in names if namespace in name]


async def test_who_may_not_subscribe_is_told(namespace: str) -> None:
    allowed = '{ publish: [">"], subscribe: ["_INBOX.>"] }'
    users = f"authorization {{ users: [{{ user: joe, password: pass, permissions: {allowed} }}] }}"
    with (
        TestServer.start(users, user_part="joe:pass") as server,
        pytest.raises(PermissionDeniedError, match="task_state"),
    ):
        await take(jetq.events(servers=server.url, namespace=namespace), 1)


async def test_who_may_not_hear_of_elections_reads_tasks(namespace: str) -> None:
    allowed = f'{{ publish: [">"], subscribe: ["_INBOX.>", "{namespace}.E.task_state.>"] }}'
    users = f"authorization {{ users: [{{ user: joe, password: pass, permissions: {allowed} }}] }}"
    with TestServer.start(users, user_part="joe:pass") as server:
        app = App("test", servers=server.url, namespace=namespace)
        async with app, app.events() as events:
            handle = await app.aenqueue("x:y")
            [found] = await take(events, 1)

    assert found.task_id == handle.id


# one task


async def test_a_task_is_followed_from_its_state_to_its_end(app: App) -> None:
    tries: list[int] = []

    @app.task("flaky", retry=jetq.Fixed(0.3))
    async def flaky() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")
        return 5

    handle = await flaky.aenqueue()
    found: list[Any] = []
    async with Worker(app, settings=SETTINGS):
        async for event in handle.events():
            found.append(event)  # noqa: PERF401 - the worker must run meanwhile

    assert {event.task_id for event in found} == {handle.id}
    words = [event.display_state for event in found]
    assert words in (
        ["new", "active", "retry", "active", "complete"],
        ["active", "retry", "active", "complete"],  # it was claimed before it was read
    )
    assert [event.attempt for event in found][-4:] == [1, 1, 2, 2]
    assert found[-3].last_error == "ValueError: not yet"


async def test_a_task_that_ended_has_one_event(app: App) -> None:
    @app.task("five")
    async def five() -> int:
        return 5

    async with Worker(app, settings=SETTINGS):
        handle = await five.aenqueue()
        await handle.aresult(10)
    found = [event async for event in handle.events()]

    assert [event.display_state for event in found if isinstance(event, TaskStateEvent)] == ["complete"]
    assert len(found) == 1


async def test_a_lost_end_is_read_from_the_record(app: App) -> None:
    @app.task("silent")
    async def silent() -> None:
        pass

    handle = await silent.using(delay=0.5).aenqueue()
    worker = App("mute", namespace=app.settings.namespace)
    worker.connect_to(app.address())
    worker.include(_group(silent.fn))
    found: list[Any] = []
    async with Worker(worker, settings=SETTINGS) as mute:
        mute._backend.bus._change(())
        async for event in handle.events():
            found.append(event)  # noqa: PERF401 - the worker must run meanwhile
    await worker.aclose()

    assert [event.display_state for event in found] == ["scheduled", "complete"]


def _group(function: Callable[..., Any]) -> jetq.Tasks:
    group = jetq.Tasks()
    group.task("silent")(function)
    return group


async def test_following_outlives_a_restart_of_the_server(own_server: TestServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(own_server.address)

    @app.task("five")
    async def five() -> int:
        return 5

    async with app:
        handle = await five.aenqueue()
        found: list[Any] = []

        async def follow() -> None:
            async for event in handle.events():
                found.append(event)  # noqa: PERF401 - as it comes

        following = asyncio.create_task(follow())

        async def has_begun() -> bool:
            return bool(found)

        await eventually(has_begun)
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.run)
        async with Worker(app, settings=SETTINGS):
            await following

    assert (found[0].display_state, found[-1].display_state) == ("new", "complete")


async def test_following_a_task_that_is_deleted_ends_with_an_error(app: App) -> None:
    handle = await app.aenqueue("x:y")
    client = await app.clients.current()
    began = time.monotonic()
    async with handle.events() as events:
        await take(events, 1)
        await client.backend.tasks.remove(handle.id)
        with pytest.raises(TaskNotFoundError):
            await take(events, 1)

    assert time.monotonic() - began < 5


async def test_following_a_task_that_never_was_is_an_error(app: App) -> None:
    with pytest.raises(TaskNotFoundError):
        await take(app.handle("NEVER").events(), 1)


def test_a_task_is_followed_without_a_loop(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)
    handle = app.enqueue("x:y", delay=60)
    for event in handle.events():
        assert isinstance(event, TaskStateEvent)
        assert (event.display_state, event.due is None) == ("scheduled", False)
        break
    app.close()


async def test_a_reader_that_is_closed_twice_is_closed(app: App) -> None:
    backend = (await app.clients.current()).backend
    reader = await EventReader.open(backend.connection, backend.names, EventFilter())
    await reader.close()
    await reader.close()

    assert await reader.next() is None
