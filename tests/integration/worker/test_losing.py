"""A worker that lost a run hears of it, and its handler stops at once."""

import asyncio
import threading
import time
from datetime import UTC, datetime
from typing import Final

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.errors import LeaseLostError
from jetq.jetstream.server import EmbeddedServer
from jetq.model.events import Event, RunLost
from jetq.model.record import Run
from jetq.model.supervision import LoopBlocked
from jetq.model.transition import claimed
from jetq.settings import Queue
from jetq.wire.control import ControlRequest, decode_control_request, encode_control
from jetq.worker.worker import Worker
from tests.integration.backends import read
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS


@pytest.fixture
def patient(server: EmbeddedServer, namespace: str, told: list[Event]) -> App:
    """Give an application whose leases outlast every test."""
    app = App("test", namespace=namespace, queues=[Queue("DEFAULT", lease=60)])
    app.connect_to(server.address)
    app.bus.listen(told.append)
    return app


async def take_over(app: App, task_id: str) -> Run:
    """Take a task over as another worker does that believes its own is dead, and return the run that is lost."""
    backend = (await app.clients.current()).backend
    stored = await read(app, task_id)
    assert stored.record.run is not None
    taken = replace(stored.record, run=Run("01OTHER", 2, "ffff0000"), tried=datetime.now(UTC))
    await backend.tasks.write(stored.document.updated(taken), stored.sequence)
    return stored.record.run


async def tell(app: App, task_id: str, run: Run) -> None:
    backend = (await app.clients.current()).backend
    request = ControlRequest("lost", task_id, run.attempt, run.nonce)
    backend.connection.send(backend.names.control(run.worker), encode_control(request))


async def test_an_async_handler_is_cancelled_with_the_reason(patient: App, told: list[Event]) -> None:
    begun: asyncio.Queue[None] = asyncio.Queue()
    ends: asyncio.Queue[BaseException] = asyncio.Queue()

    @patient.task("wait")
    async def wait() -> None:
        begun.put_nowait(None)
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError as error:
            ends.put_nowait(error)
            raise

    async with Worker(patient, settings=SETTINGS):
        handle = await patient.aenqueue("wait")
        await begun.get()
        await tell(patient, handle.id, await take_over(patient, handle.id))
        error = await asyncio.wait_for(ends.get(), 5)
        after = await read(patient, handle.id)

        async def is_told() -> bool:
            return any(isinstance(event, RunLost) for event in told)

        await eventually(is_told)
    await patient.aclose()

    assert [type(reason) for reason in error.args] == [LeaseLostError]
    assert error.args[0].task_id == handle.id
    assert after.record.run == Run("01OTHER", 2, "ffff0000")


async def test_a_sync_handler_is_stopped(patient: App) -> None:
    begun, ended = threading.Event(), threading.Event()

    @patient.task("wait")
    def wait() -> None:
        begun.set()
        try:
            while True:
                time.sleep(0.01)
        finally:
            ended.set()

    async with Worker(patient, settings=SETTINGS):
        handle = await patient.aenqueue("wait")
        await asyncio.to_thread(begun.wait, 5)
        await tell(patient, handle.id, await take_over(patient, handle.id))
        assert await asyncio.to_thread(ended.wait, 5)
    await patient.aclose()


async def test_a_word_about_another_run_stops_nothing(patient: App) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @patient.task("wait")
    async def wait() -> str:
        begun.set()
        await go_on.wait()
        return "done"

    async with Worker(patient, settings=SETTINGS):
        handle = await patient.aenqueue("wait")
        await begun.wait()
        run = (await read(patient, handle.id)).record.run
        assert run is not None
        await tell(patient, handle.id, replace(run, attempt=7))
        await tell(patient, handle.id, replace(run, nonce="00000000"))
        await tell(patient, "another-task", run)
        await asyncio.sleep(0.1)
        go_on.set()
        assert await handle.aresult(5) == "done"
    await patient.aclose()


async def test_whoever_takes_a_run_over_tells_its_worker(app: App) -> None:
    @app.task("orphan")
    async def orphan() -> None: ...

    dead: Final = Run("01DEAD", 1, "abcd0123")
    requests: list[ControlRequest | None] = []
    handle = await app.aenqueue("orphan")
    backend = (await app.clients.current()).backend
    stored = await read(app, handle.id)
    active = claimed(stored.record, dead, datetime.now(UTC))
    await backend.tasks.write(stored.document.updated(active), stored.sequence)
    await backend.connection.subscribe(
        backend.names.control(dead.worker), lambda message: requests.append(decode_control_request(message.data))
    )

    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(25) is None

        async def is_told() -> bool:
            return ControlRequest("lost", handle.id, dead.attempt, dead.nonce) in requests

        await eventually(is_told)


async def test_a_handler_that_blocks_the_loop_is_named(app: App, told: list[Event]) -> None:
    @app.task("block")
    async def hold_the_loop() -> None:
        time.sleep(2.8 * LEASE)  # noqa: ASYNC251 - the point

    async with Worker(app, settings=SETTINGS) as worker:
        handle = await app.aenqueue("block")
        await handle.aresult(20)

    [blocked] = [event for event in told if isinstance(event, LoopBlocked)]
    assert (blocked.worker, blocked.task_id, blocked.task_type) == (worker.id, handle.id, "block")
    assert blocked.seconds >= 1.0
    assert "in hold_the_loop" in blocked.stack
    assert "time.sleep(2.8 * LEASE)" in blocked.stack


async def test_a_busy_loop_that_goes_on_is_not_blocked(app: App, told: list[Event]) -> None:
    @app.task("busy")
    async def busy() -> None:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            time.sleep(0.05)  # noqa: ASYNC251 - the point
            await asyncio.sleep(0)

    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("busy")
        await handle.aresult(20)

    assert [event for event in told if isinstance(event, LoopBlocked)] == []
