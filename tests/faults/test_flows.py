"""Deaths and restarts while a flow is submitted, aborted or begun: all of it runs, once, or nothing of it."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from jetq.app.application import App
from jetq.client.flow_handle import FlowHandle
from jetq.errors import FlowSubmitTimeoutError, JetqError
from jetq.jetstream.flow_store import StoredFlow
from jetq.model.flow import FlowState
from jetq.observe.fault_points import Point, arm
from jetq.settings import WorkerSettings
from jetq.worker.worker import Worker
from tests.faults.conftest import ROOT
from tests.faults.flow_program import DIED, NODES, PARENT, WIDTH, look, make_app
from tests.integration.backends import backend_of
from tests.integration.flows import node, submit
from tests.integration.watching import eventually
from tests.servers import TestServer

DICE = random.Random(7)  # noqa: S311 - it only makes moments
NO_JANITOR = WorkerSettings(janitor=False)
BEFORE = [
    (Point.FLOW_CREATED, 1),
    (Point.FLOW_MARKED, 1),
    (Point.FLOW_PART_STORED, 1),
    (Point.FLOW_PART_STORED, 3),
    (Point.FLOW_STORED, 1),
]
AFTER_COMMIT = [Point.FLOW_COMMITTED, Point.ROOTS_RELEASED, Point.ROOTS_PLACED]


@pytest.fixture
async def app(own_server: TestServer, namespace: str) -> AsyncIterator[App]:
    made = make_app(own_server.url, namespace)
    yield made
    await made.aclose()


async def die(server: TestServer, namespace: str, point: Point, deed: str, count: int = 1) -> None:
    command = [sys.executable, "-m", "tests.faults.flow_program", server.url, namespace, point.name, deed, str(count)]
    assert await asyncio.to_thread(subprocess.call, command, cwd=ROOT) == DIED


async def only_flow(app: App) -> StoredFlow:
    flows = (await backend_of(app)).flows
    ((flow_id,), _) = await flows.listed()
    found = await flows.read(flow_id)
    assert found is not None
    return found


async def is_clean(app: App) -> bool:
    """Whether neither a marker nor an item is left."""
    backend = await backend_of(app)
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
    return not info["state"]["messages"] and not await backend.links.marked()


async def nothing_ran(app: App, flow: StoredFlow) -> None:
    """Check that all that is there of a flow was abandoned."""
    backend = await backend_of(app)
    async with Worker(app, settings=NO_JANITOR):
        await asyncio.sleep(0.3)  # nothing tells that nothing happens
    found = await backend.tasks.read_many([entry.id for entry in flow.document.nodes])
    records = [stored.record for stored in found if stored is not None]
    assert {(record.display_state, record.end, record.runs) for record in records} <= {("expired", "abandoned", 0)}


async def all_ran(app: App, flow: StoredFlow) -> None:
    """Check that every task of a flow runs once, and leaves nothing."""
    handle: FlowHandle[Any] = FlowHandle(flow, clients=app.clients)
    async with Worker(app, settings=NO_JANITOR):
        assert (await handle.await_end(20)).counts == {"complete": len(handle)}
        assert {(await task.arecord()).runs for task in handle.nodes.values()} == {1}
        await eventually(lambda: is_clean(app))


@pytest.mark.parametrize(("point", "count"), BEFORE, ids=[f"{point.name}-{count}" for point, count in BEFORE])
async def test_a_submitter_that_dies_before_the_commit_runs_nothing(
    app: App, own_server: TestServer, namespace: str, point: Point, count: int
) -> None:
    await die(own_server, namespace, point, "submit", count)
    assert (await only_flow(app)).state is FlowState.BUILDING
    await look(app)
    flow = await only_flow(app)
    assert flow.state is FlowState.ABORTED
    await nothing_ran(app, flow)


@pytest.mark.parametrize("point", AFTER_COMMIT)
async def test_a_submitter_that_dies_after_the_commit_runs_all(
    app: App, own_server: TestServer, namespace: str, point: Point
) -> None:
    await die(own_server, namespace, point, "submit")
    await look(app)
    await all_ran(app, await only_flow(app))


@pytest.mark.parametrize("point", [Point.PARENT_INFORMED, Point.FLOW_STORED])
async def test_a_submitter_that_dies_between_the_parents_and_the_commit_runs_nothing(
    app: App, own_server: TestServer, namespace: str, point: Point
) -> None:
    parent = await app.aenqueue("count", id=PARENT)
    await die(own_server, namespace, point, "after")
    assert len((await parent.arecord()).dependents) == WIDTH // 2 + 1  # that does no harm
    await look(app)
    flow = await only_flow(app)
    assert flow.state is FlowState.ABORTED
    await nothing_ran(app, flow)
    assert (await parent.arecord()).display_state == "complete"
    await look(app)
    await eventually(lambda: is_clean(app))


@pytest.mark.parametrize("has_ended", [True, False])
@pytest.mark.parametrize("point", AFTER_COMMIT)
async def test_a_submitter_that_dies_after_the_commit_runs_all_after_tasks_that_exist(
    app: App, own_server: TestServer, namespace: str, point: Point, has_ended: bool
) -> None:
    parent = await app.aenqueue("count", id=PARENT)
    await die(own_server, namespace, point, "after")
    if has_ended:
        async with Worker(app, settings=NO_JANITOR):
            await parent.await_end(10)
    await look(app)
    await all_ran(app, await only_flow(app))


@pytest.mark.parametrize(
    ("point", "count"), [(Point.FLOW_ABORTED, 1), (Point.NODE_ABANDONED, 1), (Point.NODE_ABANDONED, 9)]
)
async def test_a_pass_that_dies_while_it_aborts_a_flow_is_made_up_for(
    app: App, own_server: TestServer, namespace: str, point: Point, count: int
) -> None:
    await die(own_server, namespace, Point.FLOW_STORED, "submit")
    await die(own_server, namespace, point, "pass", count)
    flow = await only_flow(app)
    assert flow.state is FlowState.ABORTED
    await look(app)
    await nothing_ran(app, flow)
    backend = await backend_of(app)
    assert await backend.links.marked() == []
    assert all(await backend.tasks.read_many([entry.id for entry in flow.document.nodes]))


@pytest.mark.parametrize("point", [Point.PARENT_COUNTED, Point.CHILD_PLACED, Point.CHILD_UNMARKED])
async def test_a_pass_that_dies_while_it_releases_roots_is_made_up_for(
    app: App, own_server: TestServer, namespace: str, point: Point
) -> None:
    await die(own_server, namespace, Point.FLOW_COMMITTED, "submit")
    await die(own_server, namespace, point, "pass", 2)
    await look(app)
    await all_ran(app, await only_flow(app))


async def test_two_passes_and_a_submitter_at_one_time_run_all_or_nothing(app: App) -> None:
    for number in range(10):
        submission = asyncio.create_task(submit(app, *NODES, name=f"n{number}"))
        await asyncio.sleep(DICE.uniform(0, 0.03))
        await asyncio.gather(look(app), look(app))
        try:
            handle = await submission
        except JetqError:
            continue
        async with Worker(app, settings=NO_JANITOR):
            assert (await handle.await_end(20)).counts == {"complete": len(NODES)}
    await look(app)
    assert await is_clean(app)


@pytest.mark.parametrize("point", [Point.FLOW_CREATED, Point.FLOW_MARKED, Point.FLOW_PART_STORED, Point.FLOW_STORED])
async def test_a_restart_of_the_server_during_a_submission_loses_and_doubles_nothing(
    app: App, own_server: TestServer, point: Point
) -> None:
    await backend_of(app)

    def restart() -> None:
        disarm()
        own_server.kill()
        own_server.run()

    disarm = arm(point, restart)
    handle = await submit(app, *NODES)
    await all_ran(app, await only_flow(app))
    assert handle.id == (await only_flow(app)).id


@pytest.mark.parametrize("point", [Point.FLOW_CREATED, Point.FLOW_MARKED, Point.FLOW_STORED])
async def test_a_server_that_stays_away_is_told_and_nothing_runs(
    own_server: TestServer, namespace: str, point: Point
) -> None:
    app = make_app(own_server.url, namespace)
    app.reconfigure(replace(app.settings, enqueue_timeout=0.3))
    await backend_of(app)
    disarm = arm(point, own_server.freeze)
    with pytest.raises(FlowSubmitTimeoutError, match="either all of it runs or nothing"):
        await submit(app, *NODES)
    disarm()
    own_server.thaw()
    try:
        await eventually(lambda: is_there(app))
        await asyncio.sleep(0.5)  # what was sent before the freeze arrives now
        await look(app)
        await look(app)
        flows, _ = await (await backend_of(app)).flows.listed()
        if flows:
            flow = await only_flow(app)
            await (all_ran(app, flow) if flow.state is FlowState.COMMITTED else nothing_ran(app, flow))
    finally:
        await app.aclose()


async def is_there(app: App) -> bool:
    try:
        await (await backend_of(app)).flows.listed()
    except JetqError:
        return False
    return True


@pytest.mark.nightly
@pytest.mark.timeout(300)
async def test_restarts_at_any_moment_of_large_submissions(app: App, own_server: TestServer) -> None:
    await backend_of(app)
    nodes = (
        *(node(f"a{number}", task_type="count") for number in range(500)),
        node("z", *range(500), task_type="count"),
    )
    for number in range(20):
        submission = asyncio.create_task(submit(app, *nodes, name=f"n{number}"))
        await asyncio.sleep(DICE.uniform(0, 0.2))
        await asyncio.to_thread(own_server.restart)
        handle = await submission
        async with Worker(app, settings=NO_JANITOR):
            assert (await handle.await_end(60)).counts == {"complete": len(nodes)}
