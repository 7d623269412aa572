"""Deaths at every arrow between parents and children: the child runs once or fails once, and no marker is left."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from jetq.admin import blocked_pass
from jetq.admin.blocked_pass import BlockedPass
from jetq.admin.janitor import always
from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import TaskUnreachableError
from jetq.model.events import TaskStateChanged
from jetq.model.state import State
from jetq.observe.fault_points import Point, arm
from jetq.settings import WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.conftest import ROOT
from tests.faults.dependency_program import DIED, enqueue, make_app
from tests.integration.watching import eventually
from tests.servers import TestServer

FINISHING = [Point.END_STORED, Point.PARENT_COUNTED, Point.CHILD_PLACED, Point.CHILD_UNMARKED, Point.AFTER_EFFECTS_DONE]
REJOINING = [Point.CHILD_MARKED, Point.RECORD_CHANGED]
ENQUEUEING = [Point.CHILD_MARKED, Point.CHILD_STORED, Point.PARENT_INFORMED]


@pytest.fixture
async def app(own_server: TestServer, namespace: str) -> AsyncIterator[App]:
    made = make_app(own_server.url, namespace)
    yield made
    await made.aclose()


@pytest.fixture
def soon_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a marker be old soon."""
    monkeypatch.setattr(blocked_pass, "_OLD_MARKER", timedelta(seconds=0.5))


async def die(server: TestServer, namespace: str, point: Point, deed: str) -> None:
    command = [sys.executable, "-m", "tests.faults.dependency_program", server.url, namespace, point.name, deed]
    assert await asyncio.to_thread(subprocess.call, command, cwd=ROOT) == DIED


async def is_clean(app: App) -> bool:
    """Whether neither a marker nor an item is left."""
    backend = (await app.clients.current()).backend
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    return not info["state"]["messages"] and not await backend.links.marked()


@pytest.mark.parametrize("point", FINISHING)
async def test_a_worker_that_dies_while_it_releases_a_child(
    app: App, own_server: TestServer, namespace: str, point: Point
) -> None:
    await app.aenqueue("parent", id="parent")
    await enqueue(app)
    await die(own_server, namespace, point, "work")

    async with Worker(app):
        # the child may have been claimed in the moment before the death
        assert (await app.handle("child").aresult(20))["parent"] == 1
        await eventually(lambda: is_clean(app))


@pytest.mark.parametrize("point", [Point.END_STORED, Point.PARENT_COUNTED, Point.AFTER_EFFECTS_DONE])
async def test_a_worker_that_dies_while_it_fails_a_child(
    app: App, own_server: TestServer, namespace: str, point: Point
) -> None:
    parent = await app.aenqueue("bad", id="parent")
    await enqueue(app)
    grandchild = await app.aenqueue("child", depends_on=["child"])
    await die(own_server, namespace, point, "work")

    async with Worker(app):
        with pytest.raises(TaskUnreachableError, match=parent.id):
            await grandchild.aresult(20)
        await eventually(lambda: is_clean(app))


@pytest.mark.parametrize("point", [Point.RECORD_CHANGED, Point.PARENT_COUNTED])
async def test_an_operator_who_dies_while_he_cancels_a_parent(
    app: App, own_server: TestServer, namespace: str, point: Point
) -> None:
    await app.aenqueue("parent", id="parent", delay=600)
    await enqueue(app)
    grandchild = await app.aenqueue("child", depends_on=["child"])
    await die(own_server, namespace, point, "cancel")

    async with Worker(app):
        with pytest.raises(TaskUnreachableError, match="cancelled"):
            await grandchild.aresult(20)
        await eventually(lambda: is_clean(app))


@pytest.mark.parametrize(
    ("point", "has_ended"),
    [
        *[(point, False) for point in REJOINING],
        *[(point, True) for point in (*REJOINING, Point.PARENT_COUNTED, Point.CHILD_PLACED, Point.CHILD_UNMARKED)],
    ],
)
@pytest.mark.usefixtures("soon_old")
async def test_an_operator_who_dies_while_he_retries_a_cancelled_child(
    app: App, own_server: TestServer, namespace: str, point: Point, has_ended: bool
) -> None:
    parent = await app.aenqueue("parent", id="parent", delay=600)
    await enqueue(app)
    child = app.handle("child")
    await child.acancel()
    if has_ended:
        await complete(app, parent)
    await die(own_server, namespace, point, "retry")

    async with Worker(app):
        if point is Point.CHILD_MARKED:
            await eventually(lambda: is_clean(app))
            assert await child.astate() == "cancelled"
            await child.aretry()
        if not has_ended:
            assert await child.astate() == "blocked"
            await parent.arun_now()
        assert await child.aresult(20) == {"parent": 1, "attempt": 1}
        await eventually(lambda: is_clean(app))


async def test_a_pass_between_the_marker_and_the_record_of_a_child_that_is_retried_leaves_it_its_marker(
    app: App,
) -> None:
    parent = await app.aenqueue("parent", id="parent", delay=600)
    await enqueue(app)
    await app.acancel("child")
    await complete(app, parent)
    client = await app.clients.current()
    mark = client.backend.links.mark

    async def look_then(task_id: str, *, timeout: float | None = None) -> None:
        await mark(task_id, timeout=timeout)
        await BlockedPass(client.backend).run(always)

    client.backend.links.mark = look_then  # type: ignore[method-assign]
    disarm = arm(Point.RECORD_CHANGED, died)
    with pytest.raises(Died):
        await app.aretry("child")
    disarm()

    assert await client.backend.links.marked() == ["child"]
    async with Worker(app):
        assert await app.handle("child").aresult(20) == {"parent": 1, "attempt": 1}


async def complete(app: App, parent: TaskHandle[Any]) -> None:
    async with Worker(app):
        await parent.arun_now()
        await parent.aresult(10)


class Died(BaseException):
    """Ends an operator."""


def died() -> None:
    raise Died


@pytest.mark.parametrize("point", ENQUEUEING)
async def test_a_producer_who_dies_while_it_enqueues_a_child(
    app: App, own_server: TestServer, namespace: str, point: Point
) -> None:
    parent = await app.aenqueue("parent", id="parent", delay=600)
    await die(own_server, namespace, point, "enqueue")
    stored = await (await app.clients.current()).backend.tasks.read("child")
    assert (stored is None) is (point is Point.CHILD_MARKED)
    if stored is None:
        await enqueue(app)

    async with Worker(app):
        await parent.arun_now()
        assert await app.handle("child").aresult(20) == {"parent": 1, "attempt": 1}
        await eventually(lambda: is_clean(app))


async def test_a_child_of_a_task_that_completes_at_this_very_moment_always_runs(app: App) -> None:
    await win_races(app, 100)


@pytest.mark.nightly
@pytest.mark.timeout(180)
async def test_a_thousand_such_races_are_won(app: App) -> None:
    await win_races(app, 1000)


async def win_races(app: App, races: int) -> None:
    """
    Let a parent end at any moment while its child is enqueued, and make sure that all ways to learn of it occur.

    It is seen to have ended before the child is stored, found to have ended after that, or knows the child and tells.
    """
    begun, gate, ways, spent = asyncio.Event(), asyncio.Event(), Counter[str](), 0.005
    loop, blocked = asyncio.get_running_loop(), set[str]()

    def on_change(event: TaskStateChanged) -> None:
        if event.state is State.BLOCKED:
            blocked.add(event.task_id)

    app.bus.listen_to(TaskStateChanged, on_change)

    @app.task("gated")
    async def gated() -> None:
        begun.set()
        await gate.wait()

    async with Worker(app, settings=WorkerSettings(janitor=False)):  # no pass over the markers helps
        backend = (await app.clients.current()).backend
        for number in range(races):
            begun.clear()
            gate.clear()
            parent = await app.aenqueue("gated")
            await begun.wait()
            started, offset = loop.time(), (number % 20 / 20 - 0.25) * spent
            loop.call_later(max(0.0, offset), gate.set)
            await asyncio.sleep(max(0.0, -offset))
            child = await app.aenqueue("child", depends_on=[parent])
            spent += 0.2 * (1.5 * (loop.time() - started) - spent)
            known = await backend.tasks.read(parent.id)
            told = known is not None and child.id in known.record.dependents
            ways["told" if told else "found" if child.id in blocked else "seen"] += 1
            assert await child.aresult(20) == {"attempt": 1}
        await eventually(lambda: is_clean(app))
    assert min(ways[each] for each in ("told", "found", "seen")) >= races / 50, ways


async def test_a_server_that_restarts_while_tasks_are_blocked_forgets_none(app: App, own_server: TestServer) -> None:
    parents = [await app.aenqueue("parent", delay=1) for _ in range(20)]
    children = [await app.aenqueue("child", depends_on=[parent]) for parent in parents]
    last = await app.aenqueue("child", depends_on=children)

    async with Worker(app):
        await asyncio.to_thread(own_server.restart)
        assert (await last.await_end(25)).state is State.COMPLETE
        await eventually(lambda: is_clean(app))
