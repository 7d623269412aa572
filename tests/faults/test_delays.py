"""Very many delayed tasks, due in a short while, and a server that dies in it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jetq.app.application import App
from tests.faults.conftest import Crew
from tests.integration.watching import eventually
from tests.servers import TestServer

pytestmark = [pytest.mark.faults, pytest.mark.nightly, pytest.mark.timeout(300)]

COUNT = 20_000
WITHIN = timedelta(seconds=10)
AHEAD = timedelta(seconds=30)
"""From the beginning until the first is due; enough to enqueue them all."""


async def enqueue_delayed(app: App) -> dict[str, datetime]:
    """Enqueue the tasks and return when each is due."""

    @app.task("work")
    async def work() -> None: ...

    begin = datetime.now(UTC) + AHEAD
    dues = [begin + WITHIN * number / COUNT for number in range(COUNT)]
    handles = await app.aenqueue_many(work.using(run_at=due).s() for due in dues)
    assert datetime.now(UTC) < begin
    return {handle.id: due for handle, due in zip(handles, dues, strict=True)}


async def all_ended(crew: Crew) -> None:
    async def is_done() -> bool:
        return len(crew.lines("end")) >= COUNT

    await eventually(is_done, within=200)


async def test_delayed_tasks_are_neither_early_nor_late(crew: Crew, app: App) -> None:
    crew.hire()
    crew.hire()
    dues = await enqueue_delayed(app)
    await all_ended(crew)
    await app.aclose()

    late = sorted(float(when) - dues[task].timestamp() for task, _, _, when in crew.lines("start"))
    assert set(crew.counts("start").values()) == {1}
    assert len(late) == COUNT
    assert late[0] >= 0
    assert late[COUNT * 99 // 100] < 1.0


async def test_delayed_tasks_survive_a_server_that_is_killed_when_they_are_due(
    crew: Crew, app: App, own_server: TestServer
) -> None:
    crew.hire()
    crew.hire()
    dues = await enqueue_delayed(app)
    middle = min(dues.values()) + WITHIN / 2
    await asyncio.sleep((middle - datetime.now(UTC)).total_seconds())
    own_server.kill()
    await asyncio.to_thread(own_server.run)
    await all_ended(crew)
    await app.aclose()

    early = [task for task, _, _, when in crew.lines("start") if float(when) < dues[task].timestamp()]
    assert early == []
    assert set(crew.counts("end")) == set(dues)
    assert set(crew.counts("start").values()) == {1}
