"""A queue that another program removes and makes anew under a worker."""

import asyncio

import pytest

from jetq.app.application import App
from jetq.model.retry import Fixed
from jetq.worker.worker import Worker
from tests.integration import golayout
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS


@pytest.mark.parametrize("pause", [0.0, 0.3], ids=["at once", "a moment later"])
async def test_a_queue_that_go_makes_anew_brings_delayed_tasks_and_has_its_own_limits(app: App, pause: float) -> None:
    @app.task("one")
    async def one() -> int:
        return 1

    @app.task("fail", retry=Fixed(0.01))
    async def fail() -> None:
        raise ValueError("no luck")

    backend = (await app.clients.current()).backend
    connection, names = backend.connection, backend.names
    async with Worker(app, settings=SETTINGS):
        await (await one.aenqueue()).aresult(10)
        await connection.api(f"STREAM.DELETE.{names.queue('DEFAULT')}")
        await asyncio.sleep(pause)
        await golayout.make_queue(connection, names.namespace, "DEFAULT", consumer={"max_deliver": 2})

        assert await (await one.using(delay=0.05).aenqueue()).aresult(10) == 1

        async def counts_its_limit() -> bool:
            return (await (await fail.aenqueue()).await_end(10)).tries == 2

        await eventually(counts_its_limit)
