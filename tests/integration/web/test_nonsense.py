"""Nothing that somebody sends is a defect: the answer says what is wrong with it, or does it."""

import json
from typing import Any

import msgspec
import pytest

from jetq.web.api import ENDPOINTS
from jetq.web.endpoint import Endpoint
from tests.integration.web.calling import Caller

SOUND: dict[str, dict[str, Any]] = {
    "createTask": {"type": "a"},
    "retryTasks": {"ids": ["a"]},
    "createQueue": {"name": "EMAIL"},
    "pauseQueue": {},
    "createSchedule": {"name": "nightly", "schedule": "@daily", "task_type": "a"},
    "putSchedule": {"schedule": "@daily", "task_type": "a"},
}
VALUES = [
    "null", "true", '""', '"x"', '"\\ud800"', '"\\u0000"', '"\u202e\U0001f600"', json.dumps("x" * 5000), "0", "-1",
    "1.5", "1e999", "9" * 400, "9223372036854775808", "[]", "[null]", '["a", 1]', "{}", '{"a": {}}',
    '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2026-11-24T03:00:00Z"', '"106751d"', '"9999999h"',
    '"-9223372036854775808ns"', '"CRON_TZ=../../etc/passwd * * * * *"', '"@every 9999999999h"', '"* * * * * * *"',
    '"../../x"',
]  # fmt: skip
NAMES = ["..", "%00", "a b", "é", "x" * 5000, "a/b", "*", ">", "a.b", "$JS"]
QUERIES = ["", "%00", "x" * 2000, "-1", "9" * 400, "%E9", "*", ">", "%F0%9F%98%80", "%D9%A4", "2026-11-24"]


def takes_a_body(endpoint: Endpoint) -> bool:
    return endpoint.takes is not None


@pytest.mark.parametrize("endpoint", [each for each in ENDPOINTS if takes_a_body(each)], ids=lambda each: each.name)
async def test_no_value_of_a_field_is_a_defect(api: Caller, endpoint: Endpoint) -> None:
    assert endpoint.takes is not None
    api, path = api.using(content_type="application/json"), endpoint.path.replace("{name}", "EMAIL")
    sound = {key: json.dumps(value) for key, value in SOUND[endpoint.name].items()}
    for field in msgspec.structs.fields(endpoint.takes):
        for value in VALUES:
            body = ", ".join(f'"{key}": {given}' for key, given in (sound | {field.name: value}).items())
            answered = await api.call(endpoint.method, path, parts=[f"{{{body}}}".encode()])
            assert answered.status < 500, (field.name, value, answered.data)
            assert answered.status < 300 or answered.problem[1:3] != ("", ""), (field.name, value)


@pytest.mark.parametrize(
    "endpoint", [each for each in ENDPOINTS if "{" in each.path], ids=lambda each: f"{each.method} {each.path}"
)
async def test_no_name_in_a_path_is_a_defect(api: Caller, endpoint: Endpoint) -> None:
    for name in NAMES:
        path = endpoint.path.replace("{name}", name).replace("{id}", name)
        answered = await api.call(endpoint.method, path, SOUND.get(endpoint.name))
        assert 400 <= answered.status < 500, (path, answered.data)


async def test_no_query_is_a_defect(api: Caller) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.method != "GET" or not endpoint.parameters:
            continue
        for parameter in endpoint.parameters:
            for value in QUERIES:
                path = endpoint.path.replace("{name}", "nightly")
                answered = await api.get(f"{path}?{parameter.name}={value}")
                assert answered.status < 500, (path, parameter.name, value, answered.data)
