"""Retrying what failed of a flow: nothing starts before what it depends on."""

from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.client.flow_handle import FlowHandle
from jetq.errors import OperationRefusedError
from jetq.execution.context import Context
from jetq.model.operation import Effect
from jetq.worker.worker import Worker
from tests.integration.backends import backend_of
from tests.integration.flows import node, submit
from tests.integration.worker.conftest import SETTINGS

CHAIN = (node("a", task_type="flaky"), node("b", 0, load_dependencies=True), node("c", 1, load_dependencies=True))


@pytest.fixture
def broken() -> list[bool]:
    return [True]


@pytest.fixture
def app(make_app: Callable[[], App], broken: list[bool]) -> App:
    app = make_app()

    @app.task("flaky", max_tries=1)
    async def flaky() -> str:
        if broken[0]:
            raise ValueError("not yet")
        return "well"

    @app.task("give")
    async def give(ctx: Context) -> list[Any]:
        return [*ctx.dependency_results.values()]

    @app.task("take")
    async def take(amount: str | None) -> str | None:
        return amount

    return app


async def failed_flow(app: App) -> FlowHandle[Any]:
    handle = await submit(app, *CHAIN)
    async with Worker(app, settings=SETTINGS):
        await handle.await_end(20)
    assert (await handle.astatus()).counts == {"expired": 1, "unreachable": 2}
    return handle


@pytest.mark.parametrize("order", ["parents_first", "children_first"])
@pytest.mark.parametrize("by_id", [False, True], ids=["by_flow", "by_id"])
async def test_the_unreachable_are_left_to_those_they_failed_with(
    app: App, broken: list[bool], *, by_id: bool, order: str
) -> None:
    handle = await failed_flow(app)
    ids = [handle[name].id for name in ("abc" if order == "parents_first" else "cba")]
    if order == "children_first":  # the store is read in the order of the last writes
        backend = await backend_of(app)
        for task_id in ids:
            stored = await backend.tasks.read(task_id)
            assert stored is not None
            await backend.tasks.write(stored.document, stored.sequence)
    broken[0] = False

    selection = app.select(ids=ids) if by_id else app.select(flow=handle.id)
    report = await selection.aretry(dependents=True, rate=1000.0)

    assert (report.effects, report.is_clean) == ({Effect.STARTED: 1, Effect.WAITS: 2}, True)
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(20) == [["well"]]


async def test_an_unreachable_task_starts_whose_failed_parent_is_not_chosen(app: App) -> None:
    handle = await failed_flow(app)

    report = await app.select(ids=[handle["b"].id, handle["c"].id]).aretry(dependents=True)

    assert report.effects == {Effect.STARTED: 1, Effect.WAITS: 1}
    async with Worker(app, settings=SETTINGS):
        assert await handle["c"].aresult(20) == [[]]
    assert await handle["a"].astate() == "expired"


# tasks that were cancelled while they waited


@pytest.mark.parametrize("chosen", ["flow", "cancelled"])
async def test_a_cancelled_flow_is_resumed(app: App, broken: list[bool], chosen: str) -> None:
    broken[0] = False
    handle = await submit(app, *CHAIN)
    await handle.acancel()

    selection = app.select(flow=handle.id) if chosen == "flow" else app.select(flow=handle.id, states="cancelled")
    report = await selection.aretry(dependents=True)

    assert report.is_clean
    assert (await handle.astatus()).counts == {"retry": 1, "blocked": 2}
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(20) == [["well"]]


async def test_a_retried_task_takes_the_results_in_that_came_while_it_was_cancelled(
    app: App, broken: list[bool]
) -> None:
    broken[0] = False
    parent = await app.aenqueue("flaky")
    child = await app.aenqueue("give", depends_on=[parent], load_dependencies=True)
    await child.acancel()
    async with Worker(app, settings=SETTINGS):
        await parent.aresult(20)
        done = await child.aretry()

        assert done.effect is Effect.STARTED
        assert await child.aresult(20) == ["well"]


async def test_a_retried_task_waits_for_those_that_go_on(app: App, broken: list[bool]) -> None:
    broken[0] = False
    parent = await app.aenqueue("flaky")
    child = await app.aenqueue("give", depends_on=[parent], load_dependencies=True)
    await child.acancel()

    done = await child.aretry()

    assert (done.effect, done.after) == (Effect.WAITS, "blocked")
    assert await (await backend_of(app)).links.marker(child.id) is not None
    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(20) == ["well"]


async def test_a_task_that_takes_the_result_of_one_that_failed_does_not_start_alone(app: App) -> None:
    parent = await app.aenqueue("flaky")
    child = await app.aenqueue("take", depends_on=[parent], into="amount")
    await child.acancel()
    async with Worker(app, settings=SETTINGS):
        await parent.await_end(20)

    with pytest.raises(OperationRefusedError) as refused:
        await child.aretry()

    assert f"task {parent.id}, which it depends on, ended expired" in refused.value.reason
    assert "retry that one, with its dependents" in refused.value.reason
    assert await child.astate() == "cancelled"
