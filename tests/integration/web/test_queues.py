"""Queues over HTTP."""

from typing import Any

import pytest

from jetq.app.application import App
from jetq.web.api import http_api
from tests.integration.web.calling import Caller
from tests.integration.web.conftest import HOST

PATH = "/v1/queues"
SECOND = 1_000_000_000


async def test_a_queue_is_created_with_gos_durations_and_shown_in_nanoseconds(api: Caller) -> None:
    body = {
        "name": "EMAIL",
        "max_age": "24h",
        "max_entries": 100,
        "discard_old": True,
        "max_tries": 5,
        "max_runtime": "1m30s",
        "max_concurrent": 7,
        "lease": "20s",
    }

    created = await api.post(PATH, body)
    read, listed = await api.get(f"{PATH}/EMAIL"), await api.get(PATH)
    again = await api.post(PATH, body)

    assert (created.status, created.headers["location"]) == (201, f"{PATH}/EMAIL")
    assert created.json == read.json
    assert listed.json == {"queues": [read.json]}
    found = {key: read.json[key] for key in body}
    durations = {"max_age": 86_400 * SECOND, "max_runtime": 90 * SECOND, "lease": 20 * SECOND}
    assert found == body | durations
    assert again.problem == (409, "duplicate", "queue_already_exists", "")


async def test_a_queue_without_limits_says_so_as_go_does(api: Caller) -> None:
    created = (await api.post(PATH, {"name": "PLAIN", "max_age": "0s"})).json

    assert (created["max_entries"], created["max_tries"], created["max_age"]) == (-1, -1, 0)
    assert (created["items"], created["oldest"], created["paused"], created["fault"]) == (0, None, False, "")


@pytest.mark.parametrize(
    ("said", "reason", "field"),
    [
        pytest.param({"name": "a b"}, "queue_invalid", "name", id="name"),
        pytest.param({"name": "DEFAULT"}, "default_queue_disallowed", "name", id="default"),
        pytest.param({"max_age": "1d"}, "invalid_duration", "max_age", id="days"),
        pytest.param({"max_age": "10ms"}, "value_invalid", "max_age", id="short age"),
        pytest.param({"max_runtime": "10ms"}, "value_invalid", "max_runtime", id="short run"),
        pytest.param({"max_runtime": "x"}, "invalid_duration", "max_runtime", id="no run"),
        pytest.param({"max_entries": -1}, "value_invalid", "max_entries", id="entries"),
        pytest.param({"max_tries": -1}, "value_invalid", "max_tries", id="tries"),
        pytest.param({"max_concurrent": 0}, "value_invalid", "max_concurrent", id="concurrent"),
        pytest.param({"size": 1}, "invalid_json", "size", id="unknown"),
    ],
)
async def test_what_cannot_be_meant_names_its_field(api: Caller, said: dict[str, Any], reason: str, field: str) -> None:
    answered = await api.post(PATH, {"name": "EMAIL", **said})

    assert answered.problem == (400, "invalid_argument", reason, field)
    assert (await api.get(PATH)).json == {"queues": []}


async def test_the_default_queue_is_created_where_that_is_allowed(app: App) -> None:
    caller = Caller(http_api(app, makes_default=True), HOST)

    assert (await caller.post(PATH, {"name": "DEFAULT"})).status == 201


async def test_a_queue_is_purged_paused_and_deleted(api: Caller) -> None:
    await api.post(PATH, {"name": "EMAIL"})
    task_id = (await api.post("/v1/tasks", {"type": "a", "queue": "EMAIL"})).json["id"]
    held = (await api.get(f"{PATH}/EMAIL")).json

    paused = await api.post(f"{PATH}/EMAIL/pause")
    shortly = await api.post(f"{PATH}/EMAIL/pause", {"duration": "1h"})
    untold = await api.call("POST", f"{PATH}/EMAIL/pause", parts=[b'{"duration": "1h"}'])
    resumed = await api.post(f"{PATH}/EMAIL/resume")
    purged = await api.post(f"{PATH}/EMAIL/purge")
    ended = (await api.get(f"/v1/tasks/{task_id}")).json
    deleted = await api.call("DELETE", f"{PATH}/EMAIL")

    assert (held["items"], held["pending"]) == (1, 1)
    assert (paused.json["paused"], paused.json["paused_until"]) == (True, None)
    assert (shortly.json["paused"], shortly.json["paused_until"] is None) == (True, False)
    assert untold.problem == (415, "invalid_argument", "content_type_invalid", "")
    assert resumed.json["paused"] is False
    assert (purged.status, purged.data) == (202, b"")
    assert (ended["state"], ended["end"]) == ("expired", "purged")
    assert (deleted.status, deleted.data) == (204, b"")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/purge"), ("POST", "/pause"), ("POST", "/resume")):
        answered = await api.call(method, f"{PATH}/EMAIL{path}")
        assert answered.problem == (404, "not_found", "queue_not_found", "queue")
