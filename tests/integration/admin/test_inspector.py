import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jetq.admin import task_listing
from jetq.admin.inspector import Inspector
from jetq.admin.task_filter import TaskFilter
from jetq.errors import InvalidNameError, MalformedRecordError, TaskNotFoundError
from jetq.jetstream.connection import Connection
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import SCHEDULE, SCHEDULE_TARGET, Names
from tests.integration import golayout

START = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
async def names(connection: Connection, namespace: str) -> Names:
    names = Names(namespace)
    await Topology(connection, names, StoreSettings()).ensure([Queue("EMAIL"), Queue("BULK")])
    return names


@pytest.fixture
async def inspector(connection: Connection, names: Names) -> Inspector:
    return Inspector(connection, names)


def record(task_id: str, **fields: Any) -> bytes:
    given = {"id": task_id, "type": "email:new", "queue": "EMAIL", "payload": None, "max_tries": 3, "tries": 0}
    return msgspec.json.encode(given | {"state": "new", "created": datetime.now(UTC)} | fields)


async def store(connection: Connection, names: Names, task_id: str, **fields: Any) -> None:
    await connection.request(names.record(task_id), record(task_id, **fields))


async def fill(connection: Connection, names: Names, records: Iterable[tuple[str, bytes]]) -> None:
    """Store many, and return when the last is stored: the server takes those of one stream in their order."""
    *most, (last, data) = records
    for task_id, each in most:
        connection.send(names.record(task_id), each)
    await connection.request(names.record(last), data)


async def ids(inspector: Inspector, **wanted: Any) -> list[str]:
    return [task.id for task in (await inspector.list_tasks(TaskFilter(**wanted))).tasks]


async def test_five_thousand_tasks_are_filtered_and_counted(
    connection: Connection, names: Names, inspector: Inspector
) -> None:
    states = ("new", "active", "complete", "terminated", "retry")

    def one(number: int) -> tuple[str, bytes]:
        fields = {"state": states[number % 5], "queue": "BULK" if number % 2 else "EMAIL"}
        fields["type"] = "order:paid" if number % 10 == 0 else "email:new"
        task_id = f"t{number:04}"
        return task_id, record(task_id, created=START + timedelta(seconds=number), **fields)

    await fill(connection, names, map(one, range(5000)))

    assert await ids(inspector, limit=3) == ["t4999", "t4998", "t4997"]
    assert len(await ids(inspector)) == 200
    assert len(await ids(inspector, limit=0)) == 5000
    assert len(await ids(inspector, limit=0, states=["active", "retry"])) == 2000
    assert len(await ids(inspector, limit=0, queue="BULK")) == 2500
    assert len(await ids(inspector, limit=0, task_type="order:*")) == 500
    assert await ids(inspector, limit=2, task_type="order:paid", states=["new"]) == ["t4990", "t4980"]
    assert await ids(inspector, limit=2, states=["active"], queue="EMAIL") == ["t4996", "t4986"]
    late = START + timedelta(seconds=4990)
    assert await ids(inspector, created_since=late) == [f"t{number}" for number in range(4999, 4989, -1)]
    assert await ids(inspector, task_type="nothing") == []
    counts = await inspector.count_tasks()
    assert counts.total == 5000
    assert counts.by_state == dict.fromkeys(states, 1000)
    assert counts.by_queue["BULK"]["active"] == 500


async def test_a_short_list_reads_little_of_a_large_store(
    connection: Connection, names: Names, inspector: Inspector
) -> None:
    await fill(connection, names, [(f"t{number:04}", record(f"t{number:04}")) for number in range(5000)])

    listing = await inspector.list_tasks(TaskFilter(limit=10))

    assert len(listing.tasks) == 10
    assert not listing.complete
    assert listing.scanned == 1000
    whole = await inspector.list_tasks(TaskFilter(limit=0))
    assert (whole.complete, whole.scanned, whole.malformed) == (True, 5000, 0)


async def test_what_was_written_before_the_wanted_time_is_not_read(
    connection: Connection, names: Names, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_listing, "_CLOCKS", timedelta(0))
    await fill(connection, names, [(f"t{number:04}", record(f"t{number:04}")) for number in range(5000)])

    listing = await inspector.list_tasks(TaskFilter(created_since=datetime.now(UTC) + timedelta(hours=1)))

    assert (listing.tasks, listing.scanned, listing.complete) == ([], 1000, True)


async def test_a_list_knows_whether_it_is_complete(connection: Connection, names: Names, inspector: Inspector) -> None:
    for number in range(5):
        await store(connection, names, f"t{number}")

    assert not (await inspector.list_tasks(TaskFilter(limit=4))).complete
    assert (await inspector.list_tasks(TaskFilter(limit=5))).complete
    assert (await inspector.list_tasks(TaskFilter(limit=6))).complete
    assert (await inspector.list_tasks()).complete


async def test_tasks_that_changed_last_come_first_and_once(
    connection: Connection, names: Names, inspector: Inspector
) -> None:
    for task_id in ("a", "b", "c"):
        await store(connection, names, task_id)
    await store(connection, names, "a", state="complete")

    assert await ids(inspector) == ["a", "c", "b"]


async def test_states_are_asked_for_as_people_see_them(
    connection: Connection, names: Names, inspector: Inspector
) -> None:
    await store(connection, names, "plain")
    await store(connection, names, "later", due=datetime.now(UTC))
    await store(connection, names, "stopped", state="expired", end="cancelled")
    await store(connection, names, "late", state="expired", end="deadline")

    assert await ids(inspector, states=["new"]) == ["plain"]
    assert await ids(inspector, states=["scheduled"]) == ["later"]
    assert await ids(inspector, states=["cancelled"]) == ["stopped"]
    assert await ids(inspector, states=["expired"]) == ["late"]
    counts = await inspector.count_tasks()
    assert counts.by_state == {"new": 1, "scheduled": 1, "cancelled": 1, "expired": 1}


async def test_garbage_in_the_store_is_counted_and_named_and_breaks_nothing(
    connection: Connection, names: Names, inspector: Inspector
) -> None:
    await store(connection, names, "good")
    garbage = {
        "bytes": b"\xff\x00\xfe",
        "empty": b"",
        "list": b"[1,2,3]",
        "deep": b'{"id":' + b"[" * 5000,
        "partial": b'{"id":"partial"}',
        "wrong": record("another"),
        "state": record("state", state="dancing"),
        "time": record("time", created="yesterday"),
        "escape": record("escape", type="email\x1b[31m"),
    }
    for task_id, data in garbage.items():
        await connection.request(names.record(task_id), data)
    await store(connection, names, "fine")

    listing = await inspector.list_tasks()

    assert [task.id for task in listing.tasks] == ["fine", "good"]
    assert listing.malformed == len(garbage)
    assert {entry.task_id for entry in listing.malformed_entries} == set(garbage)
    assert all(entry.reason for entry in listing.malformed_entries)
    counts = await inspector.count_tasks()
    assert (counts.total, counts.by_state) == (2 + len(garbage), {"malformed": len(garbage), "new": 2})


async def test_a_task_that_changes_while_it_is_listed_is_found_as_it_became(
    connection: Connection, names: Names, inspector: Inspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(connection, names, [(f"t{number:04}", record(f"t{number:04}")) for number in range(3000)])
    scan = task_listing.scan_records
    windows = 0

    async def changing(*args: Any, **kwargs: Any) -> None:
        nonlocal windows
        windows += 1
        if windows == 2:  # between the window at the end and the one before it, which holds both
            await store(connection, names, "t0001", state="complete")
            await store(connection, names, "t0002", type="order:paid")
        await scan(*args, **kwargs)

    monkeypatch.setattr(task_listing, "scan_records", changing)
    monkeypatch.setattr(task_listing, "_first_window", lambda _extent, _limit: 1000)
    listing = await inspector.list_tasks(TaskFilter(limit=0, task_type="email:*"))

    found = {task.id: task.state for task in listing.tasks}
    assert len(listing.tasks) == len(found) == 2999
    assert found["t0001"] == "complete"
    assert "t0002" not in found


async def test_nothing_is_listed_where_nothing_is(connection: Connection, namespace: str) -> None:
    inspector = Inspector(connection, Names(namespace))

    assert (await inspector.list_tasks()).tasks == []
    assert (await inspector.list_tasks()).complete
    assert (await inspector.count_tasks()).total == 0
    assert await inspector.list_queues() == []
    overview = await inspector.describe_all()
    assert (overview.tasks, overview.queues, overview.streams, overview.size) == (0, [], [], 0)
    with pytest.raises(TaskNotFoundError):
        await inspector.view_task("t1")


async def test_a_task_is_shown_with_its_record_and_its_places(
    connection: Connection, names: Names, inspector: Inspector
) -> None:
    await store(connection, names, "t1", state="retry", vendor_key={"kept": True})
    await connection.request(names.item("EMAIL", "t1"), b"{}")
    headers = {SCHEDULE: "@at 2099-01-01T00:00:00Z", SCHEDULE_TARGET: names.due("EMAIL", "t1")}
    await connection.request(names.schedule("EMAIL", "t1"), b"{}", headers=headers)

    view = await inspector.view_task("t1")

    assert (view.document.record.id, view.document.record.state) == ("t1", "retry")
    assert msgspec.json.decode(view.document.encode())["vendor_key"] == {"kept": True}
    assert view.places == ("queue", "schedule")
    assert view.sequence == 1
    assert abs(datetime.now(UTC) - view.written) < timedelta(minutes=1)
    assert view.size == len(view.document.encode())


async def test_a_task_whose_queue_is_gone_is_still_shown(
    connection: Connection, names: Names, inspector: Inspector
) -> None:
    await store(connection, names, "t1", queue="GONE")

    assert (await inspector.view_task("t1")).places == ()


async def test_what_cannot_be_shown_is_said(connection: Connection, names: Names, inspector: Inspector) -> None:
    await connection.request(names.record("bad"), b"garbage")

    with pytest.raises(TaskNotFoundError, match="there is no task missing"):
        await inspector.view_task("missing")
    with pytest.raises(MalformedRecordError):
        await inspector.view_task("bad")
    with pytest.raises(InvalidNameError):
        await inspector.view_task("no.such > thing")
    with pytest.raises(InvalidNameError):
        await inspector.describe_queue("*")


async def test_an_overview_tells_of_everything(connection: Connection, names: Names, inspector: Inspector) -> None:
    for number in range(3):
        await store(connection, names, f"t{number}")
    await connection.request(names.item("EMAIL", "t1"), b"{}")
    headers = {SCHEDULE: "@at 2099-01-01T00:00:00Z", SCHEDULE_TARGET: names.due("EMAIL", "t2")}
    await connection.request(names.schedule("EMAIL", "t2"), b"{}", headers=headers)
    await connection.request(names.presence("w1"), b"{}")
    await golayout.make_queue(connection, names.namespace, "GO")

    overview = await inspector.describe_all()

    assert (overview.namespace, overview.tasks, overview.waiting, overview.workers) == (names.namespace, 3, 1, 1)
    assert [queue.name for queue in overview.queues] == ["BULK", "EMAIL", "GO"]
    assert [queue.items for queue in overview.queues] == [0, 1, 0]
    assert overview.server == connection.server
    assert overview.server_version == connection.server_version != ""
    assert overview.api_level >= 4
    assert len(overview.streams) == 7
    assert {stream.role for stream in overview.streams} >= {"task records", "waiting tasks", "elections"}
    assert overview.size == sum(one.size for one in (*overview.streams, *overview.queues)) > 0


async def test_listings_do_not_disturb_each_other(connection: Connection, names: Names, inspector: Inspector) -> None:
    for number in range(50):
        await store(connection, names, f"t{number}")

    lists = await asyncio.gather(*(inspector.list_tasks() for _ in range(8)))

    assert all(len(listing.tasks) == 50 for listing in lists)
