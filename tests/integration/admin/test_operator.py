from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from jetq.admin.operator import DeletedTask, Operator
from jetq.errors import InvalidNameError, RequestRefusedError, TaskNotFoundError, UnknownQueueError
from jetq.jetstream.connection import Connection
from jetq.jetstream.queue_changes import QueueChanges
from jetq.jetstream.stream_message import last_message
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import SCHEDULE, SCHEDULE_TARGET, Names
from tests.integration import golayout


@pytest.fixture
async def names(connection: Connection, namespace: str) -> Names:
    names = Names(namespace)
    await Topology(connection, names, StoreSettings()).ensure([Queue("EMAIL")])
    return names


@pytest.fixture
async def operator(connection: Connection, names: Names) -> Operator:
    return Operator(connection, names)


def record(task_id: str, **fields: Any) -> bytes:
    given = {"id": task_id, "type": "email:new", "queue": "EMAIL", "payload": None, "max_tries": 3, "tries": 0}
    return msgspec.json.encode(given | {"state": "new", "created": datetime.now(UTC)} | fields)


async def schedule(connection: Connection, names: Names, task_id: str) -> None:
    headers = {SCHEDULE: "@at 2099-01-01T00:00:00Z", SCHEDULE_TARGET: names.due("EMAIL", task_id)}
    await connection.request(names.schedule("EMAIL", task_id), b"{}", headers=headers)


async def messages(connection: Connection, *streams: str) -> list[int]:
    return [(await connection.api(f"STREAM.INFO.{stream}"))["state"]["messages"] for stream in streams]


async def test_a_task_is_deleted_with_its_item_and_its_schedule(
    connection: Connection, names: Names, operator: Operator
) -> None:
    for task_id in ("t1", "t2"):
        await connection.request(names.record(task_id), record(task_id))
        await connection.request(names.item("EMAIL", task_id), b"{}")
        await schedule(connection, names, task_id)

    deleted = await operator.delete_task("t1")

    assert deleted == DeletedTask(task_id="t1", state="new", queue="EMAIL", was_queued=True, was_scheduled=True)
    assert await messages(connection, names.tasks, names.queue("EMAIL"), names.schedules) == [1, 1, 1]
    assert await last_message(connection, names.tasks, names.record("t2")) is not None
    with pytest.raises(TaskNotFoundError):
        await operator.delete_task("t1")


async def test_a_run_of_a_deleted_task_cannot_write_any_more(
    connection: Connection, names: Names, operator: Operator
) -> None:
    await connection.request(names.record("t1"), record("t1", state="active"))

    await operator.delete_task("t1")

    headers = {"Nats-Expected-Last-Subject-Sequence": "1"}
    answer = await connection.request(names.record("t1"), record("t1", state="complete"), headers=headers)
    assert b"10071" in answer.data


async def test_garbage_in_the_place_of_a_record_can_be_deleted(
    connection: Connection, names: Names, operator: Operator
) -> None:
    await connection.request(names.record("bad"), b"garbage")
    await schedule(connection, names, "bad")

    deleted = await operator.delete_task("bad")

    assert (deleted.state, deleted.queue, deleted.was_scheduled) == ("malformed", "", True)
    assert await messages(connection, names.tasks, names.schedules) == [0, 0]


async def test_a_record_that_changes_meanwhile_is_read_again(
    connection: Connection, names: Names, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.request(names.record("t1"), record("t1"))
    api = connection.api
    changed = False

    async def changing(action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        nonlocal changed
        if action.startswith("STREAM.MSG.DELETE") and not changed:
            changed = True
            await connection.request(names.record("t1"), record("t1", state="complete"))
        return await api(action, body, timeout=timeout)

    monkeypatch.setattr(connection, "api", changing)

    assert (await operator.delete_task("t1")).state == "complete"
    assert await messages(connection, names.tasks) == [0]


async def test_a_task_whose_queue_is_gone_can_be_deleted(
    connection: Connection, names: Names, operator: Operator
) -> None:
    await connection.request(names.record("t1"), record("t1", queue="GONE"))

    assert not (await operator.delete_task("t1")).was_queued


async def test_a_store_that_forbids_deleting_says_so(connection: Connection, namespace: str) -> None:
    names = Names(namespace)
    await golayout.make_store(connection, namespace, deny_delete=True)
    await connection.request(names.record("t1"), record("t1"))

    with pytest.raises(RequestRefusedError, match=r"STREAM\.MSG\.DELETE"):
        await Operator(connection, names).delete_task("t1")


async def test_illegal_names_reach_no_subject(operator: Operator) -> None:
    with pytest.raises(InvalidNameError):
        await operator.delete_task("*")
    with pytest.raises(InvalidNameError):
        await operator.purge_queue(">")
    with pytest.raises(InvalidNameError):
        await operator.delete_queue("A B")
    with pytest.raises(InvalidNameError):
        await operator.configure_queue("", QueueChanges())


async def test_deleting_where_nothing_is_finds_nothing(connection: Connection, namespace: str) -> None:
    with pytest.raises(TaskNotFoundError):
        await Operator(connection, Names(namespace)).delete_task("t1")


async def test_queues_are_added_changed_emptied_and_removed(
    connection: Connection, names: Names, operator: Operator
) -> None:
    assert await operator.add_queue(Queue("BULK", max_concurrent=3))
    assert not await operator.add_queue(Queue("BULK", max_concurrent=5))
    await connection.request(names.item("BULK", "t1"), b"{}")

    info = await operator.configure_queue("BULK", QueueChanges(max_concurrent=7))

    assert info.settings is not None
    assert (info.settings.max_concurrent, info.items) == (7, 1)
    assert await operator.purge_queue("BULK") == 1
    await operator.delete_queue("BULK")
    with pytest.raises(UnknownQueueError):
        await operator.purge_queue("BULK")
