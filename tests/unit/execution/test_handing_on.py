"""What another program gets that runs a task, and what its answer means."""

import json
from datetime import UTC, datetime

import pytest
from msgspec import Raw
from msgspec.structs import replace

from jetq.errors import InvalidPayloadError
from jetq.execution.context import Context
from jetq.execution.handing_on import foreign_result, task_as_json
from jetq.model.record import StoredOptions, TaskRecord
from jetq.routing.values import encode_value
from jetq.wire.codec import decode_record
from jetq.wire.into import encode_into

GO = (
    b'{"id":"2YPp","type":"audit:log","queue":"DEFAULT","payload":"eyJhIjoxfQ==","max_tries":10,"state":"new",'
    b'"created":"2026-11-24T10:00:00.123456789Z","tries":0,"from_the_future":{"x":1}}'
)
COMPOSED = TaskRecord(
    id="1",
    type="audit:log",
    payload=b'{"user":"ann"}',
    created=datetime(2026, 11, 24, tzinfo=UTC),
    dependencies=["0"],
    satisfied=Raw(b'{"0":{"payload":42}}'),
    options=StoredOptions(into=encode_into({"total": 0})),
)


def test_the_record_keeps_every_byte_that_jetq_did_not_change() -> None:
    document = decode_record(GO)
    ctx = Context(document.record)
    ctx.document = document.updated(replace(document.record, tries=1))
    sent = json.loads(task_as_json(ctx))
    assert sent == json.loads(GO) | {"tries": 1}


def test_the_record_is_sent_without_a_document_too() -> None:
    assert json.loads(task_as_json(Context(decode_record(GO).record)))["id"] == "2YPp"


def test_results_of_parents_are_put_into_the_payload() -> None:
    sent = decode_record(task_as_json(Context(COMPOSED))).record
    assert json.loads(sent.payload or b"") == {"user": "ann", "total": 42}


def test_a_signed_payload_is_left_as_it_is() -> None:
    sent = decode_record(task_as_json(Context(replace(COMPOSED, signature="ab" * 64)))).record
    assert sent.payload == COMPOSED.payload


def test_results_of_parents_do_not_fit_into_a_list() -> None:
    with pytest.raises(InvalidPayloadError, match="no object of arguments"):
        task_as_json(Context(replace(COMPOSED, payload=b"[1]")))


@pytest.mark.parametrize(
    ("answer", "stored"),
    [
        pytest.param(b"", b"null", id="nothing"),
        pytest.param(b" \r\n", b"null", id="white-space"),
        pytest.param(b' {"a": 1}\n', b'{"a": 1}', id="json"),
        pytest.param(b"null", b"null", id="null"),
        pytest.param(b"done\n", b'"done\\n"', id="text"),
        pytest.param(b'{"a":1}{"b":2}', b'"{\\"a\\":1}{\\"b\\":2}"', id="two-values"),
        pytest.param(b"NaN", b'"NaN"', id="not-a-number"),
        pytest.param(b"1e999", b'"1e999"', id="number-beyond-all"),
        pytest.param(b"[" * 300 + b"]" * 300, b'"' + b"[" * 300 + b"]" * 300 + b'"', id="too-deep"),
        pytest.param(b"\xff\xfe", b'"//4="', id="no-text"),
        pytest.param(b'"\xff"', b'"Iv8i"', id="string-of-no-text"),
    ],
)
def test_an_answer_is_stored_as_json_whatever_it_is(answer: bytes, stored: bytes) -> None:
    assert encode_value(foreign_result(answer)) == stored
