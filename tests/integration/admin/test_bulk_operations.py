"""One operation on many tasks: which ones, how fast, and what is told of them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jetq.admin import bulk_operations
from jetq.admin.bulk_operations import Pace, operate_many
from jetq.admin.bulk_report import BulkReport
from jetq.admin.task_filter import TaskFilter
from jetq.errors import InvalidSettingError, OperationRefusedError, ServerTimeoutError, TaskNotFoundError
from jetq.jetstream.connection import Connection
from jetq.jetstream.record_scan import measure_store
from jetq.jetstream.topology import Topology
from jetq.model.operation import Effect, OperatedTask, Operation
from jetq.settings import StoreSettings
from jetq.wire.names import Names
from tests.integration.watching import eventually

Apply = Callable[..., Awaitable[BulkReport]]


@pytest.fixture
async def names(connection: Connection, namespace: str) -> Names:
    names = Names(namespace)
    await Topology(connection, names, StoreSettings()).ensure([])
    return names


def record(task_id: str, **fields: Any) -> bytes:
    given = {"id": task_id, "type": "email:new", "queue": "EMAIL", "payload": None, "max_tries": 3, "tries": 0}
    return msgspec.json.encode(given | {"state": "new", "created": datetime.now(UTC)} | fields)


async def store(connection: Connection, names: Names, *task_ids: str, **fields: Any) -> None:
    for task_id in task_ids:
        await connection.request(names.record(task_id), record(task_id, **fields))


def ids(count: int) -> list[str]:
    return [f"t{number:05}" for number in range(count)]


class Doer:
    """Notes what it is asked to do, in order; the first ones wait until so many are *together*."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.times: list[float] = []
        self.under_way = self.most = 0
        self.errors: dict[str, Exception] = {}
        self.together = 1
        self._met = asyncio.Event()

    async def __call__(self, task_id: str) -> OperatedTask:
        self.did.append(task_id)
        self.times.append(asyncio.get_running_loop().time())
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way >= self.together:
            self._met.set()
        await self._met.wait()
        await asyncio.sleep(0)
        self.under_way -= 1
        if task_id in self.errors:
            raise self.errors[task_id]
        return OperatedTask(
            task_id=task_id, operation=Operation.CANCEL, effect=Effect.ENDED, before="new", after="cancelled"
        )


@pytest.fixture
def doer() -> Doer:
    return Doer()


async def test_every_task_that_matches_is_operated_on_once_in_the_order_of_its_writing(
    connection: Connection, names: Names, doer: Doer
) -> None:
    await store(connection, names, "a", "b", "c")
    await store(connection, names, "other", queue="OTHER")
    await store(connection, names, "a")

    report = await operate_many(connection, names, TaskFilter(queue="EMAIL", limit=0), doer, pace=Pace(at_once=1))

    assert doer.did == ["b", "c", "a"]
    assert (report.matched, report.done, report.effects, report.states) == (3, 3, {"ended": 3}, {"new": 3})
    assert (report.scanned, report.complete, report.is_clean, report.tried) == (4, True, True, 3)


async def test_a_new_connection_asks_for_the_servers_time_before_it_says_what_is_old(
    connection: Connection, names: Names, doer: Doer
) -> None:
    await store(connection, names, "a", created=datetime.now(UTC) - timedelta(hours=2))
    connection.clock.skew = timedelta(hours=2)  # nonsense, which the next answer about a stream sets right

    report = await operate_many(connection, names, TaskFilter(created_before=timedelta(hours=1), limit=0), doer)

    assert report.done == 1


async def test_a_dry_run_counts_and_changes_nothing(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, *ids(30))
    await store(connection, names, "x", state="complete")

    report = await operate_many(connection, names, TaskFilter(limit=0), doer, dry_run=True)

    assert doer.did == []
    assert (report.dry_run, report.matched, report.done) == (True, 31, 0)
    assert report.states == {"new": 30, "complete": 1}
    assert [task.id for task in report.sample] == ids(20)


@pytest.mark.parametrize(("limit", "complete"), [(3, False), (5, True), (6, True)])
@pytest.mark.parametrize("dry_run", [True, False], ids=["dry", "done"])
@pytest.mark.parametrize("by_id", [True, False], ids=["ids", "filter"])
async def test_a_limit_says_whether_there_are_more(
    connection: Connection, names: Names, doer: Doer, *, limit: int, complete: bool, dry_run: bool, by_id: bool
) -> None:
    await store(connection, names, *ids(5))
    chosen = TaskFilter(ids=ids(5) if by_id else (), limit=limit)

    report = await operate_many(connection, names, chosen, doer, dry_run=dry_run)

    assert (report.matched, report.complete) == (min(limit, 5), complete)
    assert sorted(doer.did) == ([] if dry_run else ids(min(limit, 5)))


async def test_parts_of_a_scan_make_one_bulk(
    connection: Connection, names: Names, doer: Doer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_operations, "_PART", 7)
    await store(connection, names, *ids(30))

    report = await operate_many(connection, names, TaskFilter(limit=0), doer)

    assert (sorted(doer.did), report.matched, report.scanned) == (ids(30), 30, 30)


async def test_what_the_bulk_itself_writes_is_not_found_again(
    connection: Connection, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_operations, "_PART", 2)
    await store(connection, names, *ids(9), state="expired", end="max_tries")
    doer = Doer()

    async def retry(task_id: str) -> OperatedTask:
        await store(connection, names, task_id, state="expired", end="max_tries")  # it ran, and failed again
        return await doer(task_id)

    await operate_many(connection, names, TaskFilter(states=["expired"], limit=0), retry, pace=Pace(at_once=1))

    assert doer.did == ids(9)


async def test_a_task_that_matches_no_more_when_its_turn_comes_is_left_alone(
    connection: Connection, names: Names, doer: Doer
) -> None:
    await store(connection, names, "a", "b", "c", "d")

    async def meddling(task_id: str) -> OperatedTask:
        if task_id == "a":
            await store(connection, names, "b", state="complete")
            await connection.api(f"STREAM.PURGE.{names.tasks}", {"filter": names.record("c")})
        return await doer(task_id)

    report = await operate_many(connection, names, TaskFilter(states=["new"], limit=0), meddling, pace=Pace(at_once=1))

    assert doer.did == ["a", "d"]
    assert (report.matched, report.done, report.changed, report.gone) == (4, 2, 1, 1)
    assert report.is_clean


async def test_outcomes_are_counted_with_their_reasons(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, *ids(9))
    for task_id in ids(4):
        doer.errors[task_id] = OperationRefusedError(task_id, "cancel", "complete", "it has ended")
    doer.errors["t00004"] = TaskNotFoundError("t00004")
    doer.errors["t00005"] = ServerTimeoutError("the write of t00005", 5)

    report = await operate_many(connection, names, TaskFilter(limit=0), doer)

    assert (report.done, report.refused, report.gone, report.failed, report.tried) == (3, 4, 1, 1, 9)
    refused, failed = report.reasons.items()
    assert (refused[0], refused[1].count) == ("complete: it has ended", 4)
    assert len(refused[1].first) == 3  # of those that the server answered first
    assert set(refused[1].first) < set(ids(4))
    assert "the write of ..." in failed[0]
    assert not report.is_clean


async def test_a_bulk_whose_operations_all_fail_gives_up(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, *ids(100))
    for task_id in ids(100):
        doer.errors[task_id] = ServerTimeoutError("STREAM.MSG.GET", 5)

    report = await operate_many(connection, names, TaskFilter(limit=0), doer, pace=Pace(at_once=4))

    assert 20 <= report.failed <= 24
    assert (report.complete, "STREAM.MSG.GET" in report.fault) == (False, True)
    assert len(report.reasons) == 1


async def test_failures_between_successes_do_not_end_a_bulk(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, *ids(60))
    for task_id in ids(60)[::2]:
        doer.errors[task_id] = ServerTimeoutError("STREAM.MSG.GET", 5)

    report = await operate_many(connection, names, TaskFilter(limit=0), doer)

    assert (report.failed, report.done, report.fault) == (30, 30, "")


async def test_ids_are_operated_on_unread_and_each_once(connection: Connection, names: Names, doer: Doer) -> None:
    await connection.request(names.record("bad"), b"garbage")

    report = await operate_many(connection, names, TaskFilter(ids=["bad", "bad", "nothing"]), doer)

    assert (doer.did, report.matched, report.done) == (["bad", "nothing"], 2, 2)


async def test_a_dry_run_by_ids_says_what_is_there(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, "a", "b")
    await connection.request(names.record("bad"), b"garbage")

    report = await operate_many(connection, names, TaskFilter(ids=["a", "bad", "b", "nothing"]), doer, dry_run=True)

    assert (report.matched, report.failed, report.gone, report.complete) == (2, 1, 1, True)
    assert doer.did == []


async def test_ids_with_other_wishes_are_read_first(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, "a")
    await store(connection, names, "b", queue="OTHER")

    report = await operate_many(connection, names, TaskFilter(ids=["a", "b", "c"], queue="EMAIL"), doer)

    assert (doer.did, report.done, report.changed, report.gone) == (["a"], 1, 1, 1)


async def test_a_rate_is_not_exceeded(connection: Connection, names: Names, doer: Doer) -> None:
    await operate_many(connection, names, TaskFilter(ids=ids(40)), doer, pace=Pace(rate=200))

    assert doer.times[-1] - doer.times[0] >= 0.1, "39 tasks at 200 a second, less what may be caught up"


async def test_a_bulk_that_fell_behind_does_not_rush(connection: Connection, names: Names, doer: Doer) -> None:
    async def slow_at_first(task_id: str) -> OperatedTask:
        await asyncio.sleep(0.0 if doer.did else 0.5)
        return await doer(task_id)

    await operate_many(connection, names, TaskFilter(ids=ids(11)), slow_at_first, pace=Pace(rate=50, at_once=1))

    assert doer.times[-1] - doer.times[0] >= 0.1, "10 tasks at 50 a second, less what may be caught up"


@pytest.mark.parametrize("at_once", [1, 3])
async def test_a_bounded_number_is_under_way(connection: Connection, names: Names, doer: Doer, at_once: int) -> None:
    await store(connection, names, *ids(20))
    doer.together = at_once

    await operate_many(connection, names, TaskFilter(limit=0), doer, pace=Pace(at_once=at_once))

    assert doer.most == at_once


async def test_progress_is_told_as_it_is_made(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, *ids(5))
    told: list[int] = []

    def progress(report: BulkReport) -> None:
        told.append(report.tried)

    await operate_many(connection, names, TaskFilter(limit=0), doer, pace=Pace(at_once=1), on_progress=progress)

    assert told == [0, 1, 2, 3, 4, 5]


async def test_garbage_is_counted_and_left_alone(connection: Connection, names: Names, doer: Doer) -> None:
    await store(connection, names, "a")
    await connection.request(names.record("bad"), b"garbage")

    report = await operate_many(connection, names, TaskFilter(limit=0), doer)

    assert (doer.did, report.matched, report.malformed) == (["a"], 1, 1)


async def test_where_there_is_no_store_there_are_no_tasks(connection: Connection, namespace: str, doer: Doer) -> None:
    names = Names(namespace)

    report = await operate_many(connection, names, TaskFilter(limit=0), doer)
    named = [
        await operate_many(connection, names, TaskFilter(ids=["a"]), doer, dry_run=dry_run) for dry_run in (True, False)
    ]

    assert (report.matched, report.complete, doer.did) == (0, True, [])
    assert [one.gone for one in named] == [1, 1]


@pytest.mark.parametrize("pace", [{"rate": 0}, {"rate": -1}, {"rate": float("nan")}, {"at_once": 0}], ids=str)
async def test_a_pace_that_makes_no_sense_is_refused(
    connection: Connection, names: Names, doer: Doer, pace: dict[str, Any]
) -> None:
    with pytest.raises(InvalidSettingError):
        await operate_many(connection, names, TaskFilter(), doer, pace=Pace(**pace))


async def test_twenty_thousand_tasks_are_no_matter(connection: Connection, names: Names, doer: Doer) -> None:
    for number, task_id in enumerate(ids(20_000)):
        connection.send(names.record(task_id), record(task_id))
        if number % 1000 == 0:
            await connection.api("INFO")

    async def stored() -> bool:
        return (await measure_store(connection, names)).messages == 20_000

    await eventually(stored)

    report = await operate_many(connection, names, TaskFilter(queue="EMAIL", limit=0), doer)

    assert report.done == report.matched == len(set(doer.did)) == 20_000
