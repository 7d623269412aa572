"""Records that no jetq could have written, in a real worker: it neither fails, nor turns round, nor loses one."""

import asyncio
import json
from typing import Any

import pytest

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.stream_message import last_message
from jetq.model.events import DeliveryDiscarded, Event
from jetq.worker.worker import Worker
from tests.integration.backends import backend_with_queue
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS

GOOD: dict[str, Any] = {
    "type": "odd",
    "queue": "DEFAULT",
    "payload": None,
    "max_tries": 10,
    "state": "new",
    "created": "2026-11-24T03:00:00Z",
    "tries": 0,
}
WRONG: dict[str, Any] = {
    "state": "dancing",
    "tries": -1,
    "runs": "three",
    "crashes": 1.5,
    "max_tries": None,
    "payload": "no base64!",
    "created": "2026-11-24T03:00:00",
    "deadline": "tomorrow",
    "due": 1764000000,
    "queue": "a b",
    "type": 5,
    "id": "another",
    "dependencies": "A1",
    "pending": {"A1": True},
    "result": {"payload": 1},
    "run": {"worker": "all *", "attempt": 1, "nonce": "x"},
    "options": [30],
    "cancel_requested": True,
    "error": "no",
    "trace": {},
}
"""One key at a time."""


def spelled(task_id: str, **changes: Any) -> bytes:
    return json.dumps({"id": task_id} | GOOD | changes).encode()


async def put(backend: Backend, task_id: str, data: bytes) -> None:
    """Store a record and its item, as a program of another language may."""
    names = backend.names
    await backend.publisher.publish(Publication(names.record(task_id), data))
    item = b'{"kind":0,"job":"%b"}' % task_id.encode()
    await backend.publisher.publish(Publication(names.item("DEFAULT", task_id), item))


async def stored(backend: Backend, task_id: str) -> bytes:
    found = await last_message(backend.connection, backend.names.tasks, backend.names.record(task_id))
    assert found is not None
    return found.data


async def items(backend: Backend) -> int:
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    return int(info["state"]["messages"])


async def test_what_is_no_record_is_told_once_and_kept_and_keeps_nobody(app: App, told: list[Event]) -> None:
    backend, ran = await backend_with_queue(app), list[str]()

    @app.task("*")
    async def sane(ctx: Context) -> None:
        ran.append(ctx.task_id)

    bad = {f"bad-{key}": spelled(f"bad-{key}", **{key: value}) for key, value in WRONG.items()}
    for task_id, data in bad.items():
        await put(backend, task_id, data)

    async def empty() -> bool:
        return not await items(backend)

    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("sane")
        await handle.await_end(10)
        await eventually(empty)

    assert ran == [handle.id]
    discarded = [(event.reason, event.task_id) for event in told if isinstance(event, DeliveryDiscarded)]
    assert sorted(discarded) == sorted(("malformed_record", task_id) for task_id in bad)
    assert {task_id: await stored(backend, task_id) for task_id in bad} == bad


@pytest.mark.parametrize("key", ["created", "deadline"])
async def test_nine_digits_and_an_offset_are_kept_through_a_run(app: App, key: str) -> None:
    backend, time = await backend_with_queue(app), "2126-11-24T09:45:00.123456789+05:45"

    @app.task("odd")
    async def odd(ctx: Context) -> str:
        return str(ctx.created_at if key == "created" else ctx.deadline)

    await put(backend, "odd-1", spelled("odd-1", **{key: time}))
    async with Worker(app, settings=SETTINGS):
        result = await app.handle("odd-1").aresult(10)

    assert result == "2126-11-24 09:45:00.123457+05:45"
    assert json.loads(await stored(backend, "odd-1"))[key] == time


async def test_an_item_that_carries_garbage_is_what_its_record_is(app: App) -> None:
    backend, done = await backend_with_queue(app), asyncio.Event()

    @app.task("odd")
    async def odd() -> None:
        done.set()

    await put(backend, "odd-1", spelled("odd-1"))
    item = b'{"kind":0,"job":"odd-1","seq":1,"task":%b}' % spelled("odd-1", tries=-1)
    await backend.publisher.publish(Publication(backend.names.item("DEFAULT", "odd-1"), item))
    async with Worker(app, settings=SETTINGS):
        await app.handle("odd-1").await_end(10)

    assert done.is_set()
