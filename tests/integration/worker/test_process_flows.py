"""Flows and tasks that are many calls, with handlers in processes."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jetq.app.application import App
from jetq.app.composition import chain, group
from jetq.errors import TaskTerminatedError
from jetq.jetstream.server import EmbeddedServer
from jetq.settings import WorkerSettings
from jetq.wire.dependencies import MOST_INLINE
from jetq.worker.worker import Worker
from tests.integration.flows import node, submit
from tests.integration.worker import pool_app

SETTINGS = WorkerSettings(concurrency=10, shutdown_timeout=5.0, pool_processes=1, janitor=False)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    """Give the application that other processes find, on this test's namespace."""
    app = pool_app.app
    app.reconfigure(replace(app.settings, namespace=namespace))
    app.connect_to(server.address)
    yield app
    await app.aclose()


async def test_a_handler_in_a_process_takes_the_results_of_a_group(app: App) -> None:
    total = pool_app.total.s("sum").using(load_dependencies=True)
    flow = await chain(group([pool_app.echo.s(1), pool_app.echo.s(2)]), total).aenqueue()
    async with Worker(app, settings=SETTINGS):
        found = await flow.aresult(10)

    assert (found["title"], found["numbers"], found["loaded"]) == ("sum", [1, 2], 2)
    assert found["pid"] != os.getpid()


async def test_a_result_that_is_too_large_for_the_childs_record_reaches_its_process(app: App) -> None:
    parent = await pool_app.echo.aenqueue("x" * (MOST_INLINE + 1))
    child = await pool_app.length.s().using(depends_on=parent, into="text").aenqueue()
    async with Worker(app, settings=SETTINGS):
        assert await child.aresult(10) == MOST_INLINE + 1


async def test_many_calls_of_one_task_run_in_one_process(app: App) -> None:
    handle = await pool_app.divide.starmap([(8, 2), (9, 3)]).aenqueue()
    async with Worker(app, settings=SETTINGS):
        first, second = await handle.aresult(10)

    assert (first[0], first[2], second[0], second[2]) == (4, 8, 3, 9)
    assert first[1] == second[1] != os.getpid()


async def test_many_calls_in_a_process_pass_through_middleware_as_one(app: App) -> None:
    handle = await pool_app.divide_watched.starmap([(8, 2), (9, 3)]).aenqueue()
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(10) == [4, 3]


async def test_of_many_calls_in_a_process_the_one_that_raises_is_named(app: App) -> None:
    handle = await pool_app.divide.starmap([(8, 2), (9, 0)]).aenqueue()
    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskTerminatedError) as raised:
            await handle.aresult(10)

    assert raised.value.error_type == "ZeroDivisionError"
    assert "(in call [1])" in raised.value.remote_traceback


async def test_what_a_process_enqueues_keeps_the_flow_and_the_trace(app: App) -> None:
    flow = await submit(app, node("a", task_type="offspring"), trace=TRACE)
    async with Worker(app, settings=SETTINGS):
        ids = await flow.aresult(10)
        records = [await app.handle(task_id).arecord() for task_id in ids]
        members = await (await app.clients.current()).backend.flows.members(flow.id)

    assert len(ids) == 4
    assert [(record.flow, record.trace) for record in records] == [(flow.id, TRACE)] * 4
    assert sorted(members) == sorted(ids)
