"""The connection of the lease thread dies alone, and tells nobody."""

import asyncio
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.address import Address
from jetq.model.events import ConnectionLost, Event, TaskTakenOver
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.matrix.strait import Strait
from tests.integration.watching import eventually
from tests.servers import TestServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]

LEASE = 8.0
SETTINGS = WorkerSettings(concurrency=2, janitor=False)
THE_LEASE_THREADS = 1
"""Its connection is the second one of a worker."""


def shop(address: Address, namespace: str, told: list[Event], go_on: Path, attempts: list[int]) -> App:
    app = App("lease", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE)])
    app.connect_to(address)
    app.bus.listen(told.append)

    @app.task("hold")
    async def hold(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        while not go_on.exists():  # noqa: ASYNC110, ASYNC240 - nothing tells of it
            await asyncio.sleep(0.05)

    return app


async def test_a_dead_lease_connection_is_replaced_before_a_lease_ends(
    own_server: TestServer, namespace: str, tmp_path: Path
) -> None:
    told: list[Event] = []
    attempts: list[int] = []
    go_on = tmp_path / "go"

    async def runs() -> bool:
        return bool(attempts)

    async def is_noticed() -> bool:
        return any(isinstance(event, ConnectionLost) and event.connection == "lease" for event in told)

    with Strait(own_server.port) as strait:
        far = Address.of(f"nats://{own_server.user_part}@127.0.0.1:{strait.port}")
        app = shop(far, namespace, told, go_on, attempts)
        async with Worker(app, settings=SETTINGS):
            handle = await app.aenqueue("hold")
            await eventually(runs)
            near = shop(own_server.address, namespace, told, go_on, attempts)
            async with Worker(near, settings=SETTINGS):
                strait.strand(THE_LEASE_THREADS)
                began = asyncio.get_running_loop().time()
                await eventually(is_noticed)
                assert asyncio.get_running_loop().time() - began < LEASE * 2 / 3
                await asyncio.sleep(began + LEASE + 1.0 - asyncio.get_running_loop().time())
                go_on.touch()
                record = await handle.await_end(10)

    assert (record.state, record.crashes, attempts) == ("complete", 0, [1])
    assert not any(isinstance(event, TaskTakenOver) for event in told)
