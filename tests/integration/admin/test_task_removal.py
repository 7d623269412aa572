"""Deleting tasks: all that belongs to one, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jetq.admin.task_operations import TaskOperations
from jetq.client.enqueue import Enqueuer
from jetq.client.request import EnqueueRequest
from jetq.errors import InvalidNameError, OperationRefusedError, RequestRefusedError, TaskNotFoundError
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.stream_message import last_message
from jetq.model.operation import Effect, OperatedTask, Operation
from jetq.observe.bus import Bus
from jetq.settings import Settings
from jetq.wire.names import SCHEDULE, SCHEDULE_TARGET
from tests.integration import golayout


@pytest.fixture
def operations(backend: Backend) -> TaskOperations:
    return TaskOperations(backend)


def record(task_id: str, **fields: Any) -> bytes:
    given = {"id": task_id, "type": "email:new", "queue": "DEFAULT", "payload": None, "max_tries": 3, "tries": 0}
    return msgspec.json.encode(given | {"state": "new", "created": datetime.now(UTC)} | fields)


async def schedule(backend: Backend, task_id: str) -> None:
    headers = {SCHEDULE: "@at 2099-01-01T00:00:00Z", SCHEDULE_TARGET: backend.names.due("DEFAULT", task_id)}
    await backend.connection.request(backend.names.schedule("DEFAULT", task_id), b"{}", headers=headers)


async def messages(backend: Backend) -> list[int]:
    names = backend.names
    return [
        (await backend.connection.api(f"STREAM.INFO.{stream}"))["state"]["messages"]
        for stream in (names.tasks, names.queue("DEFAULT"), names.schedules)
    ]


async def test_a_task_is_deleted_with_its_item_and_its_schedule(backend: Backend, operations: TaskOperations) -> None:
    for task_id in ("t1", "t2"):
        await backend.connection.request(backend.names.record(task_id), record(task_id))
        await backend.connection.request(backend.names.item("DEFAULT", task_id), b"{}")
        await schedule(backend, task_id)

    deleted = await operations.delete("t1")

    assert deleted == OperatedTask(
        task_id="t1",
        operation=Operation.DELETE,
        effect=Effect.REMOVED,
        before="new",
        after="",
        queue="DEFAULT",
        detail="removed",
    )
    assert await messages(backend) == [1, 1, 1]
    assert await last_message(backend.connection, backend.names.tasks, backend.names.record("t2")) is not None
    with pytest.raises(TaskNotFoundError):
        await operations.delete("t1")


async def test_a_task_that_is_enqueued_again_in_that_moment_keeps_its_schedule(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueuer, api = Enqueuer(backend, {}), backend.connection.api
    wish = EnqueueRequest(
        type="x:y", queue="DEFAULT", payload=b"{}", max_tries=3, due=timedelta(hours=1), task_id="again"
    )
    await enqueuer.enqueue(wish)

    async def delayed(subject: str, *rest: Any, **more: Any) -> dict[str, Any]:
        answer = await api(subject, *rest, **more)
        if subject.startswith("STREAM.MSG.DELETE"):
            await enqueuer.enqueue(wish)
        return answer

    monkeypatch.setattr(backend.connection, "api", delayed)
    await operations.delete("again")

    stored = await backend.tasks.read("again")
    assert stored is not None
    assert await backend.queues.is_placed(stored)


async def test_a_run_of_a_deleted_task_cannot_write_any_more(backend: Backend, operations: TaskOperations) -> None:
    await backend.connection.request(backend.names.record("t1"), record("t1", state="active"))
    with pytest.raises(OperationRefusedError, match="force"):
        await operations.delete("t1")

    await operations.delete("t1", force=True)

    headers = {"Nats-Expected-Last-Subject-Sequence": "1"}
    answer = await backend.connection.request(
        backend.names.record("t1"), record("t1", state="complete"), headers=headers
    )
    assert b"10071" in answer.data


async def test_garbage_in_the_place_of_a_record_can_be_deleted(backend: Backend, operations: TaskOperations) -> None:
    await backend.connection.request(backend.names.record("bad"), b"garbage")
    await schedule(backend, "bad")

    deleted = await operations.delete("bad")

    assert (deleted.before, deleted.queue) == ("malformed", "")
    assert await messages(backend) == [0, 0, 0]


async def test_a_record_that_changes_meanwhile_is_read_again(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, names = backend.connection, backend.names
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

    assert (await operations.delete("t1")).before == "complete"
    assert (await messages(backend))[0] == 0


async def test_a_task_that_begins_to_run_meanwhile_is_not_deleted(
    backend: Backend, operations: TaskOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, names = backend.connection, backend.names
    await connection.request(names.record("t1"), record("t1"))
    api = connection.api

    async def claiming(action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        if action.startswith("STREAM.MSG.DELETE"):
            await connection.request(names.record("t1"), record("t1", state="active"))
        return await api(action, body, timeout=timeout)

    monkeypatch.setattr(connection, "api", claiming)

    with pytest.raises(OperationRefusedError):
        await operations.delete("t1")
    assert (await messages(backend))[0] == 1


async def test_a_task_whose_queue_is_gone_can_be_deleted(backend: Backend, operations: TaskOperations) -> None:
    await backend.connection.request(backend.names.record("t1"), record("t1", queue="GONE"))

    assert (await operations.delete("t1")).queue == "GONE"


async def test_a_store_that_forbids_deleting_says_so(connection: Connection, namespace: str) -> None:
    await golayout.make_store(connection, namespace, deny_delete=True)
    backend = await Backend.over(connection, Settings(namespace=namespace), bus=Bus())
    await connection.request(backend.names.record("t1"), record("t1"))

    with pytest.raises(RequestRefusedError, match=r"STREAM\.MSG\.DELETE"):
        await TaskOperations(backend).delete("t1")
    backend.publisher.close()


async def test_illegal_names_reach_no_subject(operations: TaskOperations) -> None:
    for operate in (operations.delete, operations.cancel, operations.retry, operations.run_now):
        with pytest.raises(InvalidNameError):
            await operate("*")


async def test_operating_where_nothing_is_finds_nothing(connection: Connection, namespace: str) -> None:
    backend = await Backend.over(connection, Settings(namespace=namespace), bus=Bus())
    operations = TaskOperations(backend)

    for operate in (operations.delete, operations.cancel, operations.retry, operations.run_now):
        with pytest.raises(TaskNotFoundError):
            await operate("t1")
    backend.publisher.close()
