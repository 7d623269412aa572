from datetime import UTC, datetime

import msgspec
import pytest

from jetq.errors import MalformedRecordError
from jetq.model.record import CancelRequest, TaskRecord
from jetq.model.state import State
from jetq.wire.codec import new_document
from jetq.wire.summary import ErrorKind, TaskSummary, decode_summary

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


def test_a_summary_holds_what_the_record_says() -> None:
    record = TaskRecord(
        id="t1",
        type="email:new",
        queue="EMAIL",
        payload=b"{}",
        max_tries=5,
        state=State.RETRY,
        created=NOW,
        tried=NOW,
        tries=2,
        last_err="no route",
        due=NOW,
        deadline=NOW,
        cancel_requested=CancelRequest(by="ops", at=NOW),
    )

    summary = decode_summary("t1", new_document(record).encode())

    names = set(TaskSummary.__struct_fields__) - {"error", "key", "progress"}
    assert {name: getattr(summary, name) for name in names} == {name: getattr(record, name) for name in names}
    assert summary.display_state == record.display_state


def test_a_record_of_go_is_read() -> None:
    data = b'{"id":"2b","type":"x","state":"","created":"2026-11-24T12:00:00.1234561Z","max_tries":-1,"payload":null}'

    summary = decode_summary("2b", data)

    assert (summary.created, summary.display_state, summary.queue) == (NOW, "unknown", "")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"type": "a b"},
        {"type": ""},
        {"queue": "a\n"},
        {"state": "x"},
        {"created": "now"},
        {"tries": "1"},
    ],
)
def test_what_is_not_the_record_of_the_task_is_malformed(change: dict[str, str]) -> None:
    good = {"id": "t1", "type": "email:new", "created": NOW}

    assert decode_summary("t1", msgspec.json.encode(good)).id == "t1"
    with pytest.raises(MalformedRecordError):
        decode_summary("t1", msgspec.json.encode(good | change))


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"null", b"[]", b'{"id":' + b"[" * 100_000])
def test_what_is_no_object_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedRecordError):
        decode_summary("t1", data)


def test_of_an_error_its_class_is_read() -> None:
    data = b'{"id":"2b","type":"x","created":"2026-11-24T12:00:00Z","key":"k","error":{"type":"E","traceback":"T"}}'

    summary = decode_summary("2b", data)

    assert (summary.error, summary.key) == (ErrorKind("E"), "k")


@pytest.mark.parametrize("said", [{"current": 1, "total": 4, "text": "", "at": "2026-11-24T12:00:00Z"}, "half", 0.5])
def test_whatever_stands_for_a_progress_makes_no_record_malformed(said: object) -> None:
    record = {"id": "2b", "type": "x", "created": NOW, "progress": said}

    assert decode_summary("2b", msgspec.json.encode(record)).progress == said
