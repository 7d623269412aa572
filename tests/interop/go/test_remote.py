"""
Workers of one side whose handlers are on the other.

This is asyncjobs v0.3.0. At its newer commit 1424f3a a worker gives handlers a context without a deadline, so that each
of its own calls of a remote handler fails; the handlers themselves are the same.
"""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from jetq.app.application import App
from jetq.errors import TaskTerminatedError, Terminate
from jetq.execution.context import Context
from jetq.model.state import State
from jetq.worker.responder import Responder
from jetq.worker.worker import Worker
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go


def answering(app: App) -> list[tuple[str, int]]:
    """Give an application handlers, and the ids and tries of the tasks that they ran."""
    ran: list[tuple[str, int]] = []

    @app.task("py:add")
    async def add(ctx: Context, first: int, second: int) -> int:
        ran.append((ctx.task_id, ctx.attempt))
        return first + second

    @app.task("py:fail")
    async def fail() -> None:
        raise ValueError("no luck in Python")

    @app.task("py:end")
    async def end() -> None:
        raise Terminate("enough")

    return ran


@pytest.mark.parametrize("route", ["py:add", "py:*", "*"], ids=["type", "prefix", "catch-all"])
async def test_a_task_of_go_calls_a_handler_in_python(app: App, queue: str, go: Go, route: str) -> None:
    ran = answering(app)
    await prepared(app)
    worker = await go.worker(queue, f"-remote={route}")
    async with Responder(app, settings=WORKER):
        task = await go.enqueue(queue, "py:add", {"first": 1, "second": 2})
        record = await app.handle(task["id"]).await_end(10)

    assert (record.state, [task_id for task_id, _ in ran]) == (State.COMPLETE, [task["id"]])
    assert record.result is not None
    assert base64.b64decode(json.loads(bytes(record.result.payload))) == b"3"  # Go stores the bytes of an answer
    assert len(worker.told("runs")) == 1


async def test_errors_and_ends_of_a_python_handler_are_those_of_the_task(app: App, queue: str, go: Go) -> None:
    answering(app)
    await prepared(app)
    await go.worker(queue, "-remote=py:*")
    async with Responder(app, settings=WORKER):
        failing = await go.enqueue(queue, "py:fail", max_tries=2)
        ended = await go.enqueue(queue, "py:end")
        unknown = await go.enqueue(queue, "py:unknown", max_tries=1)
        records = [await app.handle(task["id"]).await_end(10) for task in (failing, ended, unknown)]

    assert [record.state for record in records] == [State.EXPIRED, State.TERMINATED, State.EXPIRED]
    assert [record.tries for record in records] == [2, 1, 1]
    assert "no luck in Python" in records[0].last_err
    assert "enough" in records[1].last_err
    assert "py:unknown" in records[2].last_err


async def test_ajc_processes_by_a_handler_in_python(app: App, queue: str, go: Go) -> None:
    ran = answering(app)
    await prepared(app)
    await go.start("ajc", "tasks", "process", "py:add", queue, "2", "--remote")
    async with Responder(app, settings=WORKER):
        handle = await app.aenqueue("py:add", {"first": 1, "second": 2})
        await handle.await_end(10)
    assert [task_id for task_id, _ in ran] == [handle.id]


@pytest.mark.parametrize(
    ("pattern", "route"), [("go:answer", "go:answer"), ("go:*", "go:"), ("*", "")], ids=["type", "prefix", "catch-all"]
)
async def test_a_task_of_jetq_calls_a_handler_in_go(
    make_app: Callable[..., App], queue: str, go: Go, pattern: str, route: str
) -> None:
    app = make_app()
    app.remote(pattern)
    await prepared(app)
    answers = await go.start("peer", "answer", route)
    await answers.until("answers")
    async with Worker(app, queues=[queue], settings=WORKER):
        handle = await app.aenqueue("go:answer", {"number": 5}, deadline=60)
        assert await handle.aresult(10) == {"number": 5}

    [asked] = answers.told("asked")
    assert (asked["asked"]["id"], asked["asked"]["state"], asked["asked"]["tries"]) == (handle.id, "active", 1)
    assert asked["headers"]["AJ-Content-Type"] == ["application/x-asyncjobs-task+json"]
    [deadline] = asked["headers"]["AJ-Handler-Deadline"]
    assert 50 < (datetime.fromisoformat(deadline) - datetime.now(UTC)).total_seconds() <= 58


async def test_errors_and_ends_of_a_go_handler_are_those_of_the_task(app: App, queue: str, go: Go) -> None:
    app.remote("go:answer")
    await prepared(app)
    answers = await go.start("peer", "answer", "go:answer")
    await answers.until("answers")
    async with Worker(app, queues=[queue], settings=WORKER):
        failing = await app.aenqueue("go:answer", {"AJ-Error": "no luck in Go"}, max_tries=2)
        ended = await app.aenqueue("go:answer", {"AJ-Terminate": "enough"})
        record = await failing.await_end(10)
        with pytest.raises(TaskTerminatedError, match="enough"):
            await ended.aresult(10)

    assert (record.state, record.tries, record.last_err) == (State.EXPIRED, 2, "no luck in Go")
    tries: list[Any] = [line["asked"]["tries"] for line in answers.told("asked") if line["asked"]["id"] == failing.id]
    assert tries == [1, 2]


async def test_a_handler_that_nobody_serves_is_an_error_on_both_sides(
    app: App, queue: str, go_queue: str, go: Go
) -> None:
    app.remote("gone:ours")
    await prepared(app)
    await go.worker(go_queue, "-remote=gone:theirs")
    async with Worker(app, queues=[queue], settings=WORKER):
        ours = await app.aenqueue("gone:ours", max_tries=1)
        theirs = await app.aenqueue("gone:theirs", queue=go_queue, max_tries=1)
        records = await asyncio.gather(ours.await_end(10), theirs.await_end(10))
    assert [record.state for record in records] == [State.EXPIRED, State.EXPIRED]
    assert "gone:ours" in records[0].last_err
    assert "no responders" in records[1].last_err
