"""Remote handlers that die while somebody waits for them."""

import asyncio
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.jetstream.address import Address
from jetq.model.events import Event, TaskStateChanged
from jetq.model.state import State
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.acceptance.programs import Folder
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS
from tests.servers import TestServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

SERVER = """
import asyncio, pathlib
from jetq import App, Context

app = App("held")

@app.task("held")
async def held(ctx: Context) -> int:
    first = not pathlib.Path("began").exists()
    pathlib.Path("began").touch()
    if first:
        await asyncio.sleep(60)
    return ctx.tries
"""


async def test_a_call_of_a_remote_handler_that_dies_ends_at_its_limit_and_is_tried_again(
    own_server: TestServer, tmp_path: Path
) -> None:
    (tmp_path / "held.py").write_text(SERVER)
    folder = Folder(tmp_path).using(JETQ_NATS_URL=own_server.url)
    told: list[Event] = []
    app = App("asking", queues=[Queue("DEFAULT", lease=LEASE)])
    app.connect_to(Address.of(own_server.url))
    app.bus.listen(told.append)
    app.remote("held", retry=0.1)
    first, second = folder.start("serve", "held:app"), None
    try:
        await asyncio.to_thread(first.await_line, "server of remote handlers started")
        async with Worker(app, settings=SETTINGS):
            handle = await app.aenqueue("held", timeout=3.6)

            async def began() -> bool:
                return (tmp_path / "began").exists()

            await eventually(began)
            first.kill()
            second = folder.start("serve", "held:app")
            await asyncio.to_thread(second.await_line, "server of remote handlers started")
            assert await handle.aresult(timeout=30) == 2
        await app.aclose()
    finally:
        for program in (first, second):
            if program is not None:
                program.kill()
    [retried] = [event for event in told if isinstance(event, TaskStateChanged) and event.state is State.RETRY]
    assert retried.last_err == "TimeoutError: ran longer than its limit of 3.6 s"
