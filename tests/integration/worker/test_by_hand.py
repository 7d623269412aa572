"""A producer, a worker and an operator that were written after the page of the protocol, beside jetq's."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from jetq.app.application import App
from jetq.errors import TaskCancelledError
from jetq.execution.context import Context
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, TaskTakenOver
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue
from tests.integration.byhand import ByHand, now
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS
from tests.integration.worker.test_garbage import items


@pytest.fixture
async def hand(app: App, server: EmbeddedServer, namespace: str) -> AsyncIterator[ByHand]:
    """Give the program of another language, in a namespace whose streams are there."""
    await backend_with_queue(app)
    made = await ByHand.connect(server.url, namespace)
    yield made
    await made.close()


async def test_what_it_enqueues_jetq_runs(app: App, hand: ByHand) -> None:
    @app.task("add")
    async def add(a: int, b: int) -> int:
        return a + b

    async with Worker(app, settings=SETTINGS):
        await hand.enqueue("one", "add", {"a": 1, "b": 2})
        await app.handle("one").await_end(10)

    _, record = await hand.record("one")
    assert (record["state"], record["result"]["payload"], record["tries"]) == ("complete", 3, 1)


async def test_what_it_delays_jetq_runs_when_it_is_due(app: App, hand: ByHand) -> None:
    @app.task("late")
    async def late() -> float:
        return time.time()

    due = time.time() + 0.5
    await hand.enqueue("one", "late", due=now(0.5))
    async with Worker(app, settings=SETTINGS):
        assert await app.handle("one").aresult(10) >= due


async def test_what_jetq_enqueues_it_runs(app: App, hand: ByHand) -> None:
    handle = await app.aenqueue("greet", {"name": "Ann"})
    item = await hand.pull()
    await hand.finish(item, await hand.claim(item), {"hello": "Ann"})

    assert await handle.aresult(5) == {"hello": "Ann"}
    record = await handle.arecord()
    assert (record.tries, record.runs, record.run and record.run.worker) == (1, 1, hand.worker)


async def test_what_it_fails_jetq_tries_again(app: App, hand: ByHand) -> None:
    @app.task("flaky")
    async def flaky(ctx: Context) -> list[int]:
        return [ctx.tries, ctx.attempt]

    handle = await app.aenqueue("flaky")
    item = await hand.pull()
    await hand.fail(item, await hand.claim(item), "no luck", 0.3)
    assert (await handle.arecord()).last_err == "no luck"
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(10) == [2, 2]


async def test_a_run_that_it_answers_for_is_left_to_it(app: App, hand: ByHand, told: list[Event]) -> None:
    """It does not renew, so its item is delivered to jetq again and again."""

    @app.task("long")
    async def long() -> str:
        return "jetq"

    await hand.serve()
    handle = await app.aenqueue("long")
    item = await hand.pull()
    claim = await hand.claim(item)
    async with Worker(app, settings=SETTINGS):
        await asyncio.sleep(2 * LEASE)
        await hand.finish(item, claim, "hand")
        assert await handle.aresult(10) == "hand"

    assert not [event for event in told if isinstance(event, TaskTakenOver)]
    assert (await handle.arecord()).crashes == 0


async def test_a_run_that_it_denies_is_taken_over(app: App, hand: ByHand) -> None:
    @app.task("long")
    async def long(ctx: Context) -> int:
        return ctx.attempt

    await hand.serve()
    handle = await app.aenqueue("long")
    await hand.claim(await hand.pull())
    hand.running.clear()
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(10) == 2
    assert (await handle.arecord()).crashes == 1


async def test_what_it_cancels_jetq_does_not_run(app: App, hand: ByHand) -> None:
    @app.task("add")
    async def add() -> int:
        raise AssertionError

    handle = await add.aenqueue()
    await hand.cancel(handle.id)
    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskCancelledError):
            await handle.aresult(10)

        backend = await backend_with_queue(app)

        async def empty() -> bool:
            return not await items(backend)

        await eventually(empty)


async def test_a_task_that_it_lets_wait_for_one_of_jetq_is_released(app: App, hand: ByHand) -> None:
    @app.task("parent")
    async def parent() -> int:
        return 20

    @app.task("child")
    async def child(ctx: Context) -> object:
        return ctx.dependency_results

    first = await parent.aenqueue()
    await hand.enqueue_child("child-1", "child", [first.id])
    async with Worker(app, settings=SETTINGS):
        assert await app.handle("child-1").aresult(10) == {first.id: 20}


async def test_a_key_that_it_took_counts_for_jetq(app: App, hand: ByHand) -> None:
    @app.task("once")
    async def once() -> int:
        return 1

    await hand.enqueue_once("first", "once", "k")
    second = await once.using(unique="k").aenqueue()
    async with Worker(app, settings=SETTINGS):
        await second.await_end(10)
    third = await once.using(unique="k").aenqueue()

    assert (second.id, second.is_new, third.is_new) == ("first", False, True)
