"""A queue of Go hands an item out so many times and no more; no task is lost by that."""

import pytest

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.connection import Connection
from jetq.model.record import Run
from jetq.worker.worker import Worker
from tests.integration import golayout
from tests.integration.worker.conftest import SETTINGS
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
