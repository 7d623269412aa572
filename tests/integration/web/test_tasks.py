"""Tasks over HTTP."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from jetq.app.application import App
from jetq.settings import WorkerSettings
from jetq.web.task_bodies import Task
from jetq.web.tasks import _read
from jetq.worker.worker import Worker
from tests.integration.web.calling import Answered, Caller

PATH = "/v1/tasks"


async def make(api: Caller, key: str = "", **said: Any) -> Answered:
    caller = api.using(idempotency_key=key) if key else api
    return await caller.post(PATH, {"type": "report:new", **said})


async def state_of(api: Caller, task_id: str) -> str:
    return str((await api.get(f"{PATH}/{task_id}")).json["display_state"])


async def test_a_task_that_is_made_runs_and_shows_its_result(api: Caller, app: App) -> None:
    made = await make(api, type="email:new", payload={"to": "a@b.c"})
    assert (made.status, made.headers["location"]) == (201, f"{PATH}/{made.json['id']}")
    async with Worker(app, settings=WorkerSettings(concurrency=1)):
        await app.handle(made.json["id"]).aresult(10)
    read = (await api.get(f"{PATH}/{made.json['id']}")).json

    assert (made.json["state"], made.json["queue"], made.json["max_tries"]) == ("new", "MAIL", 3)
    assert base64.b64decode(made.json["payload"]) == b'{"to": "a@b.c"}'
    assert (read["state"], read["display_state"], read["tries"]) == ("complete", "complete", 1)
    assert read["result"]["payload"] == "a@b.c"


async def test_a_task_is_made_as_its_options_say(api: Caller, app: App) -> None:
    parent = (await make(api)).json["id"]
    deadline = datetime.now(UTC) + timedelta(hours=2)

    own = await make(api, id="own-id", queue="DEFAULT", max_tries=0, deadline=deadline.isoformat(), delay="1h")
    child = await make(api, dependencies=[parent, parent], load_dependencies=True)
    raw = await make(api, payload_base64=base64.b64encode(b"\x00").decode())
    record = await app.handle("own-id").arecord()

    assert (own.status, own.json["id"], own.json["state"], own.json["display_state"]) == (
        201,
        "own-id",
        "new",
        "scheduled",
    )
    assert (record.max_tries, record.deadline) == (0, deadline)
    assert record.due is not None
    assert timedelta(minutes=59) < record.due - record.created <= timedelta(hours=1)
    assert (child.json["state"], child.json["dependencies"]) == ("blocked", [parent])
    assert child.json["load_dependencies"] is True
    assert raw.json["payload"] == "AA=="


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param({"type": "a b"}, (400, "invalid_argument", "task_type_invalid", "type"), id="type"),
        pytest.param({"queue": "a b"}, (400, "invalid_argument", "queue_invalid", "queue"), id="queue"),
        pytest.param({"id": "a b"}, (400, "invalid_argument", "task_id_invalid", "id"), id="id"),
        pytest.param({"max_tries": -1}, (400, "invalid_argument", "value_invalid", "max_tries"), id="tries"),
        pytest.param(
            {"deadline": "2020-01-01T00:00:00Z"}, (400, "invalid_argument", "value_invalid", "deadline"), id="past"
        ),
        pytest.param({"deadline": "soon"}, (400, "invalid_argument", "invalid_json", "deadline"), id="no time"),
        pytest.param({"delay": "1d"}, (400, "invalid_argument", "invalid_duration", "delay"), id="delay"),
        pytest.param(
            {"delay": "1h", "run_at": "2030-01-01T00:00:00Z"},
            (400, "invalid_argument", "value_invalid", "run_at"),
            id="two starts",
        ),
        pytest.param(
            {"payload": {}, "payload_base64": ""}, (400, "invalid_argument", "payload_both_set", "payload"), id="both"
        ),
        pytest.param(
            {"dependencies": ["nobody"]}, (409, "dependency_failed", "task_not_found", "dependencies"), id="no parent"
        ),
        pytest.param(
            {"dependencies": ["a b"]}, (400, "invalid_argument", "task_id_invalid", "dependencies"), id="no id"
        ),
        pytest.param(
            {"signature": "00"}, (400, "signature_invalid", "signature_foreign", "signature"), id="a signature"
        ),
        pytest.param({"retries": 1}, (400, "invalid_argument", "invalid_json", "retries"), id="unknown"),
    ],
)
async def test_what_cannot_be_meant_names_its_field(
    api: Caller, said: dict[str, Any], problem: tuple[int, str, str, str]
) -> None:
    assert (await make(api, **said)).problem == problem
    assert (await api.get(PATH)).json["count"] == 0


async def test_a_full_queue_asks_the_caller_to_come_back(api: Caller) -> None:
    await api.post("/v1/queues", {"name": "SMALL", "max_entries": 1})
    assert (await make(api, queue="SMALL")).status == 201

    assert (await make(api, queue="SMALL")).problem == (429, "rate_limited", "queue_full", "queue")


async def test_an_idempotency_key_makes_one_task(api: Caller) -> None:
    together = await asyncio.gather(*(make(api, "order 17/é", payload={"n": 1}) for _ in range(5)))
    other = await make(api, "order 18", payload={"n": 1})
    reused = await make(api, "order 18", payload={"n": 2})
    long, both = await make(api, "x" * 129), await make(api, "k", id="own")

    assert sorted(answered.status for answered in together) == [200, 200, 200, 200, 201]
    assert len({answered.json["id"] for answered in together}) == 1
    assert len({answered.headers["location"] for answered in together}) == 1
    assert other.json["id"] != together[0].json["id"]
    assert reused.problem == (409, "duplicate", "duplicate_item", "")
    assert long.problem == (400, "invalid_argument", "idempotency_key_invalid", "Idempotency-Key")
    assert both.problem == (400, "invalid_argument", "id_and_idempotency_key", "id")
    assert (await api.get(PATH)).json["count"] == 2


async def test_tasks_are_listed_by_what_they_are_like(api: Caller) -> None:
    first = (await make(api, type="a", queue="DEFAULT")).json
    await make(api, type="b", queue="MAIL", delay="1h")
    cancelled = (await make(api, type="a", queue="MAIL")).json
    await api.post(f"{PATH}/{cancelled['id']}/cancel")

    async def types(query: str) -> list[str]:
        return [task["type"] for task in (await api.get(f"{PATH}?{query}")).json["tasks"]]

    assert sorted(await types("")) == ["a", "a", "b"]
    assert await types("state=scheduled") == ["b"]
    assert sorted(await types("state=scheduled&state=cancelled")) == ["a", "b"]
    assert await types("queue=DEFAULT") == ["a"]
    assert await types("type=b") == ["b"]
    assert len(await types(f"created_since={first['created']}")) == 3
    assert await types("created_since=2999-01-01T00:00:00%2B01:00") == []
    assert (await api.get(f"{PATH}?limit=2")).json["complete"] is False
    assert (await api.get(f"{PATH}?limit=5000")).json["complete"] is True
    lines = await api.get(f"{PATH}?stream=ndjson&queue=DEFAULT")
    assert (lines.headers["content-type"], lines.data.count(b"\n")) == ("application/x-ndjson", 1)
    assert json.loads(lines.data)["id"] == first["id"]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        pytest.param("limit=0", (400, "invalid_argument", "limit_invalid", "limit"), id="limit"),
        pytest.param("state=done", (400, "invalid_argument", "value_invalid", "state"), id="state"),
        pytest.param("queue=a b", (400, "invalid_argument", "queue_invalid", "queue"), id="queue"),
        pytest.param("stream=xml", (400, "invalid_argument", "stream_invalid", "stream"), id="stream"),
        pytest.param(
            "created_since=today", (400, "invalid_argument", "created_since_invalid", "created_since"), id="since"
        ),
        pytest.param(
            "created_since=2026-01-01T00:00:00", (400, "invalid_argument", "invalid_time", "created_since"), id="zone"
        ),
    ],
)
async def test_a_list_that_cannot_be_meant_is_refused(
    api: Caller, query: str, problem: tuple[int, str, str, str]
) -> None:
    assert (await api.get(f"{PATH}?{query}")).problem == problem


async def test_a_list_holds_no_more_than_fits(api: Caller, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [(await make(api, payload="x" * 1000)).json["id"] for _ in range(5)]
    monkeypatch.setattr("jetq.web.tasks._MOST_BYTES", 5000)

    found, is_whole = await _read((await app.clients.current()).backend, [*ids, "gone"])

    assert (len(found), is_whole) == (3, False)


async def test_more_lists_than_can_be_read_wait_for_their_turn(api: Caller) -> None:
    answered = await asyncio.gather(*(api.get(PATH) for _ in range(12)))

    refused = [each for each in answered if each.status != 200]
    assert refused
    assert {each.problem for each in refused} == {(429, "rate_limited", "list_in_progress", "")}


async def test_a_task_is_cancelled_retried_run_and_deleted(api: Caller) -> None:
    task_id = (await make(api, delay="1h")).json["id"]

    cancelled = await api.post(f"{PATH}/{task_id}/cancel")
    again = await api.post(f"{PATH}/{task_id}/cancel")
    retried = await api.post(f"{PATH}/{task_id}/retry")
    late = (await make(api, delay="1h")).json["id"]
    hastened = await api.post(f"{PATH}/{late}/run")
    deleted = await api.call("DELETE", f"{PATH}/{task_id}")

    assert (cancelled.status, cancelled.json["display_state"]) == (200, "cancelled")
    assert (again.status, again.json) == (200, cancelled.json)
    assert (retried.status, retried.json["state"]) == (200, "retry")
    assert (hastened.status, hastened.json["display_state"]) == (200, "new")
    assert (deleted.status, deleted.data) == (204, b"")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/retry"), ("POST", "/cancel"), ("POST", "/run")):
        assert (await api.call(method, f"{PATH}/{task_id}{path}")).problem == (404, "not_found", "task_not_found", "")
    assert (await api.get(f"{PATH}/a b")).problem == (400, "invalid_argument", "task_id_invalid", "id")


async def test_a_task_that_runs_is_deleted_by_force_alone(api: Caller, app: App) -> None:
    @app.task("hang")
    async def hang() -> None:
        await asyncio.sleep(60)

    task_id = (await make(api, type="hang")).json["id"]
    async with Worker(app, settings=WorkerSettings(concurrency=1, shutdown_timeout=0.1)):
        async with asyncio.timeout(10):
            while await state_of(api, task_id) != "active":  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)
        retried, refused = await api.post(f"{PATH}/{task_id}/retry"), await api.call("DELETE", f"{PATH}/{task_id}")
        wrong = await api.call("DELETE", f"{PATH}/{task_id}?force=1")
        forced = await api.call("DELETE", f"{PATH}/{task_id}?force=true")

    assert retried.problem == refused.problem == (409, "conflict", "task_already_active", "")
    assert wrong.problem == (400, "invalid_argument", "force_invalid", "force")
    assert forced.status == 204


async def test_what_came_of_each_of_many_retries_is_told(api: Caller) -> None:
    ended = (await make(api)).json["id"]
    await api.post(f"{PATH}/{ended}/cancel")

    told = await api.post(f"{PATH}/retry", {"ids": [ended, "gone", "a b", ended]})
    none = await api.post(f"{PATH}/retry", {"ids": []})
    many = await api.post(f"{PATH}/retry", {"ids": ["x"] * 101})

    assert told.status == 200
    assert [(each["id"], each["status"]) for each in told.json["results"]] == [
        (ended, "ok"),
        ("gone", "not_found"),
        ("a b", "failed"),
        (ended, "ok"),
    ]
    assert "error" not in told.json["results"][0]
    assert told.json["results"][1]["error"].startswith("there is no task gone")
    assert none.problem == (400, "invalid_argument", "ids_required", "ids")
    assert many.problem == (400, "invalid_argument", "ids_too_many", "ids")


async def test_a_record_that_is_none_is_a_conflict_and_no_defect(api: Caller, app: App) -> None:
    task_id = (await make(api)).json["id"]
    backend = (await app.clients.current()).backend
    found = await backend.tasks.read(task_id)
    assert found is not None
    await backend.publisher.publish(backend.tasks.publication(task_id, b"{}", found.sequence))

    assert (await api.get(f"{PATH}/{task_id}")).problem == (409, "conflict", "record_malformed", "")
    assert (await api.get(PATH)).json["count"] == 0


def test_the_fields_of_a_task_are_those_of_asyncjobs() -> None:
    required = {"id", "type", "state", "created", "payload"}
    go = required | {
        "queue", "dependencies", "dependency_results", "load_dependencies", "deadline", "max_tries", "result", "tried",
        "tries", "last_err", "signature",
    }  # fmt: skip
    assert go <= {field.name for field in msgspec.structs.fields(Task)}
