"""Workers of which one is the janitor."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from jetq.app.application import App
from jetq.errors import TaskExpiredError, TaskUnreachableError
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.jetstream.janitor_mark import JanitorMarks
from jetq.jetstream.message import encode_headers
from jetq.jetstream.stream_message import purge_subject
from jetq.model.events import (
    AccessDenied,
    Event,
    JanitorFailed,
    JanitorPassed,
    LeaderElected,
    TaskRepaired,
    TaskTakenOver,
)
from jetq.model.record import Run
from jetq.model.state import End
from jetq.model.transition import claimed
from jetq.model.upkeep import Repair
from jetq.observe.fault_points import Point, arm
from jetq.settings import JanitorSettings, Queue
from jetq.wire.names import KV_DELETED, KV_OPERATION
from jetq.worker.worker import Worker
from tests.integration.removing import remove_item
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS
from tests.servers import TestServer

QUICK = JanitorSettings(every=0.1, patience=0.0)


class Killed(BaseException):
    """Stands in for the death of an actor at some point."""


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application whose janitor has no patience, with one task type."""
    return quick(make_app())


def quick(app: App) -> App:
    app.reconfigure(replace(app.settings, janitor=QUICK))

    @app.task("work")
    async def work(ctx: Context) -> int:
        return ctx.attempt

    return app


def has_passed(told: list[Event]) -> bool:
    return any(isinstance(event, JanitorPassed) for event in told)


async def record_only(app: App, task_id: str) -> None:
    def die() -> None:
        raise Killed

    disarm = arm(Point.RECORD_STORED, die)
    try:
        with pytest.raises(Killed):
            await app.aenqueue("work", {}, id=task_id)
    finally:
        disarm()


async def test_a_task_whose_producer_died_runs(app: App, told: list[Event]) -> None:
    await record_only(app, "lost")
    async with Worker(app, settings=SETTINGS):
        assert await app.handle("lost").aresult(20) == 1

    repaired = [event for event in told if isinstance(event, TaskRepaired)]
    assert [(event.kind, event.task_id, event.queue) for event in repaired] == [(Repair.ITEM, "lost", "DEFAULT")]
    assert any(event.repairs == {Repair.ITEM: 1} for event in told if isinstance(event, JanitorPassed))


async def test_a_purged_task_ends_and_whoever_waits_for_it_is_told(app: App) -> None:
    handle = await app.aenqueue("work", {})
    backend = (await app.clients.current()).backend
    names = backend.names
    marks = JanitorMarks(backend.connection, backend.publisher, names)
    stored = await backend.tasks.read(handle.id)
    async with Worker(app, queues=["OTHER"], settings=SETTINGS):

        async def was_seen_in_its_queue() -> bool:
            assert stored is not None
            assert stored.written is not None
            mark = await marks.read()
            return mark is not None and mark > stored.written

        await eventually(was_seen_in_its_queue)
        await purge_subject(backend.connection, names.queue("DEFAULT"), names.items_subject("DEFAULT"))
        with pytest.raises(TaskExpiredError, match="its item was removed"):
            await handle.aresult(20)

    assert (await handle.arecord()).end == End.PURGED


async def test_an_active_task_of_a_dead_worker_without_item_is_taken_over(app: App, told: list[Event]) -> None:
    handle = await app.aenqueue("work", {})
    backend = (await app.clients.current()).backend
    stored = await backend.tasks.read(handle.id)
    assert stored is not None
    run = Run("01DEAD", 1, "n")
    await backend.tasks.write(
        stored.document.updated(claimed(stored.record, run, backend.connection.clock.now())), stored.sequence
    )
    await remove_item(backend, "DEFAULT", handle.id)
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(20) == 2

    assert [event.dead_worker for event in told if isinstance(event, TaskTakenOver)] == ["01DEAD"]
    assert (await handle.arecord()).crashes == 1


async def test_one_of_two_workers_passes_and_the_other_follows(make_app: Callable[[], App], told: list[Event]) -> None:
    first, second = Worker(quick(make_app()), settings=SETTINGS), Worker(quick(make_app()), settings=SETTINGS)

    def elected() -> list[str]:
        return [event.name for event in told if isinstance(event, LeaderElected)]

    async with second, first:

        async def passed() -> bool:
            return has_passed(told)

        await eventually(passed)
        assert len(elected()) == 1
        leader, other = (first, second) if elected() == [first.id] else (second, first)
        await leader._shut_down()

        async def followed() -> bool:
            return elected() == [leader.id, other.id]

        await eventually(followed, within=3.0)


@pytest.mark.parametrize("changes", [{"janitor": False}, {"burst": True}], ids=str)
async def test_a_worker_may_be_told_to_be_no_janitor(app: App, told: list[Event], changes: dict[str, bool]) -> None:
    await app.aenqueue("work", {})
    worker = Worker(app, settings=replace(SETTINGS, **changes))
    if "burst" in changes:
        await worker.run()
    else:
        async with worker:
            await asyncio.sleep(0.3)

    assert not [event for event in told if isinstance(event, LeaderElected | JanitorPassed | JanitorFailed)]


@pytest.mark.parametrize("denied", ["$KV.*.janitor", "$JS.API.CONSUMER.CREATE.{}_TASKS.*"], ids=str)
async def test_a_worker_without_the_rights_works_and_is_no_janitor(
    namespace: str, told: list[Event], denied: str
) -> None:
    denied = denied.format(namespace)
    users = f"""
        authorization {{ users = [
            {{ user: worker, password: s, permissions: {{ publish: {{ allow: [">"], deny: ["{denied}"] }} }} }}
        ] }}
    """
    with TestServer.start(users, user_part="worker:s") as server:
        app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=1.0)])
        app.connect_to(Address.of(server.url))
        app.bus.listen(told.append)
        quick(app)
        handle = await app.aenqueue("work", {})
        async with Worker(app, settings=SETTINGS):

            async def given_up() -> bool:
                return any(isinstance(event, JanitorFailed) for event in told)

            await eventually(given_up)
            assert await handle.aresult(10) == 1
        await app.aclose()

    failed = [event for event in told if isinstance(event, JanitorFailed)]
    assert [event.final for event in failed] == [True]
    assert len([event for event in told if isinstance(event, AccessDenied)]) == 1
    assert not has_passed(told)


async def test_passes_go_on_after_the_server_was_away(
    own_server: TestServer, namespace: str, told: list[Event]
) -> None:
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=1.0)])
    app.connect_to(own_server.address)
    app.bus.listen(told.append)
    quick(app)
    async with Worker(app, settings=SETTINGS):

        async def passed() -> bool:
            return has_passed(told)

        await eventually(passed)
        await asyncio.to_thread(own_server.restart)
        await record_only(app, "lost")
        assert await app.handle("lost").aresult(20) == 1
    await app.aclose()

    assert [event.task_id for event in told if isinstance(event, TaskRepaired)] == ["lost"]


async def test_a_janitor_that_is_elected_anew_looks_after_blocked_tasks_at_once(
    make_app: Callable[[], App], told: list[Event]
) -> None:
    app = quick(make_app())
    app.reconfigure(replace(app.settings, janitor=JanitorSettings(blocked_every=0.1)))
    parent = await app.aenqueue("work", {}, delay=600)
    child = await app.aenqueue("work", {}, depends_on=[parent])
    backend = (await app.clients.current()).backend

    async def elected_times(times: int) -> bool:
        return sum(isinstance(event, LeaderElected) for event in told) == times

    async with Worker(app, settings=SETTINGS):
        await eventually(lambda: elected_times(1))
        await backend.connection.request(
            backend.names.election("janitor"), b"", headers=encode_headers({KV_OPERATION: KV_DELETED})
        )
        await eventually(lambda: elected_times(2))
        await backend.tasks.remove(parent.id)
        with pytest.raises(TaskUnreachableError):
            await child.aresult(10)
