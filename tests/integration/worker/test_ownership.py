"""Who has a task: leases, take-overs, lost runs, and what no handler can see."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.errors import TaskTerminatedError
from jetq.execution.context import Context
from jetq.jetstream.publisher import Publication
from jetq.jetstream.task_store import Stored
from jetq.model.events import DeliveryDiscarded, Event, RunLost, TaskTakenOver, UpdateConflict
from jetq.model.record import Run
from jetq.model.state import State
from jetq.model.transition import claimed
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue, read
from tests.integration.removing import remove_schedule
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS


async def claim_by_hand(app: App, task_id: str, run: Run | None, *, crashed: int = 0) -> None:
    """Leave the record as a worker does that died right after its claim; without a run, as Go does."""
    stored = await read(app, task_id)
    record = claimed(stored.record, run or Run("go", 1, ""), datetime.now(UTC))
    record = replace(record, run=run, crashes=crashed)
    await (await backend_with_queue(app)).tasks.write(stored.document.updated(record), stored.sequence)


async def test_a_handler_that_sleeps_for_three_leases_runs_once(make_app: Callable[[], App]) -> None:
    runs: list[int] = []
    first, second = make_app(), make_app()
    for app in (first, second):

        @app.task("long")
        async def long(ctx: Context) -> int:
            runs.append(ctx.attempt)
            await asyncio.sleep(3 * LEASE)
            return ctx.attempt

    handle = await first.aenqueue("long")
    async with Worker(first, settings=SETTINGS), Worker(second, settings=SETTINGS):
        assert await handle.aresult(20) == 1

    assert runs == [1]


async def test_a_handler_that_blocks_the_loop_for_three_leases_runs_once(
    make_app: Callable[[], App], told: list[Event]
) -> None:
    runs: list[int] = []
    first, second = make_app(), make_app()

    @first.task("block")
    async def block(ctx: Context) -> int:
        runs.append(ctx.attempt)
        time.sleep(3 * LEASE)  # noqa: ASYNC251 - the point
        return ctx.attempt

    @second.task("block")
    def never() -> None:
        runs.append(-1)

    def other_worker(ready: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        async def serve() -> None:
            async with Worker(second, settings=SETTINGS):
                loop.call_soon_threadsafe(ready.set)
                await asyncio.sleep(4 * LEASE)

        asyncio.run(serve())

    async with Worker(first, settings=SETTINGS):
        handle = await first.aenqueue("block")
        ready = asyncio.Event()
        other = asyncio.create_task(asyncio.to_thread(other_worker, ready, asyncio.get_running_loop()))
        assert await handle.aresult(20) == 1
        await other

    assert runs == [1]
    assert not [event for event in told if isinstance(event, (TaskTakenOver, RunLost))]


async def test_a_dead_workers_task_runs_elsewhere(app: App, told: list[Event]) -> None:
    @app.task("orphan")
    async def orphan(ctx: Context) -> list[int]:
        return [ctx.tries, ctx.attempt]

    handle = await app.aenqueue("orphan")
    await claim_by_hand(app, handle.id, Run("dead", 1, "abc"))
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(25) == [2, 2]

    took = [event for event in told if isinstance(event, TaskTakenOver)]
    assert [(event.dead_worker, event.crashes) for event in took] == [("dead", 1)]


async def test_a_task_that_kills_its_workers_is_ended(app: App) -> None:
    @app.task("deadly")
    async def deadly() -> None:
        raise AssertionError

    handle = await app.aenqueue("deadly")
    await claim_by_hand(app, handle.id, Run("dead", 1, "abc"), crashed=2)
    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskTerminatedError, match="the worker died 3 times") as caught:
            await handle.aresult(25)

    assert caught.value.reason == "crash"


async def test_a_task_that_go_runs_is_left_alone_until_its_run_time_is_over(app: App) -> None:
    started: list[datetime] = []

    @app.task("gopher")
    async def gopher() -> None:
        started.append(datetime.now(UTC))

    handle = await app.aenqueue("gopher")
    await claim_by_hand(app, handle.id, None)
    async with Worker(app, settings=SETTINGS):
        await asyncio.sleep(3 * LEASE)
        assert (await read(app, handle.id)).record.state is State.ACTIVE
        assert not started

        stored = await read(app, handle.id)
        long_ago = replace(stored.record, tried=datetime.now(UTC) - timedelta(hours=2))
        await (await backend_with_queue(app)).tasks.write(stored.document.updated(long_ago), stored.sequence)
        await handle.aresult(20)

    assert len(started) == 1


async def test_a_run_that_lost_its_task_is_stopped_and_writes_nothing(app: App, told: list[Event]) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    @app.task("stolen")
    async def stolen() -> str:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()
        return "mine"

    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("stolen")
        await begun.wait()
        stored = await read(app, handle.id)
        thief = replace(stored.record, run=Run("thief", 2, "xyz"))
        written = await (await backend_with_queue(app)).tasks.write(stored.document.updated(thief), stored.sequence)
        async with asyncio.timeout(10):
            await stopped.wait()
        lost = asyncio.Event()
        app.bus.listen_to(RunLost, lambda _event: lost.set())
        if not any(isinstance(event, RunLost) for event in told):
            await asyncio.wait_for(lost.wait(), 10)

        assert (await read(app, handle.id)).sequence == written.sequence


async def test_what_others_added_to_a_running_task_is_kept(app: App) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @app.task("shared")
    async def shared() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("shared")
        await begun.wait()
        stored = await read(app, handle.id)
        fields = {**stored.document.fields, "dependents": ["child"]}
        document = stored.document.__class__(stored.record, fields)
        await (await backend_with_queue(app)).tasks.write(document, stored.sequence)
        go_on.set()
        assert await handle.aresult(10) == "done"

        assert b'"dependents":["child"]' in (await read(app, handle.id)).data


async def test_an_item_of_a_final_record_is_acknowledged(app: App) -> None:
    @app.task("once")
    async def once() -> int:
        return 1

    async with Worker(app, settings=SETTINGS):
        handle = await once.aenqueue()
        await handle.aresult(10)
        backend, stored = await backend_with_queue(app), await read(app, handle.id)
        await backend.publisher.publish(backend.queues.publication(stored))

        async def is_gone() -> bool:
            return not await backend.queues.has_item(stored)

        await eventually(is_gone)
        assert (await read(app, handle.id)).sequence == stored.sequence


async def test_an_item_that_carries_a_run_which_has_ended_is_acknowledged(app: App, told: list[Event]) -> None:
    """Whoever replaces the item of a task that runs puts its active record into it; the run may end before the item."""

    @app.task("ended")
    async def ended() -> int:
        return 1

    async with Worker(app, settings=SETTINGS):
        handle = await ended.aenqueue()
        await handle.aresult(10)
        backend, stored = await backend_with_queue(app), await read(app, handle.id)
        active = stored.document.updated(replace(stored.record, state=State.ACTIVE, result=None))
        carried = Stored(active, stored.sequence - 1, active.encode())
        await backend.publisher.publish(backend.queues.publication(carried))

        async def is_gone() -> bool:
            return not await backend.queues.has_item(stored)

        await eventually(is_gone)

    assert (await read(app, handle.id)).sequence == stored.sequence
    assert len([event for event in told if isinstance(event, UpdateConflict)]) == 1


async def test_an_item_that_came_before_its_time_is_scheduled_again(app: App) -> None:
    @app.task("early")
    async def early() -> float:
        return time.time()

    due = time.time() + 1.5
    handle = await early.using(run_at=datetime.fromtimestamp(due, UTC)).aenqueue()
    backend, stored = await backend_with_queue(app), await read(app, handle.id)
    await remove_schedule(backend, "DEFAULT", handle.id)
    await backend.publisher.publish(backend.queues.publication(stored))

    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(15) >= due


@pytest.mark.parametrize(
    "garbage", [b"\xff\x00", b"[]", b"{}", b'{"kind":7,"job":"x"}', b'{"kind":0,"job":"*"}', b"[" * 100_000]
)
async def test_garbage_in_a_queue_is_discarded_once(app: App, told: list[Event], garbage: bytes) -> None:
    @app.task("sane")
    async def sane() -> str:
        return "well"

    backend = await backend_with_queue(app)
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "garbage"), garbage))
    async with Worker(app, settings=SETTINGS):
        assert await (await sane.aenqueue()).aresult(10) == "well"

        async def is_empty() -> bool:
            return not (await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}"))["state"][
                "messages"
            ]

        await eventually(is_empty)

    discarded = [event for event in told if isinstance(event, DeliveryDiscarded)]
    assert [event.reason for event in discarded] == ["malformed_item"]


async def test_a_record_that_cannot_be_read_is_discarded_once(app: App, told: list[Event]) -> None:
    backend = await backend_with_queue(app)
    await backend.publisher.publish(Publication(backend.names.record("broken"), b'{"id": 5'))
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "broken"), b'{"kind":0,"job":"broken"}'))
    discarded = asyncio.Event()
    app.bus.listen_to(DeliveryDiscarded, lambda _event: discarded.set())

    async with Worker(app, settings=SETTINGS):
        await asyncio.wait_for(discarded.wait(), 10)

    kinds = [(event.reason, event.task_id) for event in told if isinstance(event, DeliveryDiscarded)]
    assert kinds == [("malformed_record", "broken")]


async def test_an_old_item_without_record_is_discarded(
    app: App, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetq.worker.claims._OLD_ITEM", 0.0)
    backend = await backend_with_queue(app)
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "gone"), b'{"kind":0,"job":"gone"}'))
    discarded = asyncio.Event()
    app.bus.listen_to(DeliveryDiscarded, lambda _event: discarded.set())

    async with Worker(app, settings=SETTINGS):
        await asyncio.wait_for(discarded.wait(), 10)

    kinds = [(event.reason, event.task_id) for event in told if isinstance(event, DeliveryDiscarded)]
    assert kinds == [("not_found", "gone")]


async def test_a_young_item_waits_for_its_record(app: App) -> None:
    @app.task("late:record")
    async def late() -> str:
        return "there"

    backend = await backend_with_queue(app)
    handle = app.handle("early-item")
    await backend.publisher.publish(
        Publication(backend.names.item("DEFAULT", "early-item"), b'{"kind":0,"job":"early-item"}')
    )
    async with Worker(app, settings=SETTINGS):
        await asyncio.sleep(0.1)
        document = (await read(app, (await late.aenqueue()).id)).document
        record = replace(document.record, id="early-item", state=State.NEW)
        await backend.tasks.write(document.updated(record), 0)
        assert await handle.aresult(15) == "there"


async def test_a_stopping_worker_gives_its_tasks_back_at_no_cost(make_app: Callable[[], App]) -> None:
    first, second = make_app(), make_app()
    begun = asyncio.Event()

    @first.task("handover")
    async def hang() -> str:
        begun.set()
        await asyncio.sleep(60)
        return "first"

    @second.task("handover")
    async def finish(ctx: Context) -> list[int]:
        return [ctx.tries, ctx.attempt]

    handle = await second.aenqueue("handover")
    async with Worker(first, settings=SETTINGS) as worker:
        await begun.wait()
        worker.cancel()
    async with Worker(second, settings=SETTINGS):
        assert await handle.aresult(10) == [1, 2]


async def test_a_stopping_worker_waits_for_what_runs(app: App) -> None:
    begun = asyncio.Event()

    @app.task("nearly")
    async def nearly() -> str:
        begun.set()
        await asyncio.sleep(0.5)
        return "done"

    async with Worker(app, settings=SETTINGS):
        handle = await nearly.aenqueue()
        await begun.wait()
    record = await handle.arecord()
    await app.aclose()

    assert record.state is State.COMPLETE


async def test_a_stopping_worker_gives_back_what_it_has_not_started(make_app: Callable[[], App]) -> None:
    """Items that were fetched, or are on their way, do not wait for a lease."""
    first, second = make_app(), make_app()
    backend = await backend_with_queue(second)
    await backend.topology.ensure_queue(Queue("LONG", lease=300))
    begun = asyncio.Event()

    @first.task("item", queue="LONG")
    async def slow() -> None:
        begun.set()
        await asyncio.sleep(0.05)

    @second.task("item", queue="LONG")
    async def fast() -> None: ...

    handles = await second.aenqueue_many([fast.s() for _ in range(400)])
    async with Worker(first, queues=["LONG"], settings=SETTINGS):
        await begun.wait()
    async with Worker(second, queues=["LONG"], settings=SETTINGS):
        await asyncio.gather(*(handle.aresult(15) for handle in handles))
