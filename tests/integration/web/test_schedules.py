"""Schedules over HTTP."""

import base64
from typing import Any

import msgspec
import pytest

from jetq.app.application import App
from jetq.model.stored_schedule import code_origin
from jetq.web.schedule_bodies import Schedule
from tests.integration.web.calling import Answered, Caller

WISH = {"name": "nightly", "schedule": "0 3 * * *", "queue": "DEFAULT", "task_type": "report:new"}
PATH = "/v1/schedules"


async def store(api: Caller, **said: Any) -> Answered:
    return await api.post(PATH, {**WISH, **said})


async def test_a_stored_schedule_is_what_asyncjobs_clients_expect(api: Caller) -> None:
    stored = await store(api, payload={"region": "south"}, deadline_offset="1m30s", max_tries=4)
    read, listed = await api.get(f"{PATH}/nightly"), await api.get(PATH)

    assert stored.status == 201
    assert stored.headers["location"] == f"{PATH}/nightly"
    assert read.json == stored.json
    assert listed.json == {"schedules": [stored.json]}
    found = stored.json
    assert {key: found[key] for key in ("name", "schedule", "queue", "task_type", "deadline", "max_tries")} == {
        "name": "nightly",
        "schedule": "0 3 * * *",
        "queue": "DEFAULT",
        "task_type": "report:new",
        "deadline": 90_000_000_000,
        "max_tries": 4,
    }
    assert base64.b64decode(found["payload"]) == b'{"region": "south"}'
    assert found["created_at"].endswith("Z")


async def test_a_schedule_shows_its_next_time_and_how_its_last_task_ended(api: Caller, app: App) -> None:
    await store(api, schedule="@every 1h")
    made = await api.post(f"{PATH}/nightly/run")
    record = await app.handle(made.json["id"]).arecord()

    shown = (await api.get(f"{PATH}/nightly")).json

    assert (made.status, made.headers["location"]) == (201, f"/v1/tasks/{made.json['id']}")
    assert (record.type, record.schedule) == ("report:new", "nightly")
    assert (shown["state"], shown["problem"], shown["last"], shown["last_outcome"]) == ("on", "", None, "")
    assert shown["next"] > shown["created_at"]


async def test_every_field_of_an_answer_is_in_the_document(api: Caller) -> None:
    stored = await store(
        api,
        misfire="all",
        max_late="168h",
        limit=7,
        jitter="30s",
        enabled=False,
        start="2030-01-01T00:00:00+01:00",
        end="2031-01-01T00:00:00Z",
        timezone="Europe/Malta",
    )

    strict = msgspec.defstruct("Strict", [], bases=(Schedule,), forbid_unknown_fields=True)
    found = msgspec.convert(stored.json, strict, strict=False)
    assert (found.misfire, found.max_late, found.limit, found.jitter) == ("all", 604_800, 7, 30)
    assert (found.enabled, found.state, found.next) == (False, "off", None)
    assert stored.json["start"] == "2029-12-31T23:00:00Z"
    assert found.schedule == "CRON_TZ=Europe/Malta 0 3 * * *"


async def test_what_is_left_out_is_as_the_handler_says(api: Caller) -> None:
    stored = (await api.post(PATH, {"name": "mail", "schedule": "@daily", "task_type": "email:new"})).json

    assert (stored["queue"], stored["max_tries"], stored["deadline"]) == ("MAIL", 3, 60_000_000_000)


async def test_a_payload_may_be_any_bytes(api: Caller) -> None:
    encoded = base64.b64encode(b"\x00\xff").decode()

    assert (await store(api, payload_base64=encoded)).json["payload"] == encoded
    assert (await store(api, name="none", payload=None)).json["payload"] is None
    assert (await store(api, name="text", payload="null")).json["payload"] == base64.b64encode(b'"null"').decode()


@pytest.mark.parametrize(
    ("said", "reason", "field"),
    [
        pytest.param({"name": "a:b"}, "schedule_invalid", "name", id="colon"),
        pytest.param({"name": ""}, "schedule_invalid", "name", id="no name"),
        pytest.param({"schedule": "0 0 30 2 *"}, "schedule_invalid", "schedule", id="30 February"),
        pytest.param({"schedule": "every day"}, "schedule_invalid", "schedule", id="words"),
        pytest.param({"timezone": "europe/malta"}, "schedule_invalid", "timezone", id="zone"),
        pytest.param({"schedule": "CRON_TZ=Mars 0 3 * * *"}, "schedule_invalid", "schedule", id="zone in the spec"),
        pytest.param({"queue": "a b"}, "queue_invalid", "queue", id="queue"),
        pytest.param({"task_type": "a b"}, "task_type_invalid", "task_type", id="type"),
        pytest.param({"deadline_offset": "29s"}, "value_invalid", "deadline_offset", id="short deadline"),
        pytest.param({"deadline_offset": "1d"}, "invalid_duration", "deadline_offset", id="days"),
        pytest.param({"deadline_offset": "-1h"}, "invalid_duration", "deadline_offset", id="negative"),
        pytest.param({"max_late": "soon"}, "invalid_duration", "max_late", id="late"),
        pytest.param({"max_tries": -1}, "value_invalid", "max_tries", id="tries"),
        pytest.param({"misfire": "sometimes"}, "value_invalid", "misfire", id="misfire"),
        pytest.param({"limit": 1001}, "value_invalid", "limit", id="limit"),
        pytest.param({"start": "2030-01-01T00:00:00"}, "invalid_json", "start", id="no zone"),
        pytest.param(
            {"start": "2030-01-02T00:00:00Z", "end": "2030-01-01T00:00:00Z"}, "value_invalid", "end", id="bounds"
        ),
        pytest.param({"payload": 1, "payload_base64": "MQ=="}, "payload_both_set", "payload", id="both"),
        pytest.param({"payload_base64": "***"}, "invalid_base64", "payload_base64", id="base64"),
    ],
)
async def test_what_cannot_be_meant_names_its_field(api: Caller, said: dict[str, Any], reason: str, field: str) -> None:
    answered = await store(api, **said)

    assert answered.problem == (400, "invalid_argument", reason, field)
    assert (await api.get(PATH)).json == {"schedules": []}


async def test_a_short_deadline_is_told_by_the_name_and_in_the_unit_of_the_body(api: Caller) -> None:
    said = (await store(api, deadline_offset="29s")).json["error"]["message"]

    assert said == "expected deadline_offset to be a duration of at least 30 s, got: 29.0"


async def test_a_queue_that_does_not_exist_is_not_found(api: Caller) -> None:
    assert (await store(api, queue="NOWHERE")).problem == (404, "not_found", "queue_not_found", "queue")


async def test_a_name_is_taken_once_and_may_be_replaced(api: Caller) -> None:
    first = (await store(api)).json
    again = await store(api, schedule="0 4 * * *")
    body = {key: value for key, value in WISH.items() if key != "name"}
    replaced = await api.call("PUT", f"{PATH}/nightly", {**body, "schedule": "0 5 * * *"})
    created = await api.call("PUT", f"{PATH}/other", body)
    differs = await api.call("PUT", f"{PATH}/other", WISH)

    assert again.problem == (409, "duplicate", "schedule_already_exists", "")
    assert (replaced.status, replaced.json["schedule"]) == (200, "0 5 * * *")
    assert replaced.json["created_at"] == first["created_at"]
    assert (created.status, created.json["name"]) == (200, "other")
    assert differs.problem == (400, "invalid_argument", "name_differs", "name")


async def test_a_disabled_schedule_is_not_due_until_it_is_enabled(api: Caller) -> None:
    await store(api)

    disabled, again = await api.post(f"{PATH}/nightly/disable"), await api.post(f"{PATH}/nightly/disable")
    enabled = await api.post(f"{PATH}/nightly/enable")

    assert (disabled.status, disabled.json["state"], disabled.json["next"]) == (200, "disabled", None)
    assert again.json == disabled.json
    assert (enabled.status, enabled.json["state"], enabled.json["next"] is None) == (200, "on", False)


async def test_a_deleted_schedule_is_gone(api: Caller) -> None:
    await store(api)

    deleted = await api.call("DELETE", f"{PATH}/nightly")

    assert (deleted.status, deleted.data) == (204, b"")
    assert "content-type" not in deleted.headers
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("POST", "/run"), ("GET", "/next")):
        answered = await api.call(method, f"{PATH}/nightly{path}")
        assert answered.problem == (404, "not_found", "schedule_not_found", "")


async def test_a_schedule_of_an_application_is_disabled_and_not_deleted(api: Caller, app: App) -> None:
    await store(api)
    backend = (await app.clients.current()).backend
    entry = await backend.schedules.read("nightly")
    stored = msgspec.json.decode(entry.data) | {"origin": code_origin("shop")}
    await backend.schedules.write("nightly", msgspec.json.encode(stored), entry.sequence)

    deleted = await api.call("DELETE", f"{PATH}/nightly")
    replaced = await api.call("PUT", f"{PATH}/nightly", {**WISH, "schedule": "@hourly"})

    assert deleted.problem == (409, "conflict", "schedule_owned", "")
    assert replaced.problem == (409, "conflict", "schedule_owned", "")
    assert (await api.post(f"{PATH}/nightly/disable")).json["state"] == "disabled"
    assert (await api.call("DELETE", f"{PATH}/nightly?force=true")).status == 204


async def test_the_next_times_tell_what_the_clock_does_to_them(api: Caller) -> None:
    await store(api, schedule="30 2 * * *", timezone="Europe/Malta")

    told = (await api.get(f"{PATH}/nightly/next?count=3")).json

    assert (told["name"], told["timezone"], told["on"], len(told["next"])) == ("nightly", "Europe/Malta", True, 3)
    assert told["words"] == "at 02:30 every day, Europe/Malta time"
    assert all(each["local"][11:16] == "02:30" for each in told["next"])
    assert sorted(each["note"][:30] for each in told["clock_changes"]) == sorted(
        ["02:30 comes twice that day; th", "02:30 does not come that day; "]
    )


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param("count=0", "count", id="none"),
        pytest.param("count=1001", "count", id="many"),
        pytest.param("count=x", "count", id="a word"),
        pytest.param("days=401", "days", id="days"),
    ],
)
async def test_numbers_of_the_query_are_checked(api: Caller, query: str, field: str) -> None:
    await store(api)

    answered = await api.get(f"{PATH}/nightly/next?{query}")

    assert answered.problem == (400, "invalid_argument", f"{field}_invalid", field)


async def test_a_schedule_that_another_program_broke_is_shown_and_can_be_deleted(api: Caller, app: App) -> None:
    await store(api)
    backend = (await app.clients.current()).backend
    entry = await backend.schedules.read("nightly")
    await backend.schedules.write("nightly", b'{"name": 5}', entry.sequence)

    [shown] = (await api.get(PATH)).json["schedules"]
    run, following = await api.post(f"{PATH}/nightly/run"), await api.get(f"{PATH}/nightly/next")

    assert (shown["name"], shown["state"]) == ("nightly", "broken")
    assert "cannot be understood" in shown["problem"]
    assert run.problem == (409, "conflict", "schedule_malformed", "")
    assert following.problem == (409, "conflict", "schedule_malformed", "")
    assert (await api.call("DELETE", f"{PATH}/nightly")).status == 204
