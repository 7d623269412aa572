"""Parents that a Go worker runs, or whose record goes: nobody tells their children, who learn of it all the same."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import TaskUnreachableError
from jetq.execution.context import Context
from jetq.jetstream.backend import Backend
from jetq.settings import JanitorSettings
from jetq.worker.worker import Worker
from tests.golden.files import read
from tests.integration.gowriter import as_go, claim, succeed, terminate, write_as_go
from tests.integration.removing import remove_schedule
from tests.integration.worker.conftest import SETTINGS

LATER = 600.0
PROMISED = 35.0
"""Seconds from the end of a parent that nobody tells to that of its child's wait."""


@pytest.fixture
def app(make_app: Callable[[], App]) -> App:
    """Give an application whose child returns what it got."""
    app = make_app()

    @app.task("nothing")
    async def nothing() -> None: ...

    @app.task("child")
    async def child(ctx: Context) -> dict[str, Any]:
        return ctx.dependency_results

    return app


async def complete(backend: Backend, parent: str) -> None:
    await claim(backend, parent)
    await succeed(backend, parent, 7)


async def fail(backend: Backend, parent: str) -> None:
    await claim(backend, parent)
    await terminate(backend, parent)


async def vanish(backend: Backend, parent: str) -> None:
    await backend.tasks.remove(parent)


async def expire(backend: Backend, parent: str) -> None:
    stored = await backend.tasks.read(parent)
    assert stored is not None
    await backend.tasks.expire(stored, 1.0)


def test_records_are_written_as_go_writes_them() -> None:
    golden = read("records")
    for name in ("active", "blocked", "complete", "deadline", "signed", "terminated", "unreachable"):
        assert as_go(golden[name]) == golden[name].strip()
    ours = b'{"id":"a","nonce":"b","run":{},"dependents":["c"],"payload":null,"state":"new","tries":0,"runs":1}'
    assert as_go(ours, state="active") == b'{"id":"a","payload":null,"state":"active","tries":0}'


async def family(app: App) -> tuple[TaskHandle[Any], TaskHandle[Any]]:
    parent = await app.aenqueue("nothing", delay=LATER)
    await remove_schedule((await app.clients.current()).backend, "DEFAULT", parent.id)
    return parent, await app.aenqueue("child", depends_on=[parent], load_dependencies=True)


async def outcome(child: TaskHandle[Any]) -> Any:
    try:
        return await child.aresult(PROMISED)
    except TaskUnreachableError as error:
        return error.reason


ENDS = [(complete, 7), (fail, "dependency"), (vanish, "gone"), (expire, "gone")]


@pytest.mark.parametrize(("end", "gift"), ENDS, ids=["completes", "terminates", "is removed", "expires"])
async def test_the_end_of_a_parent_that_nobody_tells_is_found(
    app: App, end: Callable[[Backend, str], Awaitable[None]], gift: Any
) -> None:
    app.reconfigure(replace(app.settings, janitor=JanitorSettings(blocked_every=0.1)))
    parent, child = await family(app)
    await end((await app.clients.current()).backend, parent.id)

    async with Worker(app, settings=SETTINGS):
        assert await outcome(child) == ({parent.id: gift} if end is complete else gift)


async def test_a_child_that_comes_while_go_runs_its_parent_is_released(app: App) -> None:
    app.reconfigure(replace(app.settings, janitor=JanitorSettings(blocked_every=0.1)))
    backend = (await app.clients.current()).backend
    parent, early = await family(app)
    await claim(backend, parent.id)
    late = await app.aenqueue("child", depends_on=[parent], load_dependencies=True)
    await write_as_go(backend, parent.id, state="retry", tries=1, last_err="not yet")
    later = await app.aenqueue("child", depends_on=[parent], load_dependencies=True)
    await claim(backend, parent.id)
    await succeed(backend, parent.id, 7)

    async with Worker(app, settings=SETTINGS):
        for child in (early, late, later):
            assert await outcome(child) == {parent.id: 7}


@pytest.mark.nightly
@pytest.mark.timeout(90)
async def test_the_end_of_a_parent_that_nobody_tells_is_found_in_time(app: App) -> None:
    """With the settings that users have, while two thousand other tasks wait."""
    backend = (await app.clients.current()).backend
    families = [await family(app) for _ in ENDS]
    other = await app.aenqueue("nothing", delay=LATER)
    await asyncio.gather(*(app.aenqueue("nothing", depends_on=[other]) for _ in range(2000)))
    first, second = await family(app)
    await complete(backend, first.id)

    async with Worker(app, settings=SETTINGS):
        await second.aresult(PROMISED)  # so a pass has just looked
        for (end, _), (parent, _) in zip(ENDS, families, strict=True):
            await end(backend, parent.id)
        found = await asyncio.gather(*(outcome(child) for _, child in families))
    assert found == [{families[0][0].id: 7}, "dependency", "gone", "gone"]
