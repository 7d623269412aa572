"""Near the server's max_payload every task reaches a final state, over one connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jetq.app.application import App
from jetq.errors import AnswerLostError, PayloadTooLargeError, TaskExpiredError, TaskTerminatedError, Terminate
from jetq.execution.context import Context
from jetq.jetstream.task_store import Stored, TaskStore
from jetq.model.events import AttemptFailed, ConnectionLost, DeliveryDiscarded, Event, RunLost, TaskStateChanged
from jetq.model.retry import Fixed
from jetq.model.state import State
from jetq.settings import RECORD_MARGIN, Queue
from jetq.wire.codec import Document
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS
from tests.servers import TestServer

SMALL = 192 * 1024
"""The least that leaves room for a task beside the margin."""
DEFAULT = 1024 * 1024
WRONG = (AttemptFailed, ConnectionLost, DeliveryDiscarded)


@pytest.fixture(params=[SMALL, DEFAULT], ids=["small", "default"])
def limit(request: pytest.FixtureRequest) -> int:
    """Give the server's max_payload."""
    return int(request.param)


@pytest.fixture
async def app(limit: int, namespace: str, told: list[Event]) -> AsyncIterator[App]:
    """Give an application with a server of that limit."""
    with TestServer.start(f"max_payload: {limit}") as server:
        app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE)])
        app.connect_to(server.address)
        app.bus.listen(told.append)
        yield app
        await app.aclose()


def wrong(told: list[Event]) -> list[Event]:
    return [event for event in told if isinstance(event, WRONG)]


def largest_payload(limit: int) -> int:
    """Return the length of the longest text that can be enqueued: in a record it is base64."""
    return (limit - RECORD_MARGIN - 600) // 4 * 3


async def test_the_largest_payload_runs_fails_and_ends(app: App, limit: int, told: list[Event]) -> None:
    size = largest_payload(limit)
    lengths: list[int] = []

    @app.task("large", max_tries=3, retry=Fixed(0))
    async def large(ctx: Context, text: str) -> int:
        lengths.append(len(text))
        ctx.progress(1, 2, "p" * 1000)
        if ctx.tries < 3:
            raise ValueError("e" * limit)
        return len(text)

    async with Worker(app, settings=SETTINGS):
        handle = await large.aenqueue("x" * size)
        assert await handle.aresult(15) == size
        with pytest.raises(PayloadTooLargeError):
            await large.aenqueue("x" * (size + 1000))

    assert lengths == [size] * 3
    assert wrong(told) == []


@pytest.mark.parametrize("kind", ["raises", "terminates", "nested", "group"])
async def test_an_error_of_any_size_ends_its_task(app: App, limit: int, told: list[Event], kind: str) -> None:
    def deep(depth: int) -> None:
        if depth:
            try:
                deep(depth - 1)
            except ValueError as error:
                raise ValueError("e" * (limit // 20)) from error
        raise ValueError("e" * (limit // 20))

    @app.task("broken", max_tries=1)
    async def broken(text: str) -> None:
        match kind:
            case "raises":
                raise ValueError("é" * limit + text)
            case "terminates":
                raise Terminate("t" * limit)
            case "nested":
                deep(30)
            case _:
                raise ExceptionGroup("g" * limit, [ValueError("e" * limit) for _ in range(20)])

    async with Worker(app, settings=SETTINGS):
        handle = await broken.aenqueue("x" * largest_payload(limit))
        with pytest.raises((TaskExpiredError, TaskTerminatedError)):
            await handle.aresult(15)

    assert wrong(told) == []


async def test_a_result_that_fits_is_kept_and_a_larger_one_ends_the_task_with_both_sizes(
    app: App, limit: int, told: list[Event]
) -> None:
    @app.task("make")
    async def make(size: int) -> str:
        return "r" * size

    async with Worker(app, settings=SETTINGS):
        fits = limit - 1500
        assert len(await (await make.aenqueue(fits)).aresult(15)) == fits
        for size in (limit - 200, limit, 2 * limit):
            handle = await make.aenqueue(size)
            with pytest.raises(TaskTerminatedError) as caught:
                await handle.aresult(15)
            assert caught.value.reason == "too_large"
            last_err = (await handle.arecord()).last_err
            assert f"the result has {size + 2:,} bytes" in last_err
            assert f"the server's limit of {limit:,} bytes" in last_err

    assert wrong(told) == []


@pytest.mark.parametrize("limit", [SMALL], ids=["small"], indirect=True)
@pytest.mark.parametrize("lost", ["answer", "request"])
async def test_a_result_that_is_too_large_ends_its_task_once_though_its_closing_write_is_not_answered(
    app: App, limit: int, told: list[Event], lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, runs, unanswered = TaskStore.write, 0, 0

    async def unanswered_once(store: TaskStore, document: Document, expect: int, *, ttl: float | None = None) -> Stored:
        nonlocal unanswered
        is_end = document.record.is_final and document.record.end == "too_large"
        if not is_end or unanswered or lost == "answer":
            stored = await write(store, document, expect, ttl=ttl)
        if is_end and not unanswered:
            unanswered += 1
            raise AnswerLostError("the closing write")
        return stored

    @app.task("make")
    async def make() -> str:
        nonlocal runs
        runs += 1
        return "r" * limit

    async with Worker(app, settings=SETTINGS) as worker:
        monkeypatch.setattr(TaskStore, "write", unanswered_once)
        handle = await make.aenqueue()
        with pytest.raises(TaskTerminatedError, match="the result has"):
            await handle.aresult(15)
        await eventually(lambda: is_empty(worker))

    assert (runs, unanswered) == (1, 1)
    ends = [event for event in told if isinstance(event, TaskStateChanged) and event.state is State.TERMINATED]
    assert [(event.end, event.tries) for event in ends] == [("too_large", 1)]
    assert [event for event in told if isinstance(event, RunLost | AttemptFailed)] == []


async def is_empty(worker: Worker) -> bool:
    """Whether the queue has no item."""
    backend = worker._backend
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    return info["state"]["messages"] == 0


async def test_results_beside_large_payloads_end_their_tasks(app: App, limit: int, told: list[Event]) -> None:
    @app.task("echo")
    async def echo(text: str) -> str:
        return text

    async with Worker(app, settings=SETTINGS):
        largest = largest_payload(limit)
        handles = [await echo.aenqueue("x" * size) for size in (*range(10_000, largest, limit // 8), largest)]
        ends: list[Any] = await asyncio.gather(*(handle.await_end(20) for handle in handles))

    assert {record.state for record in ends} == {"complete", "terminated"}
    assert all(record.end == "too_large" for record in ends if record.state == "terminated")
    assert wrong(told) == []
