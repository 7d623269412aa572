"""A namespace that one side made first, and what concerns all workers of a queue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jetq.app.application import App
from jetq.beat.beat import Beat
from jetq.model.state import State
from jetq.worker.worker import Worker
from tests.interop.go.conftest import WORKER, prepared
from tests.interop.go.peers import NAMESPACE, Go
from tests.servers import TestServer


@pytest.fixture
async def fresh(programs: Path, own_server: TestServer, tmp_path: Path) -> AsyncIterator[tuple[Go, App]]:
    """Give Go programs and an application on a server that holds nothing."""
    go, app = Go(programs, own_server.url, tmp_path), App("test", namespace=NAMESPACE)
    app.connect_to(own_server.address)

    @app.task("py:one")
    async def one() -> int:
        return 1

    yield go, app
    await app.aclose()
    for running in go.started:
        await running.kill()


async def all_goes(go: Go, app: App) -> None:
    """Use what needs something of its own in the namespace, and look at it with Go."""
    await app.aadd_schedule("often", "@every 1s", app.s("py:one", {}))
    async with Beat(app), Worker(app, settings=WORKER):
        parent = await app.aenqueue("py:one", delay=0.05)
        child = await app.aenqueue("py:one", depends_on=[parent])
        keyed = await app.aenqueue("py:one", unique="the one")
        task = await go.enqueue("DEFAULT", "py:one")
        for task_id in (parent.id, child.id, keyed.id, task["id"]):
            assert await app.handle(task_id).aresult(10) == 1
        assert "task_scheduler: jetq-" in await go.ajc("info")
        await go.ajc("task", "cron", "rm", "often", "--force")
    assert (await go.view("DEFAULT", child.id))["state"] == "complete"


async def test_a_namespace_that_go_made_first_is_completed(fresh: tuple[Go, App]) -> None:
    go, app = fresh
    overview = await go.ajc("info")
    assert "Max Run Time: 1m0s" in overview  # Go's own default queue
    assert "Max Task Tries: 100" in overview
    await all_goes(go, app)
    assert "Max Task Tries: 100" in await go.ajc("queue", "info", "DEFAULT")


async def test_a_namespace_that_jetq_made_first_is_gos_as_well(fresh: tuple[Go, App]) -> None:
    go, app = fresh
    await prepared(app)
    await all_goes(go, app)
    listed = await go.ajc("queue", "ls")
    assert listed.count("│ DEFAULT") == 1  # and no stream of jetq's own is taken for a queue
    assert "Max Run Time: 1h0m0s" in await go.ajc("queue", "info", "DEFAULT")


async def test_a_paused_queue_is_paused_for_go_workers_too(app: App, queue: str, go: Go) -> None:
    await prepared(app)
    worker = await go.worker(queue)
    await (await app.aenqueue("go:echo", 1)).aresult(10)
    await app.apause_queue(queue)
    handle = await app.aenqueue("go:echo", 2)
    other = await app.aenqueue("go:echo", 3, queue=f"{queue}-GO")
    second = await go.worker(f"{queue}-GO")
    await other.aresult(10)
    await second.until("runs")
    assert (len(worker.told("runs")), len(second.told("runs")), await handle.astate()) == (1, 1, "new")

    await app.aresume_queue(queue)
    nudge = await app.aenqueue("go:echo", 4)  # a pull that waited through the pause is served when something moves
    assert [await one.aresult(10) for one in (handle, nudge)] == [2, 4]


async def test_jetq_explains_a_task_that_go_runs(app: App, queue: str, go: Go) -> None:
    backend = await prepared(app)
    worker = await go.worker(queue)
    handle = await app.aenqueue("go:wait")
    await worker.until("waits", handle.id)
    assert "no jetq worker runs it" in await go.jetq("explain", handle.id)
    backend.connection.send(f"interop.{handle.id}", b"told")
    record = await handle.await_end(10)
    assert record.state is State.COMPLETE
