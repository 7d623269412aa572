"""What the server refuses or leaves unanswered costs a worker neither its slots nor a task its result."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from jetq.app.application import App
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.task_store import Stored
from jetq.model.events import AttemptFailed, Event, RunLost
from jetq.model.record import TaskRecord
from jetq.model.retry import Fixed
from jetq.model.state import State
from jetq.settings import WorkerSettings
from jetq.wire.codec import new_document
from jetq.wire.names import WORKERS, Names
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.integration.worker.conftest import LEASE, SETTINGS


async def _limit_messages(connection: Connection, stream: str, size: int) -> None:
    config: dict[str, Any] = (await connection.api(f"STREAM.INFO.{stream}"))["config"]
    await connection.api(f"STREAM.UPDATE.{stream}", config | {"max_msg_size": size})


async def test_a_result_that_the_store_refuses_for_a_while_is_written_later(
    app: App, connection: Connection, namespace: str, told: list[Event]
) -> None:
    stream = Names(namespace).tasks

    @app.task("done")
    async def done() -> int:
        await _limit_messages(connection, stream, 10)
        return 5

    async def refused() -> bool:
        return any(isinstance(event, AttemptFailed) for event in told)

    async with Worker(app, settings=SETTINGS):
        handle = await done.aenqueue()
        await eventually(refused)
        await asyncio.sleep(3 * LEASE)
        await _limit_messages(connection, stream, -1)
        result = await handle.aresult(10)
        record = await handle.arecord()

    assert result == 5
    assert (record.runs, record.crashes) == (1, 0)


async def test_a_schedule_that_nobody_takes_does_not_keep_the_slot(
    server: EmbeddedServer, connection: Connection, namespace: str
) -> None:
    app = App("test", namespace=namespace)
    app.connect_to(server.address)

    @app.task("bad", retry=Fixed(60))
    async def bad() -> None:
        raise ValueError("no")

    @app.task("good")
    async def good() -> int:
        return 1

    async with Worker(app, settings=WorkerSettings(concurrency=1, shutdown_timeout=1.0)):
        failing = await bad.aenqueue()
        await connection.api(f"STREAM.DELETE.{Names(namespace).schedules}")
        await eventually(lambda: _is(failing.astate(), "retry"))

        assert await (await good.aenqueue()).aresult(20) == 1


async def _is(asked: Any, wanted: str) -> bool:
    return bool(await asked == wanted)


async def test_a_run_that_only_seems_lost_writes_its_result(app: App, told: list[Event]) -> None:
    worker = Worker(app, settings=SETTINGS)

    @app.task("done")
    async def done() -> int:
        for entry in worker._table.entries():
            entry.lost = True
        return 5

    async with worker:
        result = await (await done.aenqueue()).aresult(10)

    assert result == 5
    assert not any(isinstance(event, RunLost) for event in told)


async def test_leases_are_kept_while_records_cannot_be_read(
    app: App, connection: Connection, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def silent(*_arguments: object) -> Stored | None:
        loop.call_soon_threadsafe(asked.set)
        await asyncio.sleep(60)
        return None

    monkeypatch.setattr("jetq.worker.lease_keeper.read_record", silent)
    over = asyncio.Event()

    @app.task("long")
    async def long() -> None:
        await over.wait()

    async with Worker(app, settings=SETTINGS):
        handle = await long.aenqueue()
        await asked.wait()
        await asyncio.sleep(2 * LEASE)
        info = await connection.api(f"CONSUMER.INFO.{Names(namespace).queue('DEFAULT')}.{WORKERS}")
        over.set()
        await handle.await_end(10)

    assert info["num_ack_pending"] == 1
    assert info["num_redelivered"] == 0


async def test_a_store_that_lets_no_record_expire_any_more_still_takes_ends(backend: Backend) -> None:
    """Somebody made it anew, as Go does; the worker had learnt something else when it started."""
    names, connection = backend.names, backend.connection
    config = (await connection.api(f"STREAM.INFO.{names.tasks}"))["config"]
    await connection.api(f"STREAM.DELETE.{names.tasks}")
    await connection.api(f"STREAM.CREATE.{names.tasks}", {**config, "allow_msg_ttl": False})
    record = TaskRecord(id="one", type="x", queue="DEFAULT", state=State.NEW, created=datetime.now(UTC))

    await backend.tasks.write(new_document(record), 0, ttl=60.0)

    assert await backend.tasks.read("one") is not None
