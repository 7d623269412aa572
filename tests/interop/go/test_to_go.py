"""jetq enqueues, Go runs, jetq reads."""

import asyncio
import base64
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from jetq.app.application import App
from jetq.errors import ResultTimeoutError, TaskExpiredError, TaskTerminatedError
from jetq.model.retry import Fixed
from jetq.model.signing import SigningSettings
from jetq.model.state import State
from jetq.wire.events import TaskStateEvent
from jetq.wire.signature import Signer
from tests.interop.go.conftest import prepared
from tests.interop.go.peers import Go

SEED = b"a seed of ours, thirty-two bytes"

VALUES: list[Any] = [7, 1.5, "text <&> \u2028", [1, {"a": None}], {"b": {"c": [True]}}]


async def test_any_json_comes_back(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    await go.worker(queue)
    handles = [await app.aenqueue("go:echo", value) for value in VALUES]

    assert [await handle.aresult(10) for handle in handles] == VALUES
    record = await handles[0].arecord()
    assert (record.state, record.tries, record.last_err) == (State.COMPLETE, 1, "")


async def test_the_arguments_of_a_declared_task_are_an_object(app: App, queue: str, go: Go) -> None:
    @app.task("go:echo")
    async def echo(first: int, second: str = "") -> dict[str, Any]: ...  # Go has the body

    await prepared(app)
    await go.worker(queue)
    handle = await echo.aenqueue(1, second="two")

    assert await handle.aresult(10) == {"first": 1, "second": "two"}


async def test_options_are_what_go_reads(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    handle = await app.aenqueue(
        "go:echo",
        {"a": 1},
        deadline=60,
        max_tries=3,
        timeout=5,
        retry=Fixed(1),
        retention=60,
        unique="the one",
        id="mine-1",
    )

    seen = await go.view(queue, "mine-1")
    record = await handle.arecord()
    assert (seen["type"], seen["queue"], seen["state"], seen["max_tries"]) == ("go:echo", queue, "new", 3)
    assert base64.b64decode(seen["payload"]) == b'{"a":1}'
    assert record.deadline is not None
    assert datetime.fromisoformat(seen["deadline"]) == record.deadline


async def test_states_and_tries_of_go_are_read(app: App, queue: str, go: Go) -> None:
    told: list[TaskStateEvent] = []
    await prepared(app)

    async def listen() -> None:
        async for event in app.events(queue=queue):
            if isinstance(event, TaskStateEvent):
                told.append(event)
                if event.is_final:
                    return

    await go.worker(queue)
    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    handle = await app.aenqueue("go:fail-once", 5)
    assert await handle.aresult(10) == 5
    await listening

    record = await handle.arecord()
    assert (record.tries, record.run, record.last_err) == (2, None, "")
    seen = [(event.state.value, event.tries, event.last_error) for event in told if event.task_id == handle.id]
    assert seen == [
        ("new", 0, ""), ("active", 0, ""), ("retry", 1, "not yet"), ("active", 1, ""), ("complete", 2, ""),
    ]  # fmt: skip


async def test_what_go_terminates_raises_here(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    await go.worker(queue)
    handle = await app.aenqueue("go:terminate")

    with pytest.raises(TaskTerminatedError, match="not in a thousand years"):
        await handle.aresult(10)
    assert (await handle.arecord()).end == ""


async def test_go_keeps_to_the_tries_that_are_given(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    worker = await go.worker(queue)
    handle = await app.aenqueue("go:fail", max_tries=2)

    with pytest.raises(TaskExpiredError, match="no luck in Go"):
        await handle.aresult(10)
    assert len([run for run in worker.told("runs") if run["runs"] == handle.id]) == 2


async def test_go_does_not_start_what_is_past_its_deadline(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    handle = await app.aenqueue("go:echo", 1, deadline=0.05)
    await asyncio.sleep(0.06)
    worker = await go.worker(queue)

    with pytest.raises(TaskExpiredError):
        await handle.aresult(10)
    assert worker.told("runs") == []


async def test_go_verifies_our_signature_and_refuses_what_has_none(
    make_app: Callable[..., App], queue: str, go: Go
) -> None:
    signs, plain = make_app(signing=SigningSettings(key=SEED.hex())), make_app()
    await prepared(signs)
    key = Signer(SEED).public_key
    worker = await go.worker(queue, f"-verify={key}")
    unsigned = await plain.aenqueue("go:echo", 1)
    signed = await signs.aenqueue("go:echo", {"text": "<&>"}, deadline=60)
    unlimited = await signs.aenqueue("go:echo", max_tries=0, payload=3)

    assert await signed.aresult(10) == {"text": "<&>"}
    assert await unlimited.aresult(10) == 3
    await worker.until("warns")
    assert unsigned.id in worker.told("warns")[0]["warns"]
    with pytest.raises(ResultTimeoutError):
        await unsigned.aresult(0.1)
    assert (await go.view(queue, unsigned.id, f"-verify={key}"))["error"] == "task is not signed"


async def test_many_go_to_go_as_one(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    await go.worker(queue)
    handles = await app.aenqueue_many([("go:echo", number) for number in range(100)])

    assert [await handle.aresult(10) for handle in handles] == list(range(100))
