"""Micro services of NATS answer as ADR-32 says."""

import json
from datetime import UTC, datetime

import pytest
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from jetq.wire.micro import VERBS, Endpoint, Service, legal_name, legal_version

SERVICE = Service(
    name="shop",
    id="01X",
    version="1.2.3",
    description="Handlers of shop",
    metadata={"a": "b"},
    endpoints=[
        Endpoint(name="a", subject="JETQ.H.T.a", queue_group="g", metadata={}),
        Endpoint(
            name="b",
            subject="JETQ.H.T.b",
            queue_group="g",
            metadata={},
            requests=4,
            errors=1,
            last_error="no",
            nanoseconds=10,
        ),
    ],
    started=datetime(2026, 11, 24, tzinfo=UTC),
)


def test_it_is_asked_alone_by_name_and_by_id() -> None:
    assert SERVICE.subjects("PING") == ["$SRV.PING", "$SRV.PING.shop", "$SRV.PING.shop.01X"]


@pytest.mark.parametrize("verb", VERBS)
def test_each_answer_says_who_it_is(verb: str) -> None:
    said = json.loads(SERVICE.answer(verb))
    assert said["type"] == f"io.nats.micro.v1.{verb.lower()}_response"
    assert (said["name"], said["id"], said["version"], said["metadata"]) == ("shop", "01X", "1.2.3", {"a": "b"})


def test_its_numbers_are_those_of_its_endpoints() -> None:
    said = json.loads(SERVICE.answer("STATS"))
    assert said["started"] == "2026-11-24T00:00:00.000000Z"
    idle, busy = said["endpoints"]
    assert (idle["num_requests"], idle["average_processing_time"]) == (0, 0)
    assert (busy["num_requests"], busy["num_errors"], busy["last_error"]) == (4, 1, "no")
    assert (busy["processing_time"], busy["average_processing_time"]) == (10, 2)


def test_other_clients_read_the_answers() -> None:
    assert ServicePing.from_dict(json.loads(SERVICE.answer("PING"))).name == "shop"
    info = ServiceInfo.from_dict(json.loads(SERVICE.answer("INFO")))
    assert [endpoint.subject for endpoint in info.endpoints] == ["JETQ.H.T.a", "JETQ.H.T.b"]
    stats = ServiceStats.from_dict(json.loads(SERVICE.answer("STATS")))
    assert (stats.started.replace(tzinfo=UTC), stats.endpoints[1].num_requests) == (SERVICE.started, 4)


@pytest.mark.parametrize(
    ("text", "name"), [("email:new", "email-new"), ("the shop", "the-shop"), ("::", "jetq"), ("é", "jetq")]
)
def test_a_name_has_legal_characters_alone(text: str, name: str) -> None:
    assert legal_name(text) == name


@pytest.mark.parametrize(("text", "version"), [("0.1.0.dev3", "0.1.0"), ("jetq 1.2.3", "1.2.3"), ("", "0.0.0")])
def test_a_version_is_semantic(text: str, version: str) -> None:
    assert legal_version(text) == version
