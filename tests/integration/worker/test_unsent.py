"""Tasks that depend on calls that are not sent yet: all of them are stored, or none, and the handle is the task's."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.dependency import Dependency
from jetq.client.handle import TaskHandle
from jetq.errors import (
    EnqueueManyError,
    InvalidSettingError,
    TaskUnreachableError,
    UnknownDependencyError,
    UnknownQueueError,
)
from jetq.execution.context import Context
from jetq.jetstream.server import EmbeddedServer
from jetq.settings import Queue
from jetq.worker.worker import Worker
from tests.integration.backends import backend_of
from tests.integration.worker.conftest import SETTINGS

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MISSING = "NO-SUCH-TASK"


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application with tasks that give, fail, add and look at what others gave."""
    app = make_app()

    @app.task("give")
    async def give(value: Any = None) -> Any:
        return value

    @app.task("fail", max_tries=1)
    async def fail() -> None:
        raise ValueError("broken")

    @app.task("look")
    async def look(ctx: Context) -> list[Any]:
        return list(ctx.dependency_results.values())

    return app


async def stored_tasks(app: App) -> int:
    backend = await backend_of(app)
    info = await backend.connection.api(f"STREAM.INFO.{backend.names.tasks}")
    found: int = info["state"]["messages"]
    return found


async def test_a_task_runs_after_calls_handles_and_ids_and_gets_all_results(app: App) -> None:
    @app.task("sum")
    async def add(title: str, numbers: list[int]) -> str:
        return f"{title} {numbers}"

    one, two = await app.aenqueue("give", {"value": 1}), await app.aenqueue("give", {"value": 2})
    handle = await add.using(depends_on=[app.s("give", {"value": 3}), one, two.id], into="numbers").s("x").aenqueue()
    assert isinstance(handle, TaskHandle)
    assert (handle.type, handle.queue, handle.is_new) == ("sum", "DEFAULT", True)
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(10) == "x [3, 1, 2]"
    record = await handle.arecord()
    assert record.flow
    status = await (await app.aflow(record.flow)).astatus()
    assert status.counts == {"complete": 2}


async def test_a_call_that_others_name_too_runs_once(app: App) -> None:
    runs: list[str] = []

    @app.task("note")
    async def note(name: str) -> str:
        runs.append(name)
        return name

    first = note.s("first")
    left, right = (note.s(name).using(depends_on=first) for name in ("left", "right"))
    handle = await app.aenqueue("look", depends_on=[left, right, first], load_dependencies=True)
    async with Worker(app, settings=SETTINGS):
        assert await handle.aresult(10) == ["left", "right", "first"]
    assert runs[0] == "first"
    assert sorted(runs) == ["first", "left", "right"]


async def test_the_failure_of_a_call_means_what_is_said(app: App) -> None:
    strict = await app.aenqueue("look", depends_on=[app.s("fail")])
    easy = await app.aenqueue("look", depends_on=Dependency(app.s("fail"), on_failure="run"), load_dependencies=True)
    async with Worker(app, settings=SETTINGS):
        with pytest.raises(TaskUnreachableError):
            await strict.aresult(10)
        ((error,),) = [await easy.aresult(10)]
        assert error["error"]["type"] == "ValueError"


async def test_nothing_is_stored_where_a_dependency_of_a_call_does_not_exist(app: App) -> None:
    await app.aenqueue("give", delay=60)
    before = await stored_tasks(app)
    call = app.s("give", depends_on=[app.s("give", depends_on=[MISSING])])
    with pytest.raises(UnknownDependencyError, match=MISSING):
        await app.aenqueue("look", depends_on=[app.s("give"), call])
    assert await stored_tasks(app) == before
    assert not await (await backend_of(app)).links.marked()


async def test_entries_with_calls_stand_among_others(app: App) -> None:
    late = app.s("look", depends_on=[app.s("give", {"value": 1})], load_dependencies=True)
    plain = app.s("look", depends_on=[await app.aenqueue("give", {"value": 2})], load_dependencies=True)
    listed = await app.aenqueue_many([("give", {"value": 0}), late, plain, late])
    streamed = [each async for each in app.aenqueue_iter([late, ("give", {"value": 0}), plain])]
    async with Worker(app, settings=SETTINGS):
        assert [await handle.aresult(10) for handle in listed] == [0, [1], [2], [1]]
        assert [await handle.aresult(10) for handle in streamed] == [[1], 0, [2]]
    assert len({handle.id for handle in [*listed, *streamed]}) == 7


async def test_what_is_wrong_with_one_of_many_is_its_own_error(server: EmbeddedServer, namespace: str) -> None:
    app = App("test", namespace=namespace, queues=[Queue("STRICT", create=False)])
    app.connect_to(server.address)
    sound = app.s("look", depends_on=[app.s("give")])
    missing = app.s("look", depends_on=[app.s("give"), MISSING])
    wrong = app.s("look", depends_on=[app.s("give", id="X")])
    homeless = app.s("look", depends_on=[app.s("give", queue="STRICT")])

    found = await app.aenqueue_many([sound, missing, wrong, homeless, ("give", {})], errors="return")
    kinds = [TaskHandle, UnknownDependencyError, InvalidSettingError, UnknownQueueError, TaskHandle]
    assert [type(each) for each in found] == kinds
    before = await stored_tasks(app)
    for entry in (wrong, homeless):
        with pytest.raises((InvalidSettingError, UnknownQueueError)):
            await app.aenqueue_many([sound, ("give", {}), entry])
    assert await stored_tasks(app) == before
    with pytest.raises(EnqueueManyError) as caught:
        await app.aenqueue_many([sound, missing])
    assert [type(each) for each in caught.value.outcomes] == [TaskHandle, UnknownDependencyError]
    await app.aclose()


async def test_what_a_handler_sends_so_is_part_of_its_trace(app: App) -> None:
    @app.task("ask")
    async def ask(ctx: Context) -> str:
        handle = await ctx.aenqueue("look", depends_on=[app.s("give", {"value": 5})], load_dependencies=True)
        return str(handle.id)

    async with Worker(app, settings=SETTINGS):
        handle = app.handle(await (await app.aenqueue("ask", trace=TRACE)).aresult(10))
        assert await handle.aresult(10) == [5]
    assert (await handle.arecord()).trace == TRACE


async def test_outside_of_a_loop_it_is_the_same(app: App) -> None:
    def enqueue() -> list[TaskHandle[Any]]:
        one = app.enqueue("give", {"value": 1})
        handle = app.enqueue("look", depends_on=[app.s("give", {"value": 2}), one.id], load_dependencies=True)
        return [handle, *app.enqueue_many([app.s("look", depends_on=app.s("give"), load_dependencies=True)])]

    handles = await asyncio.to_thread(enqueue)
    async with Worker(app, settings=SETTINGS):
        assert [await handle.aresult(10) for handle in handles] == [[2, 1], [None]]
    await asyncio.to_thread(app.close)
