"""Streams of tasks: bounded, in order, and settled however they end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from jetq.app import streaming
from jetq.app.application import App
from jetq.app.streaming import ABREAST, CHUNK, PATIENCE
from jetq.client.handle import TaskHandle
from jetq.errors import (
    BlockingCallError,
    ConnectionFailedError,
    EnqueueManyError,
    InvalidPayloadError,
    InvalidSettingError,
    QueueFullError,
    UnknownQueueError,
)
from jetq.jetstream.server import EmbeddedServer
from jetq.model.signing import SigningSettings
from jetq.settings import ConnectionSettings, Queue, Settings

COUNT = 3 * CHUNK + 7
BAD = CHUNK + 3
"""Place of an entry that is not sound, in the second chunk."""
Entries = list[tuple[str, Any]]


@pytest.fixture
def app(server: EmbeddedServer, namespace: str) -> Iterator[App]:
    queues = [Queue("SMALL", max_entries=2), Queue("STRICT", create=False)]
    made = App("test", namespace=namespace, queues=queues)
    made.connect_to(server.address)

    @made.task("small", queue="SMALL")
    def small() -> None: ...

    @made.task("strict", queue="STRICT")
    def strict() -> None: ...

    yield made
    made.close()


def numbered(count: int = COUNT) -> Entries:
    return [("x", {"number": number}) for number in range(count)]


def with_bad_one() -> Entries:
    entries = numbered()
    entries[BAD] = ("x", {"bad": object()})
    return entries


async def giving(entries: Entries) -> AsyncIterator[tuple[str, Any]]:
    for entry in entries:
        await asyncio.sleep(0)
        yield entry


async def stored(app: App) -> int:
    """Return how many records there are, and see that there are as many items."""
    backend = (await app.clients.current()).backend
    streams = (backend.names.tasks, backend.names.queue("DEFAULT"))
    infos = [await backend.connection.api(f"STREAM.INFO.{stream}") for stream in streams]
    counts = [int(info["state"]["messages"]) for info in infos]
    assert counts[0] == counts[1]
    return counts[0]


def stored_by_now(app: App) -> int:
    async def count() -> int:
        async with app:
            return await stored(app)

    return asyncio.run(count())


async def take(stream: AsyncIterator[Any], taken: list[Any]) -> None:
    """Take what comes, also if an error follows."""
    async for outcome in stream:
        taken.append(outcome)  # noqa: PERF401 - a comprehension would drop what came before an error


async def numbers(app: App, handles: list[Any]) -> list[int]:
    tasks = (await app.clients.current()).backend.tasks
    found = [await tasks.read(handle.id) for handle in handles]
    return [int((each.record.payload or b"")[10:-1]) for each in found if each is not None]


# order and kinds of iterables


def test_a_stream_yields_handles_in_order(app: App) -> None:
    handles = list(app.enqueue_iter(iter(numbered())))

    async def read() -> list[int]:
        async with app:
            return await numbers(app, handles)

    assert asyncio.run(read()) == list(range(COUNT))


@pytest.mark.parametrize("make", [iter, giving], ids=["sync", "async"])
async def test_async_code_streams_from_both_kinds_of_iterables(app: App, make: Callable[[Entries], Any]) -> None:
    async with app:
        handles = [handle async for handle in app.aenqueue_iter(make(numbered()))]
        many = await app.aenqueue_many(make(numbered(3)))

        assert await numbers(app, handles) == list(range(COUNT))
        assert await numbers(app, many) == [0, 1, 2]


def test_a_stream_without_entries_is_empty(app: App) -> None:
    assert list(app.enqueue_iter([])) == []
    assert app.enqueue_many([]) == app.enqueue_many([], errors="return") == []


def test_a_stream_is_signed(app: App) -> None:
    app.reconfigure(replace(app.settings, signing=SigningSettings(key="a1" * 32)))

    assert [len(handle.record().signature) for handle in app.enqueue_iter(numbered(3))] == [128] * 3
    assert [len(handle.record().signature) for handle in app.enqueue_many(numbered(3))] == [128] * 3
    app.close()


# how much is read ahead


def test_no_more_is_read_ahead_than_a_few_chunks(app: App) -> None:
    read = 0

    def endless() -> Iterator[tuple[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield "x", {"number": read}

    stream = app.enqueue_iter(endless())
    for taken in range(1, 10 * CHUNK):
        next(stream)
        assert read - taken <= (ABREAST + 1) * CHUNK
    stream.close()


def test_a_slow_iterable_does_not_wait_for_a_full_chunk(app: App) -> None:
    def slow() -> Iterator[tuple[str, Any]]:
        for entry in numbered(5):
            time.sleep(PATIENCE)
            yield entry

    stream = app.enqueue_iter(slow())
    next(stream)

    assert stored_by_now(app) < 5
    assert len(list(stream)) == 4


# entries that are not sound, and tasks that are refused


def test_a_bad_entry_is_its_own_outcome_where_errors_are_returned(app: App) -> None:
    for outcomes in (
        list(app.enqueue_iter(with_bad_one(), errors="return")),
        app.enqueue_many(with_bad_one(), errors="return"),
    ):
        assert [place for place, outcome in enumerate(outcomes) if not isinstance(outcome, TaskHandle)] == [BAD]
        assert isinstance(outcomes[BAD], InvalidPayloadError)
    assert stored_by_now(app) == 2 * (COUNT - 1)


def test_each_kind_of_error_stands_where_its_entry_stood(app: App) -> None:
    shapeless: Any = {"type": "x"}
    entries: list[Any] = [
        ("x", 1),
        shapeless,
        ("strict", None),
        ("small", None),
        ("small", None),
        ("small", None),
        ("x", 2),
    ]
    kinds = [TaskHandle, InvalidSettingError, UnknownQueueError, TaskHandle, TaskHandle, QueueFullError, TaskHandle]

    assert [type(outcome) for outcome in app.enqueue_iter(entries, errors="return")] == kinds
    kinds[3] = kinds[4] = QueueFullError
    assert [type(outcome) for outcome in app.enqueue_many(entries, errors="return")] == kinds


def test_nothing_is_sent_of_many_that_are_not_all_sound(app: App) -> None:
    with pytest.raises(InvalidPayloadError):
        app.enqueue_many(with_bad_one())
    with pytest.raises(UnknownQueueError):
        app.enqueue_many([*numbered(), ("strict", None)])

    assert app.enqueue_many(numbered(1))
    assert stored_by_now(app) == 1


def test_a_bad_entry_ends_a_stream_and_nothing_of_it_is_forgotten(app: App) -> None:
    taken: list[Any] = []
    with pytest.raises(EnqueueManyError, match="1 of ") as caught:
        taken.extend(app.enqueue_iter(with_bad_one()))

    rest = caught.value.outcomes
    assert len(taken) == BAD
    assert isinstance(rest[0], InvalidPayloadError)
    assert all(isinstance(outcome, TaskHandle) for outcome in (*taken, *rest[1:]))
    assert stored_by_now(app) == len(taken) + len(rest) - 1


async def test_a_refused_task_ends_a_stream_and_nothing_of_it_is_forgotten(app: App) -> None:
    async with app:
        entries = numbered()
        entries[BAD : BAD + 3] = [("small", None)] * 3
        taken: list[Any] = []
        with pytest.raises(EnqueueManyError) as caught:
            await take(app.aenqueue_iter(giving(entries)), taken)

    assert len(taken) == BAD + 2
    assert isinstance(caught.value.outcomes[0], QueueFullError)


# an iterable that raises


def failing(entries: Entries) -> Iterator[tuple[str, Any]]:
    yield from entries
    raise LookupError("no more")


async def afailing(entries: Entries) -> AsyncIterator[tuple[str, Any]]:
    for entry in entries:
        yield entry
    raise LookupError("no more")


def test_what_an_iterable_raises_comes_after_what_it_gave(app: App) -> None:
    taken: list[Any] = []
    with pytest.raises(LookupError, match="no more"):
        taken.extend(app.enqueue_iter(failing(numbered())))

    assert len(taken) == COUNT
    assert stored_by_now(app) == COUNT


async def test_what_an_async_iterable_raises_comes_after_what_it_gave(app: App) -> None:
    async with app:
        taken: list[Any] = []
        with pytest.raises(LookupError, match="no more"):
            await take(app.aenqueue_iter(afailing(numbered())), taken)

        assert len(taken) == COUNT
        assert await stored(app) == COUNT


async def test_nothing_is_sent_of_many_whose_iterable_raises(app: App) -> None:
    async with app:
        for entries in (failing(numbered()), afailing(numbered())):
            with pytest.raises(LookupError):
                await app.aenqueue_many(entries, errors="return")
        await app.aenqueue("x")
        assert await stored(app) == 1


# ends before the end


@pytest.fixture
def whole_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send no chunk before it is full, however slow this machine is."""
    monkeypatch.setattr(streaming, "PATIENCE", 60.0)


@pytest.mark.usefixtures("whole_chunks")
def test_closing_a_stream_waits_for_what_was_sent(app: App) -> None:
    stream = app.enqueue_iter(numbered(10 * CHUNK))
    for _ in range(5):
        next(stream)
    stream.close()

    sent = stored_by_now(app)
    assert sent % CHUNK == 0
    assert CHUNK <= sent <= (ABREAST + 1) * CHUNK


@pytest.mark.usefixtures("whole_chunks")
async def test_closing_an_async_stream_waits_for_what_was_sent(app: App) -> None:
    async with app:
        async with aclosing(app.aenqueue_iter(giving(numbered(10 * CHUNK)))) as stream:
            async for _ in stream:
                break

        sent = await stored(app)
        assert sent % CHUNK == 0
        assert CHUNK <= sent <= (ABREAST + 1) * CHUNK


async def test_a_cancelled_stream_leaves_nothing_running(app: App) -> None:
    async with app:
        before = asyncio.all_tasks()

        async def endless() -> AsyncIterator[tuple[str, Any]]:
            while True:
                yield "x", None
                await asyncio.sleep(0)

        async def consume() -> None:
            async for _ in app.aenqueue_iter(endless()):
                begun.set()

        begun = asyncio.Event()
        consumer = asyncio.create_task(consume())
        await begun.wait()
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer

        assert asyncio.all_tasks() <= before


@pytest.mark.usefixtures("whole_chunks")
def test_a_stream_that_is_forgotten_ends(app: App) -> None:
    stream = app.enqueue_iter(numbered(10 * CHUNK))
    next(stream)
    del stream

    assert stored_by_now(app) % CHUNK == 0


# where it cannot begin


async def test_a_blocking_stream_names_the_async_one(app: App) -> None:
    with pytest.raises(BlockingCallError, match="aenqueue_iter"):
        app.enqueue_iter(numbered())


def test_nothing_is_read_without_a_server() -> None:
    nowhere = ConnectionSettings(servers="nats://127.0.0.1:1", connect_timeout=0.2)
    lost, entries = App("lost", settings=Settings(connection=nowhere)), iter(numbered())

    with pytest.raises(ConnectionFailedError):
        next(lost.enqueue_iter(entries))
    assert len(list(entries)) == COUNT
