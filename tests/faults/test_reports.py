"""Workers that are killed around what they write beside a run: its progress, and the discard of its record."""

import asyncio
import signal
import subprocess
import sys

import pytest

from jetq.app.application import App
from jetq.observe.fault_points import Point
from jetq.wire.events import TaskProgressEvent, TaskStateEvent
from jetq.worker.worker import Worker
from tests.faults.conftest import ROOT, Crew
from tests.faults.discarding_program import make_app
from tests.integration.watching import eventually
from tests.servers import TestServer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(60)]


async def test_the_progress_of_a_killed_worker_stands_until_the_next_run_says_another(crew: Crew, app: App) -> None:
    first = crew.hire()
    handle = await app.aenqueue("report", {})

    async def said() -> tuple[float, str] | None:
        progress = await handle.aprogress()
        return progress and (progress.current, progress.text)

    async def is_kept() -> bool:
        return await said() == (1, "run 1")

    await eventually(is_kept)
    first.kill()
    assert await said() == (1, "run 1")
    following = asyncio.ensure_future(everything(app, handle.id))
    crew.hire()

    async def says_another() -> bool:
        return await said() == (2, "run 2")

    await eventually(says_another)
    crew.let_go()
    assert await handle.aresult(30) == 2
    record = await handle.arecord()
    states, texts = await following
    await app.aclose()

    assert not record.progress
    assert (record.tries, record.crashes) == (2, 1)
    assert crew.counts("start") == {handle.id: 2}
    assert states[-1] == "complete"
    assert texts == ["run 2"]


async def everything(app: App, task_id: str) -> tuple[list[str], list[str]]:
    """Follow a task to its end."""
    states: list[str] = []
    texts: list[str] = []
    async for event in app.handle(task_id).events():
        match event:
            case TaskStateEvent():
                states.append(event.display_state)
            case TaskProgressEvent():
                texts.append(event.text)
    return states, texts


@pytest.mark.parametrize("point", [Point.END_STORED, Point.RECORD_DISCARDED], ids=["before", "after"])
async def test_a_task_whose_worker_is_killed_around_its_discard_is_discarded_by_the_next(
    own_server: TestServer, namespace: str, point: Point
) -> None:
    app = make_app(own_server.url, namespace)
    handle = await app.aenqueue("once")
    backend = (await app.clients.current()).backend
    waiting = asyncio.ensure_future(handle.aresult(30))
    command = [sys.executable, "-m", "tests.faults.discarding_program", own_server.url, namespace, point.name]
    assert await asyncio.to_thread(subprocess.call, command, cwd=ROOT) == -signal.SIGKILL
    assert await waiting == 1

    async def nothing_is_left() -> bool:
        info = await backend.connection.api(f"STREAM.INFO.{backend.names.queue('DEFAULT')}")
        return not info["state"]["messages"] and await backend.tasks.read(handle.id) is None

    async with Worker(app):
        stored = await backend.tasks.read(handle.id)
        assert stored is not None
        await eventually(nothing_is_left)
    await app.aclose()

    assert stored.record.runs == 1
