"""Many tasks at once, chosen from an application: what is done to them, while everything goes on."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq.admin import record_listing
from jetq.admin.task_listing import TaskListing, list_tasks
from jetq.app.application import App
from jetq.client.handle import TaskHandle
from jetq.errors import BlockingCallError, InvalidNameError, InvalidSettingError, TaskNotFoundError
from jetq.jetstream.server import EmbeddedServer
from jetq.settings import Queue, Settings
from jetq.worker.worker import Worker
from tests.integration.watching import eventually


@pytest.fixture
async def app(server: EmbeddedServer, namespace: str) -> AsyncIterator[App]:
    """Give an application without a worker."""
    app = App("t", servers=server.url, settings=Settings(namespace=namespace), queues=[Queue("A"), Queue("B")])
    app.mended = False  # type: ignore[attr-defined]

    @app.task("flaky", queue="A", max_tries=1)
    async def flaky() -> str:
        if not app.mended:  # type: ignore[attr-defined]
            raise ValueError("no luck")
        return "done"

    @app.task("endless", queue="A")
    async def endless() -> None:
        await asyncio.sleep(60)

    async with app:
        yield app


async def states(handles: list[TaskHandle[Any]]) -> list[str]:
    return [await handle.astate() for handle in handles]


async def begun(handle: TaskHandle[Any]) -> None:
    async def active() -> bool:
        return await handle.astate() == "active"

    await eventually(active)


async def failed(app: App, count: int) -> list[TaskHandle[Any]]:
    handles = [await app.aenqueue("flaky") for _ in range(count)]
    for handle in handles:
        await handle.await_end(20)
    return handles


async def test_all_that_failed_are_retried_and_succeed(app: App) -> None:
    async with Worker(app):
        handles = await failed(app, 10)
        app.mended = True  # type: ignore[attr-defined]

        report = await app.select(states="expired", error="value*LUCK").aretry()

        for handle in handles:
            assert await handle.aresult(20) == "done"
        assert (report.matched, report.done, report.effects, report.is_clean) == (10, 10, {"started": 10}, True)


async def test_a_task_that_fails_again_meanwhile_is_not_retried_again(app: App) -> None:
    async with Worker(app):
        handles = await failed(app, 5)

        report = await app.select(states="expired").aretry(rate=20)

        assert report.done == 5
        for handle in handles:
            await handle.await_end(20)
            assert (await handle.arecord()).runs == 2


async def test_retried_tasks_may_move(app: App) -> None:
    handle = await app.aenqueue("flaky", queue="B")
    await app.aenqueue("endless", queue="A")
    await app.select(ids=[handle.id]).acancel()

    assert (await app.select(ids=handle.id).aretry(queue="A")).done == 1

    assert (await handle.arecord()).queue == "A"


async def test_what_waits_is_cancelled_and_what_runs_is_asked_to_stop(app: App) -> None:
    later = await app.aenqueue("flaky", delay=3600)
    queued = await app.aenqueue("flaky", queue="B")
    async with Worker(app, queues=["A"]):
        running = await app.aenqueue("endless")
        await begun(running)

        report = await app.select(everything=True).acancel()
        await running.await_end(20)

        assert report.effects == {"ended": 2, "requested": 1}
        assert await states([later, queued, running]) == ["cancelled"] * 3


async def test_waiting_tasks_are_run_now(app: App) -> None:
    handles = [await app.aenqueue("flaky", delay=3600) for _ in range(3)]
    now = await app.aenqueue("flaky")

    report = await app.select(task_type="fl*").arun_now()

    assert (report.done, report.refused) == (3, 1)
    assert await states([*handles, now]) == ["new"] * 4
    (reason,) = report.reasons.items()
    assert reason[0].startswith("new: it is in its queue already")
    assert reason[1].first == [now.id]


async def test_what_matches_is_listed_in_full_the_last_first(app: App) -> None:
    handles = [await app.aenqueue("flaky", {"number": number}, delay=3600) for number in range(5)]
    other = await app.aenqueue("endless", queue="B")
    await handles[0].achange(max_tries=7)

    async def ids(limit: int = 200, **wanted: Any) -> list[str]:
        return [record.id for record in await app.select(**wanted).alist(limit=limit)]

    [newest, *_] = records = await app.select(states="scheduled").alist()
    expected = [handle.id for handle in (handles[0], *reversed(handles[1:]))]
    assert [record.id for record in records] == expected
    assert (newest.max_tries, newest.payload, newest.display_state) == (7, b'{"number":0}', "scheduled")
    assert await ids(states="scheduled", limit=2) == expected[:2]
    assert [record.id for record in await app.select(task_type="flaky", limit=3).alist()] == expected[:3]
    assert await ids(ids=[other.id, "nothing", handles[1].id]) == [other.id, handles[1].id]
    assert await ids(queue="B", states="scheduled") == []
    assert len(await app.select(everything=True).alist()) == 6


@pytest.mark.parametrize("limit", [0, -1, 10_001, "all"])
async def test_a_list_has_a_bound(app: App, limit: Any) -> None:
    with pytest.raises(InvalidSettingError, match="expected limit to be a whole number from 1 to 10000"):
        await app.select(everything=True).alist(limit=limit)


async def test_what_is_gone_or_changed_when_it_is_read_is_not_listed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, changed, stays = [await app.aenqueue("flaky", delay=3600) for _ in range(3)]

    async def slow_list(*arguments: Any) -> TaskListing:
        listing = await list_tasks(*arguments)
        await gone.adelete()
        await changed.arun_now()
        return listing

    monkeypatch.setattr(record_listing, "list_tasks", slow_list)

    records = await app.select(states="scheduled").alist()

    assert [record.id for record in records] == [stays.id]


async def test_tasks_are_deleted_and_running_ones_by_force_alone(app: App) -> None:
    ended = await app.aenqueue("flaky", queue="B")
    await app.select(ids=ended.id).acancel()
    async with Worker(app, queues=["A"]) as worker:
        running = await app.aenqueue("endless")
        await begun(running)

        gentle = await app.select(everything=True).adelete()
        forced = await app.select(everything=True).adelete(force=True)
        worker.cancel()

    assert (gentle.done, gentle.refused) == (1, 1)
    assert (forced.done, forced.refused) == (1, 0)
    for handle in (ended, running):
        with pytest.raises(TaskNotFoundError):
            await handle.arecord()


async def test_a_dry_run_changes_nothing(app: App) -> None:
    handles = [await app.aenqueue("flaky") for _ in range(3)]
    before = [(await handle.arecord()) for handle in handles]

    for operate in ("acancel", "aretry", "arun_now", "adelete"):
        report = await getattr(app.select(queue="A"), operate)(dry_run=True)
        assert (report.matched, report.done, len(report.sample)) == (3, 0, 3)

    assert [(await handle.arecord()) for handle in handles] == before


async def test_a_limit_takes_the_first_and_progress_is_told(app: App) -> None:
    handles = [await app.aenqueue("flaky") for _ in range(5)]
    told: list[int] = []

    report = await app.select(queue="A", limit=2).acancel(on_progress=lambda now: told.append(now.tried))

    assert (report.done, report.complete) == (2, False)
    assert (await states(handles)).count("cancelled") == 2
    assert told[-1] == 2


async def test_age_chooses(app: App) -> None:
    await app.aenqueue("flaky")
    now = datetime.now(UTC)
    hour = timedelta(hours=1)

    async def count(**wanted: Any) -> int:
        return (await app.select(**wanted).acancel(dry_run=True)).matched

    assert await count(created_before=now - hour) == await count(changed_before=now - hour) == 0
    assert await count(created_since=now - hour) == await count(changed_since=now - hour) == 1


async def test_from_threads_the_blocking_twins_do_the_same(app: App) -> None:
    await app.aenqueue("flaky")

    def work() -> list[int]:
        chosen = app.select(queue="A")
        done = [len(chosen.list()), chosen.run_now().refused, chosen.cancel().done, chosen.retry().done]
        done.append(chosen.delete().done)
        app.close()
        return done

    assert await asyncio.to_thread(work) == [1] * 5
    for blocking in (app.select(queue="A").list, app.select(queue="A").cancel, app.select(queue="A").delete):
        with pytest.raises(BlockingCallError, match="await a"):
            blocking()


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({}, InvalidSettingError),
        ({"everything": True, "queue": "A"}, InvalidSettingError),
        ({"states": "gone"}, InvalidSettingError),
        ({"queue": "a b"}, InvalidNameError),
        ({"ids": ["a.b"]}, InvalidNameError),
        ({"limit": -1, "queue": "A"}, InvalidSettingError),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(wanted: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        App("t").select(**wanted)


async def test_a_rate_that_makes_no_sense_is_refused(app: App) -> None:
    with pytest.raises(InvalidSettingError, match="rate"):
        await app.select(everything=True).acancel(rate=-1)


async def test_two_thousand_tasks_are_cancelled_while_a_worker_runs_some(app: App) -> None:
    app.mended = True  # type: ignore[attr-defined]
    handles = await app.aenqueue_many([("flaky", None)] * 2000)

    async with Worker(app, queues=["A"]):
        report = await app.select(task_type="flaky").acancel()
        for handle in handles:
            await handle.await_end(20)

    ends = await states(handles)
    assert set(ends) <= {"cancelled", "complete"}
    assert report.tried + (2000 - report.matched) == 2000
    assert ends.count("cancelled") <= report.done
    assert report.failed == 0
