"""A worker that dies while a retry moves to another queue: the task runs there, once, and nothing is left behind."""

import asyncio
import subprocess
import sys

import pytest

from jetq.app.application import App
from jetq.observe.fault_points import Point
from jetq.worker.worker import Worker
from tests.faults.conftest import ROOT
from tests.faults.moving_program import DIED, make_app
from tests.integration.watching import eventually
from tests.servers import TestServer


async def are_empty(app: App) -> bool:
    backend = (await app.clients.current()).backend
    infos = [await backend.connection.api(f"STREAM.INFO.{backend.names.queue(name)}") for name in app.queues]
    return not any(info["state"]["messages"] for info in infos)


@pytest.mark.parametrize("point", [Point.HANDLER_ENDED, Point.END_STORED, Point.SCHEDULE_STORED, Point.ITEM_REMOVED])
async def test_a_task_whose_worker_dies_while_it_moves_arrives(
    own_server: TestServer, namespace: str, point: Point
) -> None:
    app = make_app(own_server.url, namespace)
    handle = await app.aenqueue("move")
    command = [sys.executable, "-m", "tests.faults.moving_program", own_server.url, namespace, point.name]
    assert await asyncio.to_thread(subprocess.call, command, cwd=ROOT) == DIED

    async with Worker(app):
        died_early = point is Point.HANDLER_ENDED  # the record says that it runs: that is a crash, and a try
        assert await handle.aresult(30) == (["BULK", 3, 3] if died_early else ["BULK", 2, 2])
        await eventually(lambda: are_empty(app))
    await app.aclose()
