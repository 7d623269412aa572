"""What an application does when its workers start and stop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from jetq.app.application import App
from jetq.errors import HookFailedError
from jetq.execution.context import Context
from jetq.model.events import Event
from jetq.model.surroundings import HookFailed
from jetq.worker.worker import Worker
from tests.integration.worker.conftest import SETTINGS


@pytest.fixture
def steps(app: App) -> list[str]:
    """Give what the hooks of the application do, as they do it."""
    done: list[str] = []

    @app.lifespan
    async def life(_app: App) -> AsyncIterator[dict[str, str]]:
        done.append("life begins")
        yield {"pool": "of connections"}
        done.append("life ends")

    @app.on_worker_start
    async def first() -> None:
        done.append("first start")

    @app.on_worker_start
    def second() -> None:
        assert threading.current_thread() is not threading.main_thread()
        done.append("second start")

    @app.on_worker_stop
    async def last() -> None:
        done.append("last stop")

    @app.on_worker_stop
    def last_but_one() -> None:
        done.append("last but one stop")

    @app.task("work")
    async def work(ctx: Context, seconds: float = 0.0) -> str:
        await asyncio.sleep(seconds)
        done.append("work")
        return str(ctx.state["pool"])

    @app.task("sync:work")
    def sync_work(ctx: Context) -> str:
        return str(ctx.state["pool"])

    return done


async def test_hooks_run_in_order_around_the_tasks(app: App, steps: list[str]) -> None:
    async with Worker(app, settings=SETTINGS):
        handle = await app.aenqueue("work", {})
        assert await handle.aresult(10) == "of connections"
        assert await (await app.aenqueue("sync:work", {})).aresult(10) == "of connections"

    assert steps == [
        "life begins",
        "first start",
        "second start",
        "work",
        "last but one stop",
        "last stop",
        "life ends",
    ]


async def test_stop_hooks_wait_for_what_is_drained(app: App, steps: list[str]) -> None:
    async with Worker(app, settings=SETTINGS) as worker:
        await app.aenqueue("work", {"seconds": 0.5})
        async with asyncio.timeout(10):
            while not worker.running:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)

    assert steps[3:] == ["work", "last but one stop", "last stop", "life ends"]


async def test_a_lifespan_may_be_a_context_manager_already_and_enqueue(app: App) -> None:
    @app.task("warm:up")
    async def warm_up() -> str:
        return "warm"

    handles: list[Any] = []

    @app.lifespan
    @asynccontextmanager
    async def life(given: App) -> AsyncGenerator[App, None]:
        handles.append(await given.aenqueue("warm:up", {}))
        yield given

    async with Worker(app, settings=SETTINGS):
        assert await handles[0].aresult(10) == "warm"


@pytest.mark.parametrize("kind", ["sync", "async", "lifespan"])
async def test_a_start_hook_that_raises_lets_nothing_start(app: App, steps: list[str], kind: str) -> None:
    def broken() -> None:
        raise ValueError("no database")

    async def abroken() -> None:
        broken()

    async def life(_app: App) -> AsyncIterator[None]:
        broken()
        yield

    if kind == "lifespan":
        app.hooks.lifespan = None
        app.lifespan(life)
    else:
        app.on_worker_start(broken if kind == "sync" else abroken)
    with pytest.raises(HookFailedError, match="raised ValueError: no database") as raised:
        async with Worker(app, settings=SETTINGS):
            pytest.fail("it started")

    cause = raised.value.__cause__
    assert isinstance(cause, ValueError)
    assert cause.__traceback__ is not None
    names = {"sync": "broken", "async": "abroken", "lifespan": "life"}
    assert cause.__traceback__.tb_frame.f_code.co_name == names[kind]
    assert steps[-1:] == ([] if kind == "lifespan" else ["life ends"])


async def test_stop_hooks_that_fail_are_told_and_the_others_run(app: App, steps: list[str], told: list[Event]) -> None:
    @app.on_worker_stop
    def broken() -> None:
        raise ValueError("no database")

    @app.on_worker_stop
    async def slow() -> None:
        await asyncio.sleep(60)

    async with Worker(app, settings=replace(SETTINGS, hook_timeout=0.2)):
        pass

    failed = [event for event in told if isinstance(event, HookFailed)]
    assert steps[-3:] == ["last but one stop", "last stop", "life ends"]
    assert [event.function.rpartition(".")[2] for event in failed] == ["slow", "broken"]
    assert failed[0].error == "it took longer than 0.2 s"
    assert failed[1].error.rstrip().endswith("ValueError: no database")


async def test_each_worker_has_a_state_of_its_own(app: App) -> None:
    states: list[object] = []

    @app.lifespan
    async def life(_app: App) -> AsyncIterator[object]:
        states.append(object())
        yield states[-1]

    async with Worker(app, settings=SETTINGS) as first, Worker(app, settings=SETTINGS) as second:
        assert first.id != second.id

    assert len(states) == 2
