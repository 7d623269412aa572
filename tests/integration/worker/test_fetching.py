"""Slots are filled from several queues, and none starves."""

import asyncio
from collections.abc import Mapping, Sequence

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


@pytest.mark.parametrize(
    ("queues", "slots", "enough"), [(1, 10, 10), (2, 10, 10), (12, 10, 10), (4, 40, 40), (4, 1, 1)]
)
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


async def _starts(
    server: EmbeddedServer,
    namespace: str,
    queues: Mapping[str, int] | Sequence[str],
    *,
    settings: WorkerSettings,
    backlog: Mapping[str, int],
    starts: int,
) -> list[str]:
    """Give queues a backlog, and return the queues of the first tasks that start."""
    app = App("test", namespace=namespace, queues=[Queue(name) for name in queues])
    app.connect_to(server.address)
    order: list[str] = []
    enough, over = asyncio.Event(), asyncio.Event()

    @app.task("noted", queue=next(iter(queues)))
    async def noted(queue: str) -> None:
        order.append(queue)
        if len(order) >= starts:
            enough.set()
            await over.wait()
        await asyncio.sleep(0.002)

    await app.aenqueue_many([noted.using(queue=name).s(name) for name, count in backlog.items() for _ in range(count)])
    async with Worker(app, queues=queues, settings=settings):
        await enough.wait()
        over.set()
    await app.aclose()
    return order[:starts]


@pytest.fixture
def all_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give no share away of a queue that a busy machine keeps from answering for a moment."""
    monkeypatch.setattr("jetq.worker.asking._STALLED_AFTER", 10.0)


@pytest.mark.usefixtures("all_answer")
@pytest.mark.parametrize("slots", [1, 10])
async def test_slots_are_shared_by_weight_while_all_queues_have_work(
    server: EmbeddedServer, namespace: str, slots: int
) -> None:
    order = await _starts(
        server,
        namespace,
        {"critical": 6, "default": 3, "low": 1},
        settings=WorkerSettings(concurrency=slots),
        backlog={"critical": 200, "default": 200, "low": 200},
        starts=200,
    )

    counts = [order.count(name) for name in ("critical", "default", "low")]
    assert counts == [pytest.approx(wanted, abs=slots + 6) for wanted in (120, 60, 20)]


@pytest.mark.usefixtures("all_answer")
async def test_queues_without_weights_get_even_shares(server: EmbeddedServer, namespace: str) -> None:
    order = await _starts(
        server,
        namespace,
        ["A", "B"],
        settings=WorkerSettings(concurrency=4),
        backlog={"A": 100, "B": 100},
        starts=100,
    )

    assert order.count("A") == pytest.approx(50, abs=8)


async def test_a_strict_order_lets_the_first_queue_go_first(server: EmbeddedServer, namespace: str) -> None:
    order = await _starts(
        server,
        namespace,
        ["first", "second"],
        settings=WorkerSettings(concurrency=4, strict=True),
        backlog={"second": 60, "first": 60},
        starts=100,
    )

    assert order[4:50].count("second") <= 4
    assert order.count("first") == 60


async def test_a_queue_that_may_not_give_more_does_not_keep_slots_idle(server: EmbeddedServer, namespace: str) -> None:
    queues = [Queue("limited", max_concurrent=1), Queue("other")]
    app = App("test", namespace=namespace, queues=queues)
    app.connect_to(server.address)
    running = {"limited": 0, "other": 0}
    full, over = asyncio.Event(), asyncio.Event()

    @app.task("long", queue="other")
    async def long(queue: str) -> None:
        running[queue] += 1
        if running == {"limited": 1, "other": 9}:
            full.set()
        await over.wait()

    await app.aenqueue_many([long.using(queue=name).s(name) for name in running for _ in range(20)])
    async with Worker(app, queues={"limited": 9, "other": 1}, settings=WorkerSettings(concurrency=10)):
        await full.wait()
        over.set()
    await app.aclose()


async def test_a_task_of_an_idle_queue_starts_at_once_although_others_have_a_backlog(
    server: EmbeddedServer, namespace: str
) -> None:
    app = App("test", namespace=namespace, queues=[Queue("busy"), Queue("urgent")])
    app.connect_to(server.address)
    after, started, counted = 0, asyncio.Event(), asyncio.Event()

    @app.task("busy", queue="busy")
    async def busy() -> None:
        nonlocal after
        after += 1
        counted.set()
        await asyncio.sleep(0.01)

    @app.task("urgent", queue="urgent")
    async def urgent() -> None:
        started.set()

    await app.aenqueue_many([busy.s() for _ in range(600)])
    async with Worker(app, queues={"urgent": 6, "busy": 1}, settings=WorkerSettings(concurrency=2)):
        await counted.wait()
        before = after
        await urgent.aenqueue()
        await started.wait()
        assert after - before < 100
    await app.aclose()
