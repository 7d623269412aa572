"""Slots are filled from several queues, and none starves."""

import asyncio

import pytest

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker


async def _fill(server: EmbeddedServer, namespace: str, *, queues: int, slots: int, enough: int) -> None:
    """Give one of many queues a backlog that outlasts the test, and wait until *enough* of it run."""
    names = [f"Q{number}" for number in range(queues)]
    app = App("test", namespace=namespace, queues=[Queue(name) for name in names])
    app.connect_to(server.address)
    running, full, over = 0, asyncio.Event(), asyncio.Event()

    @app.task("long", queue=names[-1])
    async def long() -> None:
        nonlocal running
        running += 1
        if running >= enough:
            full.set()
        await over.wait()

    settings = WorkerSettings(concurrency=slots, shutdown_timeout=5.0)
    async with Worker(app, queues=names, settings=settings):
        await app.aenqueue_many([long.s() for _ in range(2 * slots)])
        try:
            async with asyncio.timeout(10):
                await full.wait()
        finally:
            over.set()


@pytest.mark.parametrize(("queues", "slots", "enough"), [(1, 10, 10), (2, 10, 9), (12, 10, 10), (4, 40, 37)])
async def test_a_busy_queue_fills_the_slots_that_idle_ones_do_not_need(
    server: EmbeddedServer, namespace: str, queues: int, slots: int, enough: int
) -> None:
    await _fill(server, namespace, queues=queues, slots=slots, enough=enough)


async def test_each_of_many_queues_is_served_by_few_slots(server: EmbeddedServer, namespace: str) -> None:
    names = [f"Q{number}" for number in range(8)]
    app = App("test", namespace=namespace, queues=[Queue(name, lease=2) for name in names])
    app.connect_to(server.address)
    order: list[str] = []

    @app.task("short", queue=names[0])
    async def short(queue: str) -> None:
        order.append(queue)
        await asyncio.sleep(0.01)

    entries = [short.using(queue=name).s(name) for name in names for _ in range(10)]
    handles = await app.aenqueue_many(entries)
    async with Worker(app, queues=names, settings=WorkerSettings(concurrency=2)):
        for handle in handles:
            await handle.await_end(20)
    await app.aclose()

    assert sorted(order[: 3 * len(names)], key=names.index) != order[: 3 * len(names)]
    assert set(order[: 3 * len(names)]) == set(names)
