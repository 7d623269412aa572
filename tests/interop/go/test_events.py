"""Events of each side, as the other reads them; and records that either side discards."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.errors import ResultGoneError
from jetq.execution.context import Context
from jetq.wire.events import TaskProgressEvent, TaskStateEvent
from jetq.worker.worker import Worker
from tests.integration.watching import eventually
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import Go


async def test_go_reads_the_events_of_jetq_and_passes_over_its_progress(app: App, queue: str, go: Go) -> None:
    @app.task("py:steps")
    async def steps(ctx: Context) -> None:
        ctx.progress(1, 2, "half")

    await prepared(app)
    listener, watch = await asyncio.gather(go.start("peer", "listen"), go.start("ajc", "tasks", "watch"))
    await listener.until("listens")
    async with app.events(queue=queue, progress=True) as ours, Worker(app, settings=WORKER):
        await eventually(lambda: is_watched(app, watch))
        handle = await app.aenqueue("py:steps", delay=0.05)
        await handle.aresult(10)
        progress = [event async for event in until_final(aiter(ours)) if isinstance(event, TaskProgressEvent)]
    assert [event.text for event in progress] == ["half"]

    told = await listener.until_count("event", lambda event: event.get("task_id") == handle.id, 3)
    assert [(event["state"], event["tries"], event["queue"], event["task_type"]) for event in told] == [
        ("new", 0, queue, "py:steps"), ("active", 1, queue, "py:steps"), ("complete", 1, queue, "py:steps"),
    ]  # fmt: skip
    assert all(event["task_age"] > 0 for event in told)
    assert [line for line in listener.told("error") if "jetq.v1.task_progress" in line["error"]]
    await watch.until_line(rf"{handle.id}: queue: {queue} type: py:steps tries: 1 state: complete$")
    await watch.until_line("Unknown event type jetq.v1.task_progress")


async def is_watched(app: App, watch: Any) -> bool:
    """``ajc tasks watch`` says nothing when it begins: an event of nothing shows it."""
    backend = (await app.clients.current()).backend
    backend.connection.send(f"{backend.names.namespace}.E.nothing", b"{}")
    return any("Unknown event type" in line for line in watch.lines)


async def until_final(events: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for event in events:
        yield event
        if isinstance(event, TaskStateEvent) and event.is_final:
            return


async def test_jetq_reads_the_events_of_go(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    await go.worker(queue)
    async with app.events(queue=queue) as events:
        task = await go.enqueue(queue, "go:fail", max_tries=1)
        told = [event async for event in until_final(aiter(events))]

    assert {event.task_id for event in told} == {task["id"]}
    assert [(event.state.value, event.tries) for event in told] == [
        ("new", 0), ("active", 0), ("retry", 1), ("expired", 1),
    ]  # fmt: skip
    assert told[2].last_error == "no luck in Go"


async def test_what_go_discards_is_known_to_have_ended(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    await go.worker(queue, "-discard=completed")
    handle = await app.aenqueue("go:wait")
    waiting = asyncio.create_task(handle.aresult(10))
    worker = go.started[-1]
    await worker.until("waits", handle.id)
    (await app.clients.current()).backend.connection.send(f"interop.{handle.id}", b"told")

    with pytest.raises(ResultGoneError, match="complete"):
        await waiting
    assert (await go.view(queue, handle.id))["error"] == "task not found"


async def test_what_jetq_discards_is_gone_for_go_and_its_event_is_told(
    make_app: Callable[..., App], queue: str, go: Go
) -> None:
    app = make_app(retention=0)

    @app.task("py:one")
    async def one() -> int:
        return 1

    await prepared(app)
    listener = await go.start("peer", "listen")
    await listener.until("listens")
    async with Worker(app, settings=WORKER):
        task = await go.enqueue(queue, "py:one")
        await listener.until_count("event", lambda event: event.get("task_id") == task["id"], 3)
        await eventually(lambda: is_gone(go, queue, task["id"]))
    states = [line["event"]["state"] for line in listener.told("event") if line["event"].get("task_id") == task["id"]]
    assert states == ["new", "active", "complete"]


async def is_gone(go: Go, queue: str, task_id: str) -> bool:
    return (await go.view(queue, task_id)).get("error") == "task not found"
