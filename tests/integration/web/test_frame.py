"""Whatever is sent to the API, the answer is JSON of a known shape."""

import asyncio
import time
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from jetq.app.application import App
from jetq.errors import InvalidSettingError
from jetq.jetstream.address import Address
from jetq.jetstream.server import EmbeddedServer
from jetq.model.signing import SigningSettings
from jetq.observe.logs import Line
from jetq.settings import ConnectionSettings, Settings
from jetq.web.answering import serving
from jetq.web.api import ENDPOINTS, http_api
from jetq.web.endpoint import Answer, Endpoint
from jetq.web.openapi import document
from jetq.web.service import Service
from tests.integration.watching import eventually
from tests.integration.web.calling import Caller
from tests.integration.web.conftest import HOST
from tests.servers import TestServer

WISH = {"name": "nightly", "schedule": "0 3 * * *", "queue": "DEFAULT", "task_type": "report:new"}
JSON = {"content-type": "application/json"}


async def test_a_process_that_answers_is_healthy_and_ready_with_its_server(api: Caller) -> None:
    health, ready = await api.get("/healthz"), await api.get("/readyz")

    assert (health.status, health.json["status"]) == (200, "ok")
    assert (ready.status, ready.json) == (
        200,
        {"ready": True, "checks": {"tasks": {"ok": True}, "config": {"ok": True}}},
    )
    assert health.headers["content-type"] == "application/json"
    assert health.headers["cache-control"] == "no-store"


async def test_what_stands_behind_the_api_is_told(api: Caller, app: App, namespace: str) -> None:
    await app.aenqueue("a")
    found = (await api.get("/v1/info")).json

    assert found["version"] == __import__("jetq").__version__
    assert (found["auth"], found["namespace"], found["task_count"]) == ("none", namespace, 1)
    assert found["queue_count"] == 1
    assert found["features"] == {"sign": False}


async def test_retry_policies_have_gos_numbers(api: Caller) -> None:
    policies = {policy["name"]: policy for policy in (await api.get("/v1/retry-policies")).json["policies"]}

    assert set(policies) == {"default", "10m", "1m", "1h"}
    assert policies["1m"]["jitter"] == 0.5
    assert policies["1m"]["intervals"][:2] == [1_000_000_000, 3_950_000_000]


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        pytest.param(b"{", "invalid_json", "", id="no JSON"),
        pytest.param(b"[]", "invalid_json", "", id="a list"),
        pytest.param(b"", "invalid_json", "", id="nothing"),
        pytest.param(b'"\xff"', "invalid_json", "", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "invalid_json", "", id="too deep"),
        pytest.param(
            b'{"name":"a","schedule":"@daily","task_type":"t","retries":3}', "invalid_json", "retries", id="unknown"
        ),
        pytest.param(b'{"name":"a","task_type":"t"}', "required", "schedule", id="missing"),
        pytest.param(b'{"name":"a","schedule":5,"task_type":"t"}', "invalid_json", "schedule", id="a number"),
    ],
)
async def test_a_body_that_is_not_as_it_must_be_is_refused(api: Caller, body: bytes, reason: str, field: str) -> None:
    answered = await api.using(content_type="application/json").call("POST", "/v1/schedules", parts=[body])

    assert answered.problem == (400, "invalid_argument", reason, field)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("text/plain", id="text"),
        pytest.param("application/x-www-form-urlencoded", id="form"),
        pytest.param("", id="none"),
    ],
)
async def test_a_body_must_say_that_it_is_json(api: Caller, kind: str) -> None:
    answered = await api.using(content_type=kind).post("/v1/schedules", WISH)

    assert answered.problem == (415, "invalid_argument", "content_type_invalid", "")


async def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(api: Caller) -> None:
    api = api.using(content_type="application/json")
    announced = await api.using(content_length="524289").call("POST", "/v1/schedules", parts=[b""])
    streamed = await api.call("POST", "/v1/schedules", parts=[b"x" * 100_000] * 6)
    largest = await api.post("/v1/schedules", {**WISH, "payload": "x" * (500 * 1024)})

    assert announced.problem == (413, "payload_too_large", "body_too_large", "")
    assert streamed.problem == (413, "payload_too_large", "body_too_large", "")
    assert largest.status == 201


async def test_paths_and_methods_that_are_not_there_are_told_in_json(api: Caller) -> None:
    unknown, slash = await api.get("/v1/nothing"), await api.get("/v1/schedules/")
    method = await api.call("PATCH", "/v1/schedules")

    assert unknown.problem == (404, "not_found", "path_not_found", "")
    assert slash.problem == (404, "not_found", "path_not_found", "")
    assert method.problem == (405, "invalid_argument", "method_not_allowed", "")
    assert {name.strip() for name in method.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


async def test_head_is_answered_as_get(api: Caller) -> None:
    assert (await api.call("HEAD", "/v1/schedules")).status == 200
    assert (await api.call("HEAD", "/v1/schedules/none")).status == 404


# Who may call


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("localhost:8080", 200, id="localhost"),
        pytest.param("[::1]:8080", 200, id="IPv6"),
        pytest.param("127.0.0.2", 200, id="another loopback"),
        pytest.param("jetq.localhost", 200, id="below localhost"),
        pytest.param("evil.example", 403, id="a site"),
        pytest.param("127.0.0.1.evil.example", 403, id="a site that looks like us"),
        pytest.param("localhost.evil.example:8080", 403, id="a site below its own name"),
        pytest.param("", 403, id="none"),
        pytest.param("[::1]evil.example", 403, id="an address and a site"),
        pytest.param("localhost:8080:80", 403, id="two ports"),
    ],
)
async def test_a_site_whose_name_leads_here_gets_nothing(api: Caller, host: str, status: int) -> None:
    answered = await api.using(host=host).get("/v1/schedules")

    assert answered.status == status
    if status == 403:
        assert answered.problem == (403, "forbidden", "host_not_allowed", "")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 201, id="no browser"),
        pytest.param({"sec_fetch_site": "same-origin"}, 201, id="own page"),
        pytest.param({"sec_fetch_site": "none"}, 201, id="typed in"),
        pytest.param({"sec_fetch_site": "cross-site"}, 403, id="another site"),
        pytest.param({"sec_fetch_site": "same-site"}, 403, id="another port"),
        pytest.param({"origin": "http://127.0.0.1:8080"}, 201, id="own origin"),
        pytest.param({"origin": "http://evil.example"}, 403, id="another origin"),
        pytest.param({"origin": "null"}, 403, id="a file"),
    ],
)
async def test_a_page_of_another_site_changes_nothing(api: Caller, headers: dict[str, str], status: int) -> None:
    caller = api.using(**headers)
    answered = await caller.post("/v1/schedules", WISH)
    stored = (await api.get("/v1/schedules")).json["schedules"]

    assert answered.status == status
    assert len(stored) == (status == 201)
    if status == 403:
        assert answered.problem == (403, "forbidden", "cross_site", "")
        assert (await caller.call("DELETE", "/v1/schedules/nightly")).status == 403
        assert (await caller.post("/v1/schedules/nightly/run")).status == 403


async def test_no_answer_lets_another_site_read_it(api: Caller) -> None:
    answered = await api.using(origin="http://evil.example").get("/v1/schedules")

    assert answered.status == 200
    assert not [name for name in answered.headers if name.startswith("access-control")]


async def test_with_a_token_only_the_health_pages_are_open(app: App) -> None:
    token = "s3cret" * 4
    caller = Caller(http_api(app, token=token), {"host": "jobs.example"})

    for header in ("", token, f"Basic {token}", "Bearer wrong", "Bearer ", f"Bearer {token}x", "Bearer \xe9"):
        refused = await caller.using(authorization=header).get("/v1/schedules")
        assert refused.problem == (401, "unauthorized", "token_wrong", "")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert (await caller.using(authorization=header).get("/v1/nothing")).status == 401
    for path in ("/healthz", "/readyz"):
        assert (await caller.get(path)).status == 200
    for header in (f"Bearer {token}", f"bearer {token}"):
        assert (await caller.using(authorization=header).get("/v1/info")).json["auth"] == "token"


async def test_named_hosts_pass_and_no_others(app: App) -> None:
    caller = Caller(http_api(app, allowed_hosts=["Jobs.example", "jobs.example:8080", "2001:db8::1"]), {})

    assert (await caller.using(host="[2001:db8::1]:80").get("/v1/info")).status == 200
    assert (await caller.using(host="jobs.example:80").get("/v1/info")).status == 200
    assert (await caller.using(host="other.example").get("/v1/info")).status == 403
    assert (await caller.using(host="localhost").get("/v1/info")).status == 403


@pytest.mark.parametrize("token", ["", "short", "with spaces in it, and long enough", "naïve" * 5])
async def test_a_token_that_cannot_be_used_is_refused_and_not_shown(app: App, token: str) -> None:
    with pytest.raises(InvalidSettingError, match="16 characters") as refused:
        http_api(app, token=token)

    assert not token or token not in str(refused.value)


# Within another application


async def test_mounted_below_a_path_it_knows_where_it_is(app: App) -> None:
    token = "s3cret" * 4
    site = Starlette(routes=[Mount("/jobs", http_api(app, token=token))])
    caller = Caller(site, {"host": "shop.example"})
    known = caller.using(authorization=f"Bearer {token}")

    stored = await known.post("/jobs/v1/schedules", WISH)
    described = (await known.get("/jobs/v1/openapi.json")).json

    assert (await caller.get("/jobs/healthz")).status == 200
    assert (await caller.get("/jobs/v1/schedules")).status == 401
    assert (stored.status, stored.headers["location"]) == (201, "/jobs/v1/schedules/nightly")
    assert (await known.get(stored.headers["location"])).status == 200
    assert described["servers"] == [{"url": "/jobs"}]
    assert (await known.get("/jobs/v1/nothing")).problem == (404, "not_found", "path_not_found", "")
    assert (await known.using(sec_fetch_site="cross-site").post("/jobs/v1/schedules/nightly/run")).status == 403


async def test_what_is_made_is_signed_with_the_servers_key(server: EmbeddedServer, namespace: str) -> None:
    seed = "11" * 32
    app = App("test", namespace=namespace, signing=SigningSettings(key=seed))
    app.connect_to(server.address)
    caller = Caller(http_api(app), HOST)

    made = (await caller.post("/v1/tasks", {"type": "a"})).json
    await caller.post("/v1/schedules", WISH)
    run = (await caller.post("/v1/schedules/nightly/run")).json
    info, task = (await caller.get("/v1/info")).json, (await caller.get(f"/v1/tasks/{run['id']}")).json
    await app.aclose()

    assert info["features"] == {"sign": True}
    assert len(made["signature"]) == len(task["signature"]) == 128


# When something is wrong


async def test_without_its_server_it_says_so_and_goes_on_when_that_is_back(own_server: TestServer) -> None:
    app = App("test", settings=Settings(connection=ConnectionSettings(request_timeout=1.0)))
    app.connect_to(own_server.address)
    caller = Caller(http_api(app), HOST)
    assert (await caller.get("/readyz")).status == 200
    own_server.stop()

    async def is_ready(path: str = "/readyz") -> bool:
        return (await caller.get(path)).status == 200

    async def is_away() -> bool:
        return not await is_ready()

    await eventually(is_away)

    since = time.monotonic()
    ready, listed, health = await asyncio.gather(*map(caller.get, ("/readyz", "/v1/schedules", "/healthz")))
    took = time.monotonic() - since
    own_server.run()
    await eventually(is_ready)
    back = await caller.get("/v1/schedules")
    await app.aclose()

    assert ready.status == 503
    assert ready.json["checks"]["tasks"] == {"ok": False, "error": "tasks storage unreachable"}
    assert listed.problem == (503, "unavailable", "storage_not_ready", "")
    assert listed.headers["retry-after"] == "1"
    assert health.status == 200
    assert took < 5
    assert back.json == {"schedules": []}


async def test_a_server_that_hangs_is_not_waited_for(own_server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetq.web.deployment._PATIENCE", 0.2)
    app = App("test", settings=Settings(connection=ConnectionSettings(request_timeout=0.5)))
    app.connect_to(own_server.address)
    caller = Caller(http_api(app), HOST)
    assert (await caller.get("/readyz")).status == 200

    own_server.freeze()
    try:
        ready, listed, health = await asyncio.gather(*map(caller.get, ("/readyz", "/v1/schedules", "/healthz")))
    finally:
        own_server.thaw()
    await app.aclose()

    assert (ready.status, health.status) == (503, 200)
    assert listed.problem == (503, "unavailable", "storage_not_ready", "")


async def test_a_server_that_was_never_there_is_unavailable_and_no_defect() -> None:
    app = App("test")
    app.connect_to(Address.of("nats://secret@127.0.0.1:1"))
    caller = Caller(http_api(app), HOST)

    ready, listed = await caller.get("/readyz"), await caller.get("/v1/schedules")

    assert ready.status == 503
    assert listed.problem == (503, "unavailable", "storage_not_ready", "")
    assert b"secret" not in ready.data + listed.data


def endpoint_of(run: Any) -> Endpoint:
    return Endpoint(method="GET", path="/", name="x", tag="x", summary="x", run=run)


async def answer_of(run: Any, app: App, patience: float = 5.0) -> tuple[int, bytes]:
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""})
    answered = await serving({"GET": endpoint_of(run)}, Service(app=app, patience=patience))(request)
    return answered.status_code, bytes(answered.body)


async def test_a_defect_is_logged_with_its_traceback_and_told_without(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_service: Service, _request: object) -> Answer:
        raise ValueError("inner thoughts")

    status, data = await answer_of(fail, app)

    assert status == 500
    assert b'"internal"' in data
    assert b"inner thoughts" not in data
    assert b"Traceback" not in data
    [line] = [
        record.msg for record in caplog.records if isinstance(record.msg, Line) and record.msg.event == "request failed"
    ]
    assert "ValueError: inner thoughts" in line.fields["exception"]


async def test_a_request_that_takes_too_long_is_ended(app: App) -> None:
    async def hang(_service: Service, _request: object) -> Answer:
        await asyncio.sleep(60)
        return Answer()

    status, data = await answer_of(hang, app, patience=0.05)

    assert status == 503
    assert b'"timeout"' in data


# The document


GO = {
    "get /healthz", "get /readyz", "get /v1/info", "get /v1/retry-policies", "get /v1/tasks", "post /v1/tasks",
    "get /v1/tasks/{id}", "delete /v1/tasks/{id}", "post /v1/tasks/{id}/retry", "post /v1/tasks/retry",
    "get /v1/queues", "post /v1/queues", "get /v1/queues/{name}", "delete /v1/queues/{name}",
    "post /v1/queues/{name}/purge", "get /v1/schedules", "post /v1/schedules", "get /v1/schedules/{name}",
    "delete /v1/schedules/{name}",
}  # fmt: skip
"""What clients of asyncjobs ask for."""


def test_every_path_of_asyncjobs_is_there() -> None:
    assert {f"{endpoint.method.lower()} {endpoint.path}" for endpoint in ENDPOINTS} >= GO


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if "$ref" in part else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


async def test_the_document_describes_every_endpoint_and_nothing_else(api: Caller) -> None:
    told = (await api.get("/v1/openapi.json")).json

    assert told["openapi"] == "3.1.0"
    operations = {(path, method) for path, found in told["paths"].items() for method in found}
    assert operations == {(endpoint.path, endpoint.method.lower()) for endpoint in ENDPOINTS}
    schemas = {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    assert references(told) == schemas - {"#/components/schemas/Code"} | (references(told) & schemas)
    names = [found["operationId"] for path in told["paths"].values() for found in path.values()]
    assert len(set(names)) == len(names)
    assert all(
        found["responses"] and found["summary"].endswith(".")
        for path in told["paths"].values()
        for found in path.values()
    )


def test_every_field_is_explained_and_unknown_ones_are_not_taken() -> None:
    schemas = document(ENDPOINTS, "1")["components"]["schemas"]
    silent = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, told in schema.get("properties", {}).items()
        if not told.get("description")
    ]

    assert silent == []
    taken = {endpoint.takes.__name__ for endpoint in ENDPOINTS if endpoint.takes is not None}
    assert all(schemas[name]["additionalProperties"] is False for name in taken)
    assert "type" not in schemas["ScheduleRequest"]["properties"]["payload"]
    assert schemas["ScheduleRequest"]["required"] == ["schedule", "task_type"]
    assert schemas["Schedule"]["properties"]["created_at"]["anyOf"][0]["format"] == "date-time"
