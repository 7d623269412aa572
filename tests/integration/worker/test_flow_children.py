"""What handlers enqueue belongs to the flow and the trace of their task."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jetq.admin.task_filter import TaskFilter
from jetq.app.application import App
from jetq.app.composition import chain
from jetq.app.selection import filter_of
from jetq.errors import InvalidSettingError, UnknownFlowError
from jetq.execution.context import Context
from jetq.model.record import TaskRecord
from jetq.worker.worker import Worker
from tests.integration.flows import node, submit
from tests.integration.worker.conftest import SETTINGS

NO_JANITOR = replace(SETTINGS, janitor=False)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-b7ad6b7169203331-00"


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    app = make_app()

    @app.task("leaf")
    async def leaf(number: int = 0) -> int:
        return number

    @app.task("asks")
    async def asks(ctx: Context) -> list[str]:
        alone = await ctx.aenqueue("leaf")
        through_task = await leaf.aenqueue(1)
        many = await app.aenqueue_many([("leaf", None), leaf.s(2)])
        unique = await leaf.using(unique=ctx.task_id).aenqueue(3)
        dependent = await leaf.using(depends_on=[alone]).aenqueue(4)
        traced = await ctx.aenqueue("leaf", trace=OTHER)
        return [handle.id for handle in (alone, through_task, *many, unique, dependent, traced)]

    @app.task("asks-in-thread")
    def asks_in_thread(ctx: Context) -> list[str]:
        return [ctx.enqueue("leaf").id, leaf.enqueue(1).id, *(each.id for each in app.enqueue_iter([leaf.s(2)]))]

    @app.task("asks-from-elsewhere")
    async def asks_from_elsewhere(ctx: Context) -> list[str]:
        """A thread without the context's variables."""
        loop = asyncio.get_running_loop()
        return [(await loop.run_in_executor(None, ctx.enqueue, "leaf")).id]

    return app


async def records(app: App, ids: list[str]) -> list[TaskRecord]:
    return [await app.handle(task_id).arecord() for task_id in ids]


@pytest.mark.parametrize("task_type", ["asks", "asks-in-thread", "asks-from-elsewhere"])
async def test_children_keep_the_flow_and_the_trace(app: App, task_type: str) -> None:
    handle = await submit(app, node("a", task_type=task_type), trace=TRACE)
    backend = (await app.clients.current()).backend
    async with Worker(app, settings=NO_JANITOR):
        ids = await handle.aresult(10)
        found = await records(app, ids)
        assert {record.flow for record in found} == {handle.id}
        traces = [record.trace for record in found]
        assert traces == [TRACE] * len(ids) if task_type != "asks" else [*[TRACE] * (len(ids) - 1), OTHER]
        assert sorted(await backend.flows.members(handle.id)) == sorted(ids)
        assert (await handle["a"].arecord()).trace == TRACE
        assert (await handle.astatus()).tasks == 1  # they do not count


async def test_children_outside_of_flows_keep_the_trace_alone(app: App) -> None:
    parent = await app.aenqueue("asks", trace=TRACE)
    async with Worker(app, settings=NO_JANITOR):
        found = await records(app, await parent.aresult(10))
    assert [record.flow for record in found] == [""] * len(found)
    assert [record.trace for record in found] == [*[TRACE] * (len(found) - 1), OTHER]
    backend = (await app.clients.current()).backend
    assert await backend.flows.listed() == ([], [])


async def test_a_trace_goes_on_to_those_that_depend_on_a_task(app: App) -> None:
    handle = await submit(
        app, node("a", trace=TRACE), node("b", 0), node("c", trace=OTHER), node("d", 2, 1), node("e"), trace=""
    )
    assert [(await task.arecord()).trace for task in handle.nodes.values()] == [TRACE, TRACE, OTHER, OTHER, ""]


async def test_a_flow_that_a_handler_enqueues_is_its_own_and_keeps_the_trace(app: App) -> None:
    @app.task("one")
    async def one() -> int:
        return 1

    laid_out_before = chain(one.si(), one.si())

    @app.task("composes")
    async def composes() -> str:
        return (await laid_out_before.aenqueue()).id

    @app.task("composes-in-thread")
    def composes_in_thread() -> str:
        return laid_out_before.enqueue().id

    outer = await submit(
        app, node("a", task_type="composes"), node("b", task_type="composes-in-thread"), result=(0, 1), trace=TRACE
    )
    async with Worker(app, settings=NO_JANITOR):
        for flow_id in await outer.aresult(10):
            inner = await app.aflow(flow_id)
            assert await inner.aresult(10) == 1
            found = [await task.arecord() for task in inner.nodes.values()]
            assert {(record.flow, record.trace) for record in found} == {(inner.id, TRACE)}
            assert inner.id != outer.id


async def test_cancel_of_a_flow_reaches_what_its_tasks_enqueued(app: App) -> None:
    @app.task("sows")
    async def sows(ctx: Context) -> str:
        task: Any = await ctx.aenqueue("leaf", delay=600)
        return str(task.id)

    handle = await submit(app, node("a", task_type="sows"))
    async with Worker(app, settings=NO_JANITOR):
        child = await handle.aresult(10)
    assert (await handle.acancel()).cancelled == 1
    assert await app.handle(child).astate() == "cancelled"


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "00",
        TRACE.upper(),
        TRACE.replace("00-", "ff-", 1),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        f"{TRACE}-00",
        f"{TRACE}\n",
        7,
    ],
    ids=["empty", "short", "upper", "version", "trace-id", "parent-id", "long", "line", "number"],
)
async def test_a_trace_that_is_none_is_refused(app: App, trace: Any) -> None:
    with pytest.raises(InvalidSettingError, match="traceparent"):
        await app.aenqueue("leaf", trace=trace)


async def test_tasks_of_a_flow_are_found_by_it(app: App) -> None:
    handle = await submit(app, node("a", task_type="leaf"), node("b", 0, task_type="leaf"))
    await app.aenqueue("leaf")
    report = await app.select(flow=handle.id).acancel()
    assert report.matched == 2
    assert not filter_of({"flow": handle.id}, everything=False).is_open
    assert TaskFilter(flow=handle.id).flow == handle.id


async def test_a_flow_is_loaded_by_its_id_with_the_handlers_decoders(app: App) -> None:
    @app.task("pair")
    async def pair() -> tuple[int, int]:
        return 1, 2

    handle = await submit(app, node("a", task_type="pair"), node("b", task_type="elsewhere"), result=(0,))
    async with Worker(app, settings=NO_JANITOR):
        await handle.aresult(10)
        loaded = await app.aflow(handle.id)
        assert loaded == handle
        assert await loaded.aresult(10) == [(1, 2)]
        assert repr(loaded) == f"<FlowHandle test {handle.id} of 2 tasks>"
        assert len(loaded) == 2
        assert loaded["a"].type == "pair"
    with pytest.raises(UnknownFlowError, match="there is no flow nonsense"):
        await app.aflow("nonsense")


async def test_flows_are_listed_with_where_they_stand(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await submit(app, node("a", task_type="leaf"), name="one")
    second = await submit(app, node("a", task_type="leaf"), node("b", 0, task_type="leaf"), name="two")
    await first.acancel()
    for few in (2000, 0):  # read one by one, and all at once
        monkeypatch.setattr("jetq.admin.flow_inspector._FEW", few)
        listed = await app.aflows()
        assert [flow.id for flow in listed] == [second.id, first.id]
        assert [str(flow.status) for flow in listed] == ["running (1 blocked, 1 new)", "cancelled (1 cancelled)"]
    assert [flow.name for flow in await app.aflows(limit=1)] == ["two"]


async def test_events_of_a_flow_end_with_it(app: App) -> None:
    handle = await submit(app, node("a", task_type="leaf"), node("b", 0, task_type="leaf"))
    await app.aenqueue("leaf")
    async with handle.events() as events, Worker(app, settings=NO_JANITOR):
        seen = [(event.task_id, getattr(event, "state", "")) async for event in events]
    a, b = handle["a"].id, handle["b"].id
    assert seen == [(a, "active"), (a, "complete"), (b, "new"), (b, "active"), (b, "complete")]
