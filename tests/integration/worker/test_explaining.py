"""Why real tasks do not run."""

import asyncio

import pytest

from jetq.app.application import App
from jetq.client.enqueue import Enqueuer
from jetq.model.explanation import Cause
from jetq.observe.fault_points import Point, arm
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker
from tests.integration.flows import flow_of, node
from tests.integration.watching import eventually


async def _causes(app: App, task_id: str) -> list[Cause]:
    return [reason.cause for reason in (await app.aexplain(task_id)).reasons]


async def test_what_keeps_a_task_from_running_is_told_step_by_step(app: App) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    @app.task("held")
    async def held() -> None:
        started.set()
        await over.wait()

    first, second = await held.aenqueue(), await held.aenqueue()
    late = await held.using(delay=3600).aenqueue()
    child = await held.using(depends_on=[late]).aenqueue()
    foreign = await app.aenqueue("unknown:type", queue="OTHER")

    assert await _causes(app, "T9") == [Cause.NO_SUCH_TASK]
    assert await _causes(app, second.id) == [Cause.NO_WORKER]
    await app.apause_queue("DEFAULT")
    assert await _causes(app, second.id) == [Cause.QUEUE_PAUSED, Cause.NO_WORKER]
    await app.aresume_queue("DEFAULT")

    async with Worker(app, queues=["DEFAULT"], settings=WorkerSettings(concurrency=1)):
        await started.wait()

        async def seen() -> bool:
            return await _causes(app, second.id) == [Cause.NO_FREE_SLOT]

        assert await _causes(app, first.id) == [Cause.RUNNING]
        await eventually(seen)
        assert await _causes(app, late.id) == [Cause.NOT_DUE, Cause.NO_FREE_SLOT]
        blocked = await app.aexplain(child.id)
        assert [reason.cause for reason in blocked.reasons] == [Cause.BLOCKED]
        assert f"{late.id} (scheduled)" in blocked.reasons[0].text
        assert await _causes(app, foreign.id) == [Cause.QUEUE_NOT_SERVED]
        over.set()
        await second.await_end(10)
        assert await _causes(app, second.id) == [Cause.ENDED]


async def test_a_type_without_a_handler_and_a_full_queue_are_told(app: App) -> None:
    started, over = asyncio.Event(), asyncio.Event()

    @app.task("held", queue="NARROW")
    async def held() -> None:
        started.set()
        await over.wait()

    backend = (await app.clients.current()).backend
    await backend.topology.ensure_queue(Queue("NARROW", max_concurrent=1, lease=1))
    async with Worker(app, queues=["NARROW"], settings=WorkerSettings(concurrency=5)):
        await held.aenqueue()
        await started.wait()
        second = await held.aenqueue()
        other = await app.aenqueue("unknown", queue="NARROW")

        assert await _causes(app, second.id) == [Cause.MAX_CONCURRENT]
        assert await _causes(app, other.id) == [Cause.TYPE_NOT_HANDLED]
        over.set()


async def test_an_item_that_is_missing_is_told(app: App) -> None:
    handle = await app.aenqueue("quick")
    backend = (await app.clients.current()).backend
    await backend.connection.api(f"STREAM.PURGE.{backend.names.queue('DEFAULT')}")

    async def missing() -> bool:
        return await _causes(app, handle.id) == [Cause.MISSING]

    assert await _causes(app, handle.id) == [Cause.QUEUED]
    await eventually(missing)


@pytest.mark.parametrize(
    ("point", "causes"),
    [
        (Point.FLOW_STORED, [[Cause.FLOW_NOT_COMMITTED], [Cause.FLOW_NOT_COMMITTED, Cause.BLOCKED]]),
        (Point.FLOW_COMMITTED, [[Cause.BLOCKED], [Cause.BLOCKED]]),
        (Point.ROOTS_PLACED, [[Cause.NO_WORKER], [Cause.BLOCKED]]),
    ],
    ids=["building", "committed", "released"],
)
async def test_a_task_of_a_flow_is_told_how_far_its_flow_is(
    app: App, monkeypatch: pytest.MonkeyPatch, point: Point, causes: list[list[Cause]]
) -> None:
    async def do_nothing(*_: object) -> None:
        """Clean nothing up, as who died."""

    backend = (await app.clients.current()).backend
    flows = Enqueuer(backend, {}).flows
    monkeypatch.setattr(flows, "_give_up", do_nothing)
    disarm = arm(point, _die)
    try:
        with pytest.raises(ConnectionAbortedError):
            await flows.submit(flow_of(node("first"), node("second", 0)))
    finally:
        disarm()
    ((flow_id,), _) = await backend.flows.listed()
    found = await backend.flows.read(flow_id)
    assert found is not None

    assert [await _causes(app, entry.id) for entry in found.document.nodes] == causes


def _die() -> None:
    raise ConnectionAbortedError
