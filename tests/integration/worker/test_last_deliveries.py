"""A queue of Go hands an item out so many times and no more; no task is lost by that."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.connection import Connection
from jetq.model.record import Run
from jetq.settings import WorkerSettings
from jetq.wire.liveness import Inherit, Inherited
from jetq.worker.worker import Worker
from tests.integration import golayout
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS
from tests.integration.worker.supervisors import Overseer
from tests.integration.worker.test_inheritance import DEAD, deliver
from tests.integration.worker.test_ownership import claim_by_hand


async def test_a_task_of_a_dead_worker_outlives_the_last_delivery_of_its_item(
    app: App, connection: Connection, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its item is left again and again, until it is certain that the other worker is dead."""
    monkeypatch.setattr("jetq.worker.ownership.SETTLE_DOWN", 2.2)
    limits = {"max_deliver": 2, "ack_wait": golayout.SECOND}
    await golayout.make_store(connection, namespace)
    await golayout.make_queue(connection, namespace, "DEFAULT", consumer=limits)

    @app.task("orphan", max_tries=5)
    async def orphan(ctx: Context) -> int:
        return ctx.attempt

    handle = await orphan.aenqueue()
    await claim_by_hand(app, handle.id, Run("DEAD", 1, "n"))
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(15) == 2
    record = await handle.arecord()
    assert (record.tries, record.crashes) == (2, 1)


async def test_a_task_that_is_interrupted_in_its_only_delivery_runs_elsewhere(
    make_app: Callable[[], App], connection: Connection, namespace: str
) -> None:
    await golayout.make_store(connection, namespace)
    await golayout.make_queue(connection, namespace, "DEFAULT", consumer={"max_deliver": 1})
    app, begun = make_app(), asyncio.Event()

    @app.task("long")
    async def long(ctx: Context) -> int:
        begun.set()
        if ctx.task.runs == 1:
            await asyncio.sleep(60)
        return ctx.task.runs

    handle = await long.aenqueue()
    async with Worker(app, settings=WorkerSettings(shutdown_timeout=0.1)):
        await asyncio.wait_for(begun.wait(), 10)
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(5) == 2
    assert (await handle.arecord()).tries == 1


async def test_a_task_whose_worker_died_before_it_was_claimed_runs_elsewhere(
    app: App, connection: Connection, namespace: str
) -> None:
    await golayout.make_store(connection, namespace)
    await golayout.make_queue(connection, namespace, "DEFAULT", consumer={"max_deliver": 1})

    @app.task("once")
    async def once() -> int:
        return 1

    handle = await once.aenqueue()
    noted = await deliver(app, handle.id)
    with Overseer() as overseer:
        async with Worker(app, settings=SETTINGS, supervision=overseer.supervision):
            overseer.say(Inherit(DEAD.worker, "killed", [noted]))
            await overseer.hear(Inherited(DEAD.worker))
            assert await handle.aresult(5) == 1


async def test_an_item_that_comes_while_its_worker_stops_runs_elsewhere(
    app: App, connection: Connection, namespace: str
) -> None:
    await golayout.make_store(connection, namespace)
    await golayout.make_queue(connection, namespace, "DEFAULT", consumer={"max_deliver": 1})

    @app.task("once")
    async def once() -> int:
        return 1

    async def consumer() -> dict[str, Any]:
        return await connection.api(f"CONSUMER.INFO.{namespace}_Q_DEFAULT.WORKERS")

    async def is_asked() -> bool:
        return bool((await consumer())["num_waiting"])

    async def was_delivered() -> bool:
        return bool((await consumer())["delivered"]["consumer_seq"])

    async with Worker(app, settings=SETTINGS) as worker:
        await eventually(is_asked)
        worker._fetcher._quiet = True  # pyright: ignore[reportPrivateUsage] - as when it was already on its way
        handle = await once.aenqueue()
        await eventually(was_delivered)
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(5) == 1
