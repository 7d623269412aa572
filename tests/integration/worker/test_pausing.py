"""A paused queue gives no tasks, whatever happens to the server, and its limits can be changed while it is served."""

import asyncio
from collections.abc import Callable

import pytest

from jetq.admin.operator import Operator
from jetq.app.application import App
from jetq.errors import InvalidSettingError, UnknownQueueError
from jetq.jetstream.queue_changes import QueueChanges
from jetq.model.events import Event
from jetq.model.serving import QueuePaused, QueueResumed
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS
from tests.servers import TestServer


async def _told(told: list[Event], kind: type[Event], count: int = 1) -> None:
    async def found() -> bool:
        return sum(isinstance(event, kind) for event in told) >= count

    await eventually(found)


async def test_a_paused_queue_gives_no_tasks_until_it_is_resumed(app: App, told: list[Event]) -> None:
    over, started = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    @app.task("held")
    async def held() -> None:
        started.set()
        await over.wait()

    @app.task("note")
    async def note(what: str) -> None:
        ran.append(what)

    async with Worker(app, settings=SETTINGS):
        running = await held.aenqueue()
        await started.wait()
        info = await app.apause_queue("DEFAULT")
        await _told(told, QueuePaused)
        late = await note.using(delay=0.2).aenqueue("delayed")
        handles = [await note.aenqueue(f"now {number}") for number in range(3)]

        async def due() -> bool:
            return await _items(app) == 5

        await eventually(due)
        over.set()
        assert await running.aresult(10) is None
        assert ran == []

        resumed = await app.aresume_queue("DEFAULT")
        for handle in [late, *handles]:
            await handle.aresult(10)

    assert (info.paused, info.paused_until, resumed.paused) == (True, None, False)
    assert sorted(ran) == ["delayed", "now 0", "now 1", "now 2"]
    assert [type(event) for event in told if isinstance(event, (QueuePaused, QueueResumed))] == [
        QueuePaused,
        QueueResumed,
    ]


async def _items(app: App) -> int:
    backend = (await app.clients.current()).backend
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    return int(info["state"]["messages"])


async def test_a_pause_with_a_duration_ends_by_itself(app: App, told: list[Event]) -> None:
    @app.task("quick")
    async def quick() -> str:
        return "ran"

    async with Worker(app, settings=SETTINGS):
        info = await app.apause_queue("DEFAULT", 0.5)
        handle = await quick.aenqueue()
        assert await handle.aresult(10) == "ran"
        await _told(told, QueueResumed)

    assert info.paused_until is not None
    assert [event.until for event in told if isinstance(event, QueuePaused)] == [info.paused_until]


async def test_a_worker_that_starts_on_a_paused_queue_says_so(make_app: Callable[[], App], told: list[Event]) -> None:
    app = make_app()

    @app.task("quick")
    async def quick() -> str:
        return "ran"

    handle = await quick.aenqueue()
    await app.apause_queue("DEFAULT")
    async with Worker(app, settings=SETTINGS):
        await _told(told, QueuePaused)
        assert await handle.astate() == "new"
        await app.aresume_queue("DEFAULT")
        assert await handle.aresult(10) == "ran"


async def test_a_pause_survives_a_restart_of_the_server(own_server: TestServer) -> None:
    app = App("test", queues=[Queue("DEFAULT", lease=1)])
    app.connect_to(own_server.address)
    ran: list[int] = []

    @app.task("quick")
    async def quick() -> None:
        ran.append(1)

    async with Worker(app, settings=SETTINGS):
        await app.apause_queue("DEFAULT")
        own_server.kill()
        await asyncio.to_thread(own_server.run)
        handle = await quick.aenqueue()
        backend = (await app.clients.current()).backend
        waiting = f"CONSUMER.INFO.{backend.names.queue('DEFAULT')}.WORKERS"

        async def asked() -> bool:
            return bool((await backend.connection.api(waiting))["num_waiting"])

        await eventually(asked)
        assert ran == []
        await app.aresume_queue("DEFAULT")
        await handle.aresult(10)
    await app.aclose()


async def test_a_queue_that_cannot_be_paused_is_told(app: App) -> None:
    with pytest.raises(UnknownQueueError):
        await app.apause_queue("NOWHERE")
    with pytest.raises(InvalidSettingError):
        await app.apause_queue("DEFAULT", 0)


@pytest.mark.parametrize(("before", "after"), [(2, 6), (6, 2)])
async def test_how_many_run_at_one_time_can_be_changed_while_they_run(app: App, before: int, after: int) -> None:
    running, most, done = 0, 0, 0
    full = asyncio.Event()

    @app.task("held")
    async def held() -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        if running == before:
            full.set()
        await asyncio.sleep(0.02)
        running -= 1
        done += 1

    operator = Operator((await app.clients.current()).backend)
    await operator.add_queue(Queue("DEFAULT", lease=1, max_concurrent=before))
    handles = [await held.aenqueue() for _ in range(60)]
    async with Worker(app, settings=WorkerSettings(concurrency=20)):
        await full.wait()
        assert most == before
        await operator.configure_queue("DEFAULT", QueueChanges(max_concurrent=after))

        async def settled() -> bool:
            return done > 2 * before

        await eventually(settled)
        most = running
        for handle in handles:
            await handle.await_end(20)

    assert most == after
