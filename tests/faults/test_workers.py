"""Workers that die, freeze, or lose their way to the server."""

import asyncio
import os
import signal

import pytest

from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.model.state import State
from tests.faults.conftest import Crew
from tests.faults.program import LEASE
from tests.integration.watching import eventually
from tests.servers import TestServer, freeze

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


async def all_results(handles: list[TaskHandle[int]]) -> list[int]:
    return await asyncio.gather(*(handle.aresult(90) for handle in handles))


async def test_no_task_of_a_killed_worker_is_lost(crew: Crew, app: App) -> None:
    handles = await app.aenqueue_many([("work", {"seconds": 0.02}) for _ in range(1000)])
    first = crew.hire()

    async def has_begun() -> bool:
        return len(crew.lines("end")) >= 200

    await eventually(has_begun)
    first.kill()
    crew.hire()
    await all_results(handles)
    await app.aclose()

    starts = crew.counts("start")
    again = [task for task, count in starts.items() if count > 1]
    assert set(crew.counts("end")) == {handle.id for handle in handles}
    assert len(again) <= 20
    assert max(starts.values()) <= 2


async def test_a_killed_workers_task_runs_elsewhere_within_a_lease_and_costs_a_try(crew: Crew, app: App) -> None:
    first = crew.hire()
    handle = await app.aenqueue("held", {})

    async def is_running() -> bool:
        return bool(crew.lines("start"))

    await eventually(is_running)
    crew.hire()
    first.kill()
    crew.let_go()
    assert await handle.aresult(60) == 2
    record = await handle.arecord()
    await app.aclose()

    assert (record.tries, record.crashes) == (2, 1)


@pytest.mark.parametrize(
    "kind", ["block", *(pytest.param(kind, marks=pytest.mark.nightly) for kind in ("work", "thread"))]
)
async def test_a_task_longer_than_its_lease_runs_once_in_any_kind_of_handler(crew: Crew, app: App, kind: str) -> None:
    crew.hire()
    crew.hire()
    handles = [await app.aenqueue(kind, {"seconds": 3 * LEASE}) for _ in range(2)]
    await all_results(handles)
    await app.aclose()

    assert set(crew.counts("start").values()) == {1}


async def test_a_frozen_workers_task_moves_on_and_its_own_result_is_dropped(crew: Crew, app: App) -> None:
    frozen = crew.hire()
    handle = await app.aenqueue("held", {})

    async def is_running() -> bool:
        return bool(crew.lines("start"))

    await eventually(is_running)
    freeze(frozen.pid)
    crew.let_go()
    crew.hire()
    assert await handle.aresult(60) == 2
    before = await handle.arecord()

    os.kill(frozen.pid, signal.SIGCONT)
    fresh = await app.aenqueue("work", {})
    await fresh.aresult(30)
    await asyncio.sleep(LEASE)
    after = await handle.arecord()
    await app.aclose()

    assert after == before
    assert after.run is not None
    assert after.run.attempt == 2


@pytest.mark.parametrize("violence", ["kill", "restart"])
async def test_a_server_that_goes_away_under_load_loses_nothing_and_doubles_nothing(
    crew: Crew, app: App, own_server: TestServer, violence: str
) -> None:
    crew.hire()
    crew.hire()
    handles = await app.aenqueue_many([("work", {"seconds": 0.05}) for _ in range(600)])

    for _ in range(2):
        so_far = len(crew.lines("end"))

        async def went_on(since: int = so_far) -> bool:
            return len(crew.lines("end")) >= since + 100

        await eventually(went_on, within=60)
        await asyncio.to_thread(getattr(own_server, violence))
        if violence == "kill":
            await asyncio.to_thread(own_server.run)

    await all_results(handles)
    await app.aclose()

    assert set(crew.counts("start").values()) == {1}
    assert set(crew.counts("end")) == {handle.id for handle in handles}


async def test_retries_survive_a_killed_server(crew: Crew, app: App, own_server: TestServer) -> None:
    crew.hire()
    handles = await app.aenqueue_many([("work", {"fail": 2}) for _ in range(100)])

    async def has_failed() -> bool:
        return len(crew.lines("start")) >= 100

    await eventually(has_failed)
    own_server.kill()
    await asyncio.to_thread(own_server.run)
    results = await all_results(handles)
    await app.aclose()

    assert set(results) == {3}
    assert set(crew.counts("start").values()) == {3}


async def test_enqueueing_goes_on_over_a_killed_server(crew: Crew, app: App, own_server: TestServer) -> None:
    crew.hire()
    handles: list[TaskHandle[int]] = []

    async def produce() -> None:
        for _ in range(300):
            handles.append(await app.aenqueue("work", {}))  # noqa: PERF401 - the test looks at the list meanwhile

    producing = asyncio.create_task(produce())

    async def has_begun() -> bool:
        return len(handles) >= 50

    await eventually(has_begun)
    own_server.kill()
    await asyncio.to_thread(own_server.run)
    await producing
    await all_results(handles)
    await app.aclose()

    assert set(crew.counts("end")) == {handle.id for handle in handles}
    assert set(crew.counts("start").values()) == {1}


async def test_a_worker_that_is_told_to_stop_finishes_what_runs(crew: Crew, app: App) -> None:
    worker = crew.hire()
    handle = await app.aenqueue("work", {"seconds": 1.0})

    async def is_running() -> bool:
        return bool(crew.lines("start"))

    await eventually(is_running)
    worker.terminate()
    status = await asyncio.to_thread(worker.wait)
    record = await handle.arecord()
    await app.aclose()

    assert status == 0
    assert record.state is State.COMPLETE


async def test_a_worker_that_died_with_the_server_is_found_to_be_dead(
    crew: Crew, app: App, own_server: TestServer
) -> None:
    """A restarted server forgets the bucket of presences; without it nobody would be missed."""
    first = crew.hire()
    handle = await app.aenqueue("held", {})

    async def is_running() -> bool:
        return bool(crew.lines("start"))

    await eventually(is_running)
    crew.hire()
    own_server.kill()
    first.kill()
    crew.let_go()
    await asyncio.to_thread(own_server.run)

    assert await handle.aresult(60) == 2
    await app.aclose()
