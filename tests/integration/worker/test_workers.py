"""Workers say that they live and what they do, and hear what people want of them."""

import asyncio
import threading
import time

import pytest

from jetq.admin.workers import WorkerDirectory, chosen
from jetq.app.application import App
from jetq.client.clients import Client
from jetq.errors import UnknownWorkerError
from jetq.model.events import Event, WorkerStopped
from jetq.model.serving import WorkerQuieted
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS


@pytest.fixture
async def directory(app: App) -> WorkerDirectory:
    backend = (await app.clients.current()).backend
    return WorkerDirectory(backend.connection, backend.names)


async def test_a_worker_is_listed_with_what_it_serves_and_runs(app: App, directory: WorkerDirectory) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    @app.task("held:*")
    async def held() -> None:
        started.set()
        await over.wait()

    assert await app.aworkers() == []
    async with Worker(app, settings=SETTINGS, version="7") as worker:
        handle = await held.using(type="held:long").aenqueue()
        await started.wait()

        async def told() -> bool:
            return bool((await app.aworkers())[0].tasks)

        await eventually(told)
        [info] = await app.aworkers()
        [task] = await directory.inspect(worker.id)
        over.set()
        await handle.await_end(10)

    assert (info.worker, info.version, info.queues, info.patterns) == (worker.id, "7", ["DEFAULT"], ["held:*"])
    assert (info.slots, info.running, info.state) == (SETTINGS.concurrency, 1, "working")
    assert (task.id, task.type, task.queue, task.attempt) == (handle.id, "held:long", "DEFAULT", 1)
    assert 0 < info.tasks[0].age <= task.age
    assert await app.aworkers() == []


async def test_a_ping_is_answered_while_a_handler_blocks_the_event_loop(app: App) -> None:
    entered = threading.Event()

    @app.task("block")
    async def block() -> None:
        entered.set()
        time.sleep(1.5)  # noqa: ASYNC251 - the point

    other = App("other", namespace=app.settings.namespace)
    other.connect_to(app.address())
    async with Worker(app, settings=SETTINGS) as worker:

        async def ping(client: Client) -> float | None:
            return (await WorkerDirectory(client.backend.connection, client.backend.names).ping(worker.id)).ms

        def ask() -> tuple[float | None, float]:
            entered.wait()
            began = time.monotonic()
            return other.clients.blocking(ping), time.monotonic() - began

        asking = asyncio.create_task(asyncio.to_thread(ask))
        handle = await block.aenqueue()
        ms, took = await asking
        await handle.await_end(10)
    await asyncio.to_thread(other.close)

    assert ms is not None
    assert 0 < ms / 1000 <= took < 1.5


async def test_a_quiet_worker_takes_no_more_and_stays(app: App, directory: WorkerDirectory, told: list[Event]) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    @app.task("held")
    async def held() -> None:
        started.set()
        await over.wait()

    async with Worker(app, settings=SETTINGS) as worker:
        first = await held.aenqueue()
        await started.wait()
        await eventually(directory.list_workers)
        assert await directory.quiet(worker.id) == 1

        async def quiet() -> bool:
            return (await directory.find(worker.id)).state == "quiet"

        await eventually(quiet)
        second = await held.aenqueue()
        over.set()
        await first.await_end(10)
        assert await second.astate() == "new"
        assert (await directory.ping(worker.id)).state == "quiet"

    assert [type(event) for event in told if isinstance(event, WorkerQuieted)] == [WorkerQuieted]


async def test_a_worker_that_is_told_to_stop_ends_what_it_runs(
    app: App, directory: WorkerDirectory, told: list[Event]
) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    @app.task("held")
    async def held() -> str:
        started.set()
        await over.wait()
        return "done"

    worker = Worker(app, settings=SETTINGS)
    running = asyncio.create_task(worker.run())
    handle = await held.aenqueue()
    await started.wait()

    await eventually(directory.list_workers)
    assert await directory.stop(worker.id) == 1
    assert (await directory.ping(worker.id)).running == 1
    over.set()
    await running

    assert await handle.aresult(10) == "done"
    assert [event.released for event in told if isinstance(event, WorkerStopped)] == [0]
    with pytest.raises(UnknownWorkerError, match=worker.id):
        await directory.stop(worker.id)


def test_an_id_may_be_shortened_as_long_as_it_is_clear() -> None:
    known = ["01M862K32HATKHJDHWMCRQH0XR", "01M862K1ZKB3T0NSJM389MMP6C"]

    assert chosen(known[0], known) == known[0]
    assert chosen("h0xr", known) == known[0]
    assert chosen("01M862K1", known) == known[1]
    with pytest.raises(UnknownWorkerError) as several:
        chosen("01M862K", known)
    assert several.value.near == tuple(known)
    with pytest.raises(UnknownWorkerError) as mistyped:
        chosen("01M862K32HATKHJDHWMCRQH0XX", known)
    assert mistyped.value.near[0] == known[0]
    with pytest.raises(UnknownWorkerError, match="jetq workers list"):
        chosen("", known)
