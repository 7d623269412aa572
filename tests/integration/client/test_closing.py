"""Who waits for a task is told when this program closes its application meanwhile."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import ConnectionClosedError
from jetq.jetstream.server import EmbeddedServer
from jetq.wire.events import TaskStateEvent
from tests.integration.watching import eventually
from tests.servers import TestServer


@pytest.fixture
def app(server: EmbeddedServer, namespace: str) -> App:
    """Give an application that nobody works for."""
    made = App("test", namespace=namespace)
    made.connect_to(server.address)
    return made


async def all_events(handle: TaskHandle[Any]) -> list[Any]:
    return [event async for event in handle.events()]


async def until_subscribed(app: App, count: int) -> None:
    """Wait until somebody waits for events; the answers' inboxes count, too."""
    subscriptions = (await app.clients.current()).backend.connection._subscriptions

    async def is_so() -> bool:
        return len(subscriptions._by_sid) >= count

    await eventually(is_so, within=5)


@pytest.mark.parametrize(
    ("wait", "what"),
    [
        (lambda handle: handle.aresult(), "waiting for task"),
        (lambda handle: handle.aresult(60), "waiting for task"),
        (lambda handle: handle.await_end(), "waiting for task"),
        (all_events, "following task"),
    ],
    ids=["result", "result_in_time", "end", "events"],
)
async def test_who_waits_is_told_that_the_application_was_closed(
    app: App, wait: Callable[[TaskHandle[Any]], Awaitable[Any]], what: str
) -> None:
    handle = await app.aenqueue("x:y")
    waiting = asyncio.ensure_future(wait(handle))
    await until_subscribed(app, 3)
    await app.aclose()

    with pytest.raises(ConnectionClosedError, match=f"{what} {handle.id} was cut short: this program closed"):
        await asyncio.wait_for(waiting, 1)


async def test_a_reading_under_way_is_told_that_the_application_was_closed(
    own_server: TestServer, namespace: str
) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(own_server.address)
    handle = await app.aenqueue("x:y")
    own_server.freeze()
    reading = asyncio.ensure_future(handle.aprogress())
    waiting = asyncio.ensure_future(handle.aresult())
    await until_subscribed(app, 3)
    await app.aclose()

    for under_way in (reading, waiting):
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(under_way, 1)


async def test_the_state_is_told_before_the_application_is_closed(app: App) -> None:
    handle = await app.aenqueue("x:y")
    events = aiter(handle.events())
    first = await anext(events)
    await app.aclose()

    assert isinstance(first, TaskStateEvent)
    with pytest.raises(ConnectionClosedError):
        await asyncio.wait_for(anext(events), 1)


async def test_events_that_their_reader_closes_just_end(app: App) -> None:
    handle = await app.aenqueue("x:y")
    events = handle.events()
    iterator = aiter(events)
    await anext(iterator)
    waiting = asyncio.ensure_future(anext(iterator, None))
    await asyncio.sleep(0)
    await events.aclose()

    assert await asyncio.wait_for(waiting, 1) is None
    await app.aclose()


def blocking_events(handle: TaskHandle[Any]) -> Iterator[Any]:
    return iter(list(handle.events()))


@pytest.mark.parametrize(
    "wait",
    [lambda handle: handle.result(), lambda handle: handle.wait(60), blocking_events],
    ids=["result", "wait", "events"],
)
def test_a_thread_that_waits_is_told_that_another_closed_the_application(
    app: App, wait: Callable[[TaskHandle[Any]], Any]
) -> None:
    handle = app.enqueue("x:y")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(wait, handle)
        app.clients.blocking(lambda _client: until_subscribed(app, 3))
        app.close()

        with pytest.raises(ConnectionClosedError, match=handle.id):
            waiting.result(1)


def test_a_thread_that_reads_all_events_ends_with_the_application(app: App) -> None:
    app.enqueue("x:y")
    found: list[Any] = []
    reading = threading.Thread(target=lambda: found.extend(app.events()))
    reading.start()
    app.clients.blocking(lambda _client: until_subscribed(app, 4))
    app.close()
    reading.join(1)

    assert not reading.is_alive()
