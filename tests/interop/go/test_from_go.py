"""Go enqueues, jetq runs, Go reads."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.errors import Terminate
from jetq.execution.context import Context
from jetq.model.signing import SigningSettings
from jetq.wire.signature import Signer
from jetq.worker.worker import Worker
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go

SEED = b"a seed of Go's, thirty-two bytes"
KEPT = ("id", "type", "queue", "created", "payload", "max_tries", "deadline")
"""Keys of a record that whoever runs the task leaves as they are."""


def states_of(told: list[dict[str, Any]], task_id: str) -> list[str]:
    return [event["state"] for event in told if event.get("task_id") == task_id]


async def run(app: App, task_id: str) -> None:
    async with Worker(app, settings=WORKER):
        await app.handle(task_id).await_end(10)


async def test_a_payload_and_a_result_pass(app: App, queue: str, go: Go) -> None:
    @app.task("py:greet")
    async def greet(name: str, times: int = 1) -> dict[str, Any]:
        return {"text": f"hello <{name}> & all", "times": times}

    await prepared(app)
    task = await go.enqueue(queue, "py:greet", {"name": "Zoë \u2028 <b>", "times": 2}, deadline=60, max_tries=3)
    await run(app, task["id"])

    seen = await go.view(queue, task["id"])
    assert seen["state"] == "complete"
    assert seen["result"]["payload"] == {"text": "hello <Zoë \u2028 <b>> & all", "times": 2}
    assert (seen["tries"], seen.get("last_err")) == (1, None)
    assert {key: seen[key] for key in KEPT} == {key: task[key] for key in KEPT}


@pytest.mark.parametrize(
    ("payload", "result"),
    [(None, None), (7, 7), ("text", "text"), ([1, {"a": None}], [1, {"a": None}]), ({}, {})],
    ids=["none", "number", "text", "list", "object"],
)
async def test_any_json_is_passed_on(app: App, queue: str, go: Go, payload: Any, result: Any) -> None:
    @app.task("py:any")
    async def anything(ctx: Context) -> Any:
        return json.loads(ctx.payload) if isinstance(ctx.payload, bytes) else ctx.payload

    await prepared(app)
    task = await go.enqueue(queue, "py:any", payload)
    await run(app, task["id"])

    assert (await go.view(queue, task["id"]))["result"]["payload"] == result


async def test_a_payload_of_ajc_is_the_json_in_its_text(app: App, queue: str, go: Go) -> None:
    @app.task("py:add")
    async def add(first: int, second: int) -> int:
        return first + second

    await prepared(app)
    words = await go.ajc("tasks", "add", "py:add", '{"first":1,"second":2}', f"--queue={queue}", "--tries=2")
    task_id = words.split()[-1]
    await run(app, task_id)

    assert (await go.view(queue, task_id))["result"]["payload"] == 3


async def test_tries_and_their_errors_are_counted_as_go_counts(app: App, queue: str, go: Go) -> None:
    @app.task("py:second-time")
    async def second_time(ctx: Context) -> int:
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return ctx.attempt

    @app.task("py:never")
    async def never() -> None:
        raise ValueError("no luck in Python")

    await prepared(app)
    listener = await go.start("peer", "listen")
    await listener.until("listens")
    good = await go.enqueue(queue, "py:second-time")
    bad = await go.enqueue(queue, "py:never", max_tries=2)
    async with Worker(app, settings=WORKER):
        await app.handle(good["id"]).await_end(10)
        await app.handle(bad["id"]).await_end(10)
    await listener.stop()

    seen = await go.view(queue, good["id"])
    assert (seen["state"], seen["tries"], seen["result"]["payload"]) == ("complete", 2, 2)
    seen = await go.view(queue, bad["id"])
    assert (seen["state"], seen["tries"], "no luck in Python" in seen["last_err"]) == ("expired", 2, True)
    told = [line["event"] for line in listener.told("event")]
    states = {task["id"]: states_of(told, task["id"]) for task in (good, bad)}
    assert states[good["id"]] == ["new", "active", "retry", "active", "complete"]
    assert states[bad["id"]] == ["new", "active", "retry", "active", "expired"]


async def test_a_handler_ends_a_task_for_good(app: App, queue: str, go: Go) -> None:
    @app.task("py:end")
    async def end() -> None:
        raise Terminate("enough")

    await prepared(app)
    task = await go.enqueue(queue, "py:end")
    await run(app, task["id"])

    seen = await go.view(queue, task["id"])
    assert (seen["state"], seen["tries"], "enough" in seen["last_err"]) == ("terminated", 1, True)


async def test_a_task_past_its_deadline_is_not_run(app: App, queue: str, go: Go) -> None:
    ran: list[str] = []

    @app.task("py:late")
    async def late(ctx: Context) -> None:
        ran.append(ctx.task_id)

    await prepared(app)
    task = await go.enqueue(queue, "py:late", deadline=-1)
    await run(app, task["id"])

    seen = await go.view(queue, task["id"])
    assert (seen["state"], seen["tries"], ran) == ("expired", 0, [])


async def test_a_type_that_nobody_handles_is_tried_again(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    task = await go.enqueue(queue, "py:unknown", max_tries=2)
    await run(app, task["id"])

    seen = await go.view(queue, task["id"])
    assert (seen["state"], seen["tries"], "py:unknown" in seen["last_err"]) == ("expired", 2, True)


@pytest.mark.parametrize("deadline", [None, 60], ids=["without deadline", "with deadline"])
async def test_a_signature_of_go_is_verified(
    make_app: Callable[..., App], queue: str, go: Go, deadline: float | None
) -> None:
    app = make_app(signing=SigningSettings(verify=[Signer(SEED).public_key]))

    @app.task("py:safe")
    async def safe(number: int) -> int:
        return number

    await prepared(app)
    signed = await go.enqueue(queue, "py:safe", {"number": 1}, f"-sign={SEED.hex()}", deadline=deadline)
    unsigned = await go.enqueue(queue, "py:safe", {"number": 2})
    foreign = await go.enqueue(queue, "py:safe", {"number": 3}, f"-sign={bytes(32).hex()}")
    async with Worker(app, settings=WORKER):
        for task in (signed, unsigned, foreign):
            await app.handle(task["id"]).await_end(10)

    verified = await go.view(queue, signed["id"], f"-verify={Signer(SEED).public_key}")
    assert (verified["state"], verified["signature"]) == ("complete", signed["signature"])
    ends = [(await go.view(queue, task["id"]))["state"] for task in (unsigned, foreign)]
    assert ends == ["terminated", "terminated"]


async def test_bytes_of_another_encoder_reach_the_handler(app: App, queue: str, go: Go) -> None:
    """Go's scheduler encodes twice, as does whoever gives bytes: JSON of base64."""

    @app.task("py:twice")
    async def twice(number: int) -> int:
        return number

    await prepared(app)
    task = await go.enqueue(queue, "py:twice", base64.b64encode(b'{"number":5}').decode())
    await run(app, task["id"])

    assert (await go.view(queue, task["id"]))["result"]["payload"] == 5
