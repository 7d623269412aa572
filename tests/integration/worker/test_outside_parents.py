"""Tasks of a flow that depend on tasks of elsewhere: they run after these, never before their flow, all or nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jetq.admin.blocked_pass import BlockedPass
from jetq.admin.flow_pass import FlowPass
from jetq.admin.janitor import always
from jetq.app.application import App
from jetq.app.composition import chain, group
from jetq.app.dependency import Dependency
from jetq.app.flow import Flow
from jetq.client import flow_submission
from jetq.client.flow_handle import FlowHandle
from jetq.client.flow_submission import FlowEnqueuer
from jetq.client.handle import TaskHandle
from jetq.errors import (
    FlowSubmitTimeoutError,
    ServerTimeoutError,
    TaskExpiredError,
    TaskUnreachableError,
    UnknownDependencyError,
)
from jetq.execution.context import Context
from jetq.model.dependency import MOST_DEPENDENTS
from jetq.model.state import State
from jetq.observe.fault_points import Point, arm
from jetq.worker.worker import Worker
from tests.integration.backends import backend_of
from tests.integration.watching import eventually
from tests.integration.worker.conftest import SETTINGS

NO_JANITOR = replace(SETTINGS, janitor=False)
SOON = 5
"""Seconds; the pass over the markers comes later."""


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application with tasks that give, fail and look at what others gave."""
    app = make_app()

    @app.task("give", retention=60)
    async def give(value: Any = None) -> Any:
        return value

    @app.task("fail", max_tries=1)
    async def fail() -> None:
        raise ValueError("broken")

    @app.task("note")
    async def note(label: str, before: Any = "nothing", other: Any = "nothing") -> list[Any]:
        return [label, before, other]

    @app.task("look")
    async def look(ctx: Context) -> list[Any]:
        return list(ctx.dependency_results.values())

    return app


async def has_no_marker(app: App) -> bool:
    return not await (await backend_of(app)).links.marked()


async def ended(app: App, task_type: str) -> TaskHandle[Any]:
    """Return a task that has ended."""
    handle = await app.aenqueue(task_type, {"value": task_type} if task_type == "give" else None)
    async with Worker(app, settings=NO_JANITOR):
        await handle.await_end(10)
    return handle


def build(app: App, *parents: Any, on_failure: str | None = None) -> Flow:
    """Return a flow: ``a`` after a task of elsewhere, ``b`` after ``a``, ``c`` after ``a`` however that ends."""
    with Flow("outside") as flow:
        into = "before" if parents else None
        a = flow.add(app.s("note", {"label": "a"}, into=into), name="a", after=parents, on_failure=on_failure)
        flow.add(app.s("look"), name="b", after=a)
        flow.add(app.s("look"), name="c", after=Dependency(a, on_failure="run"))
    return flow


async def test_a_node_runs_after_tasks_that_exist_with_their_results(app: App) -> None:
    done, late = await ended(app, "give"), await app.aenqueue("give", {"value": "late"}, delay=0.5)
    handle = await build(app, done, late).aenqueue()
    record = await handle["a"].arecord()
    assert (record.state, record.pending, record.flow) == (State.BLOCKED, (late.id,), handle.id)
    assert (await late.arecord()).dependents == (record.id,)
    async with Worker(app, settings=NO_JANITOR):
        assert (await handle.aresult(SOON))["b"] == [["a", ["give", "late"], "nothing"]]
        assert (await handle["a"].arecord()).runs == 1
        await eventually(lambda: has_no_marker(app))


async def test_a_node_whose_parents_have_ended_is_written_as_a_root_is(app: App) -> None:
    done = await ended(app, "give")
    before = await last_written(app)
    handle = await chain(app.s("note", {"label": "a"}, depends_on=done, into="before")).aenqueue()
    assert await last_written(app) - before == 2  # with its flow, and without
    async with Worker(app, settings=NO_JANITOR):
        assert await handle.aresult(SOON) == ["a", "give", "nothing"]


async def last_written(app: App) -> int:
    backend = await backend_of(app)
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.tasks}")
    found: int = info["state"]["last_seq"]
    return found


async def test_a_parent_that_does_not_exist_is_an_error_and_nothing_is_stored(app: App) -> None:
    existing = await app.aenqueue("give", delay=60)
    before = await last_written(app)
    for made in (
        build(app, existing, app.handle("X")).aenqueue(),
        app.aenqueue("give", depends_on=[app.s("give"), existing, "X"]),
        chain(app.s("give"), app.s("note", {"label": "a"}, depends_on=["X"])).aenqueue(),
    ):
        with pytest.raises(UnknownDependencyError, match="cannot depend on X: there is no such task"):
            await made
    assert await last_written(app) == before
    assert await (await backend_of(app)).flows.listed() == ([], [])
    assert await has_no_marker(app)


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_parent_that_fails_takes_a_node_along_unless_it_is_said_otherwise(app: App, has_ended: bool) -> None:
    parent = await ended(app, "fail") if has_ended else await app.aenqueue("fail")
    strict, easy, run = [await build(app, parent, on_failure=policy).aenqueue() for policy in ("fail", "ignore", "run")]
    if has_ended:
        assert await strict["a"].astate() == "unreachable"  # before anybody works
    async with Worker(app, settings=NO_JANITOR):
        with pytest.raises(TaskExpiredError, match="broken") as caught:
            await strict.aresult(SOON)
        assert (caught.value.task_id, caught.value.node) == (parent.id, "")  # where it began
        with pytest.raises(TaskUnreachableError, match=f"{parent.id}, which it depends on, ended expired: ValueError"):
            await strict["a"].aresult(SOON)
        assert (await strict.await_end(SOON)).counts == {"unreachable": 2, "complete": 1}
        assert (await strict["c"].aresult(SOON))[0]["error"]["state"] == "unreachable"
        assert (await easy.aresult(SOON))["b"] == [["a", [None], "nothing"]]
        (((_, (error,), _),), _) = (await run.aresult(SOON)).values()
        assert (error["error"]["type"], error["error"]["end"]) == ("ValueError", "max_tries")
        await eventually(lambda: has_no_marker(app))


async def test_very_many_nodes_wait_for_one_task(app: App) -> None:
    count = MOST_DEPENDENTS + 20
    parent = await app.aenqueue("give", {"value": 1}, delay=1)
    handle = await group(app.s("note", {"label": "a"}, depends_on=parent) for _ in range(count)).aenqueue()
    async with Worker(app, settings=NO_JANITOR):
        assert (await handle.await_end(25)).counts == {"complete": count}


async def test_who_retries_a_parent_brings_back_what_it_took_along(app: App) -> None:
    broken = True

    @app.task("fickle", max_tries=1)
    async def fickle() -> str:
        if broken:
            raise ValueError("broken")
        return "well"

    parent = await app.aenqueue("fickle")
    handle = await build(app, parent).aenqueue()
    async with Worker(app, settings=NO_JANITOR):
        assert (await handle["b"].await_end(SOON)).display_state == "unreachable"
        broken = False
        assert (await parent.aretry(dependents=True)).detail.endswith("dependents that wait again: 2")
        assert await handle["b"].aresult(SOON) == [["a", ["well"], "nothing"]]


# before the commit


def before_commit(monkeypatch: pytest.MonkeyPatch, do: Callable[[], Awaitable[None]]) -> None:
    """Let something happen when all is stored and the parents know their children, and nothing is committed."""
    commit = getattr(FlowEnqueuer, "_commit")  # noqa: B009 - it is not ours

    async def late(*args: Any) -> Any:
        await do()
        return await commit(*args)

    monkeypatch.setattr(FlowEnqueuer, "_commit", late)


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        ("give", {"complete": 3}),
        ("fail", {"unreachable": 2, "complete": 1}),
        ("delete", {"unreachable": 2, "complete": 1}),
    ],
)
async def test_a_parent_that_ends_before_the_commit_lets_nothing_run_or_fail_before_it(
    app: App, monkeypatch: pytest.MonkeyPatch, how: str, counts: dict[str, int]
) -> None:
    parent = await app.aenqueue("fail" if how == "fail" else "give", delay=60)
    seen: list[str] = []

    async def do() -> None:
        (node_id,) = (await parent.arecord()).dependents
        if how == "delete":
            await parent.adelete()
        else:
            await parent.arun_now()
            await parent.await_end(SOON)
            await eventually(all_told)
        await asyncio.sleep(0.1)  # nothing tells that nothing happens
        seen.append((await app.handle(node_id).arecord()).state)

    async def all_told() -> bool:
        return not worker.running

    before_commit(monkeypatch, do)
    async with Worker(app, settings=NO_JANITOR) as worker:
        handle = await build(app, parent).aenqueue()
        assert seen == ["blocked"]
        assert (await handle.await_end(SOON)).counts == counts
        await eventually(lambda: has_no_marker(app))


async def test_what_does_not_fail_with_a_task_that_is_cancelled_before_the_commit_does_not_run_before_it(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def do() -> None:
        handle = await only_flow(app)
        await handle["a"].acancel()
        await asyncio.sleep(0.1)  # nothing tells that nothing happens
        seen.append(await handle["c"].astate())

    before_commit(monkeypatch, do)
    async with Worker(app, settings=NO_JANITOR):
        handle = await build(app).aenqueue()
        assert seen == ["blocked"]
        assert (await handle.await_end(SOON)).counts == {"cancelled": 1, "unreachable": 1, "complete": 1}


async def test_parents_that_end_at_this_very_moment_leave_no_flow_behind(app: App) -> None:
    async with Worker(app, settings=NO_JANITOR):
        handles: list[FlowHandle[Any]] = []
        for number in range(60):
            parents = [await app.aenqueue("give" if number % 3 else "fail") for _ in range(2)]
            handles.append(await build(app, *parents).aenqueue())
        for number, handle in enumerate(handles):
            status = await handle.await_end(SOON)
            assert status.counts == ({"complete": 3} if number % 3 else {"unreachable": 2, "complete": 1})


# a submission that does not end


class LostError(Exception):
    """What a test raises in the place of a death."""


def lose() -> None:
    raise LostError


async def stop_at(monkeypatch: pytest.MonkeyPatch, point: Point, flow: Flow) -> None:
    """Submit a flow up to a point, as a submitter that dies there."""

    async def do_nothing(*_: Any) -> None:
        """The dead clean nothing up."""

    monkeypatch.setattr(FlowEnqueuer, "_give_up", do_nothing)
    disarm = arm(point, lose)
    try:
        with pytest.raises(LostError):
            await flow.aenqueue()
    finally:
        disarm()


async def only_flow(app: App) -> FlowHandle[Any]:
    flows = (await backend_of(app)).flows
    ((flow_id,), _) = await flows.listed()
    found = await flows.read(flow_id)
    assert found is not None
    return FlowHandle(found, clients=app.clients)


@pytest.mark.parametrize("task_type", ["give", "fail"])
@pytest.mark.parametrize("point", [Point.PARENT_INFORMED, Point.FLOW_STORED])
async def test_an_aborted_flow_leaves_an_id_that_does_no_harm(
    app: App, monkeypatch: pytest.MonkeyPatch, point: Point, task_type: str
) -> None:
    parent = await app.aenqueue(task_type, delay=0.5)
    await stop_at(monkeypatch, point, build(app, parent))
    assert len((await parent.arecord()).dependents) == 1
    look = BlockedPass(await backend_of(app), FlowPass(await backend_of(app), submitted=timedelta(0)))
    async with Worker(app, settings=NO_JANITOR):
        if point is Point.FLOW_STORED:
            await look.run(always)
        assert (await parent.await_end(SOON)).display_state == ("complete" if task_type == "give" else "expired")
        await look.run(always)
        handle = await only_flow(app)
        assert {(await task.arecord()).end for task in handle.nodes.values()} == {"abandoned"}
        assert {(await task.arecord()).runs for task in handle.nodes.values()} == {0}
    assert await has_no_marker(app)


@pytest.mark.parametrize("task_type", ["give", "fail"])
@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("point", [Point.FLOW_COMMITTED, Point.ROOTS_RELEASED])
async def test_a_flow_whose_submitter_died_after_the_commit_is_begun_by_the_pass(
    app: App, monkeypatch: pytest.MonkeyPatch, point: Point, is_early: bool, task_type: str
) -> None:
    parent = await app.aenqueue(task_type, delay=None if is_early else 0.5)
    await stop_at(monkeypatch, point, build(app, parent))
    handle = await only_flow(app)
    look = BlockedPass(await backend_of(app))
    async with Worker(app, settings=NO_JANITOR):
        if is_early:
            await parent.await_end(SOON)
        await look.run(always)
        expected = {"complete": 3} if task_type == "give" else {"unreachable": 2, "complete": 1}
        assert (await handle.await_end(SOON)).counts == expected
        await eventually(lambda: has_no_marker(app))


async def test_a_server_that_does_not_answer_for_a_parent_is_told_and_nothing_runs(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = await app.aenqueue("give", delay=60)
    dependents = (await backend_of(app)).dependents

    async def silent(*_: Any) -> None:
        raise ServerTimeoutError("reading", 0.1)

    with monkeypatch.context() as patched:
        patched.setattr(dependents, "join", silent)
        with pytest.raises(FlowSubmitTimeoutError):
            await build(app, parent).aenqueue()
        patched.setattr(dependents, "ends_of_parents", silent)
        with pytest.raises(FlowSubmitTimeoutError):
            await build(app, parent).aenqueue()
    handle = await only_flow(app)
    assert {(await task.arecord()).end for task in handle.nodes.values()} == {"abandoned"}


async def test_a_large_flow_lets_its_parents_know_its_tasks_in_parts(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_submission, "_ABREAST", 3)
    parents = [await app.aenqueue("give", {"value": number}, delay=0.3) for number in range(8)]
    calls = [app.s("note", {"label": "a"}, depends_on=[parent], into="before") for parent in parents]
    handle = await group(calls).aenqueue()
    async with Worker(app, settings=NO_JANITOR):
        assert await handle.aresult(SOON) == [["a", [number], "nothing"] for number in range(8)]


async def test_a_flow_that_is_cancelled_does_not_wait_for_its_parents(app: App) -> None:
    parent = await app.aenqueue("give", delay=60)
    handle = await build(app, parent).aenqueue()
    assert (await handle.acancel()).cancelled == 3
    await parent.arun_now()
    async with Worker(app, settings=NO_JANITOR):
        await parent.aresult(SOON)
    assert await handle.astate() == "cancelled"
