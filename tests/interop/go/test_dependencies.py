"""Tasks that wait for tasks of the other side."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.composition import chain, group
from jetq.errors import TaskUnreachableError
from jetq.execution.context import Context
from jetq.model.state import State
from jetq.worker.worker import Worker
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go

LOOKS = replace(WORKER, janitor=True)


async def number(value: int = 7) -> int:
    return value


async def end() -> None:
    raise ValueError("no luck in Python")


async def parents(ctx: Context) -> dict[str, Any]:
    return ctx.dependency_results


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """Give an application with parents and children."""
    app = make_app()
    app.task("py:number")(number)
    app.task("py:end", max_tries=1)(end)
    app.task("py:parents")(parents)
    return app


async def test_a_child_of_jetq_gets_what_a_live_go_worker_returns(app: App, queue: str, go_queue: str, go: Go) -> None:
    backend = await prepared(app)
    worker = await go.worker(go_queue)
    parent = await app.aenqueue("go:wait", queue=go_queue)
    before = await app.aenqueue("py:parents", depends_on=[parent], load_dependencies=True)
    await worker.until("waits", parent.id)
    amid = await app.aenqueue("py:parents", depends_on=[parent], load_dependencies=True)

    async with Worker(app, queues=[queue], settings=LOOKS):
        backend.connection.send(f"interop.{parent.id}", b"told")
        assert await before.aresult(10) == {parent.id: "told"}
        assert await amid.aresult(10) == {parent.id: "told"}


async def test_a_child_of_jetq_ends_when_go_ends_its_parent(app: App, queue: str, go_queue: str, go: Go) -> None:
    await prepared(app)
    parent = await app.aenqueue("go:terminate", queue=go_queue)
    child = await app.aenqueue("py:parents", depends_on=[parent])
    worker = await go.worker(go_queue)
    await parent.await_end(10)
    await worker.stop()

    async with Worker(app, queues=[queue], settings=LOOKS):
        with pytest.raises(TaskUnreachableError):
            await child.aresult(10)


async def test_a_child_that_go_runs_finds_the_results_of_python_parents(
    app: App, queue: str, go_queue: str, go: Go
) -> None:
    await prepared(app)
    parent = await app.aenqueue("py:number")
    child = await app.aenqueue("go:parents", queue=go_queue, depends_on=[parent], load_dependencies=True)
    async with Worker(app, queues=[queue], settings=WORKER):
        await parent.aresult(10)
    await go.worker(go_queue)

    found = await child.aresult(10)
    assert found[parent.id]["payload"] == 7


async def test_a_child_that_go_enqueued_waits_for_its_parent_without_polling(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    parent = await go.enqueue(queue, "py:number", {"value": 8})
    child = await go.enqueue(queue, "py:parents", depends=[parent["id"]], load=True)
    assert (await go.view(queue, child["id"]))["state"] == "blocked"

    async with Worker(app, settings=replace(WORKER, concurrency=1)):
        await app.handle(child["id"]).await_end(10)
    seen = await go.view(queue, child["id"])
    assert (seen["state"], seen["result"]["payload"]) == ("complete", {parent["id"]: 8})
    assert seen["dependency_results"][parent["id"]]["payload"] == 8


async def test_a_child_that_go_enqueued_ends_with_its_parent(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    parent = await go.enqueue(queue, "py:end", max_tries=1)
    child = await go.enqueue(queue, "py:parents", depends=[parent["id"]])
    orphan = await go.enqueue(queue, "py:parents", depends=["nobody"])

    async with Worker(app, queues=[queue], settings=WORKER):
        for task in (child, orphan):
            await app.handle(task["id"]).await_end(10)
    for task in (child, orphan):
        assert (await go.view(queue, task["id"]))["state"] == "unreachable"


async def test_a_go_worker_releases_its_child_of_a_python_parent(app: App, queue: str, go_queue: str, go: Go) -> None:
    await prepared(app)
    parent = await go.enqueue(queue, "py:number", {"value": 9})
    bad = await go.enqueue(queue, "py:end", max_tries=1)
    async with Worker(app, queues=[queue], settings=WORKER):
        for task in (parent, bad):
            await app.handle(task["id"]).await_end(10)
    child = await go.enqueue(go_queue, "go:parents", depends=[parent["id"]], load=True)
    lost = await go.enqueue(go_queue, "go:parents", depends=[bad["id"]])
    cancelled = await app.aenqueue("py:number", delay=600)
    await app.acancel(cancelled.id)
    dropped = await go.enqueue(go_queue, "go:parents", depends=[cancelled.id])

    await go.worker(go_queue)
    assert (await app.handle(child["id"]).aresult(10))[parent["id"]]["payload"] == 9
    for task in (lost, dropped):  # what jetq cancels is a failure to Go as well
        record = await app.handle(task["id"]).await_end(10)
        assert record.state is State.UNREACHABLE


async def test_a_flow_passes_through_go(app: App, queue: str, go_queue: str, go: Go) -> None:
    await prepared(app)
    first, second = app.task("py:first")(number), app.task("py:second")(number)
    flow = chain(
        first.s(value=3),
        group(app.s("go:echo", {"kind": "go"}, queue=go_queue), second.s()),
        app.s("go:parents", queue=go_queue, load_dependencies=True),
    )
    worker = await go.worker(go_queue)
    async with Worker(app, queues=[queue], settings=LOOKS):
        handle = await flow.aenqueue()
        found = await handle.aresult(10)
    assert [result["payload"] for result in found.values()] == [{"kind": "go"}, 3]
    assert len(worker.told("runs")) == 2
