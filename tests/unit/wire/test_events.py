"""State changes as subscribers of any language read them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from jetq.model.events import TaskStateChanged
from jetq.model.state import State
from jetq.wire.events import TASK_STATE, decode_task_event, encode_task_event

CREATED = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CHANGED = TaskStateChanged(
    task_id="A1",
    task_type="email:new",
    queue="EMAIL",
    state=State.TERMINATED,
    tries=2,
    created=CREATED,
    at=CREATED + timedelta(days=2, seconds=1, microseconds=3),
    last_err="no use",
    worker="W1",
    outcome="terminated",
)


def test_an_event_is_read_as_it_was_written() -> None:
    read = decode_task_event(encode_task_event(CHANGED))

    assert read is not None
    assert (read.type, read.task_id, read.task_type, read.queue) == (TASK_STATE, "A1", "email:new", "EMAIL")
    assert (read.state, read.tries, read.last_error) == (State.TERMINATED, 2, "no use")
    assert (read.timestamp, read.task_age) == (CHANGED.at, (2 * 86_400 + 1) * 10**9 + 3000)


def test_each_event_has_its_own_id() -> None:
    assert len({json.loads(encode_task_event(CHANGED))["event_id"] for _ in range(10)}) == 10


def test_what_is_empty_is_left_out() -> None:
    bare = json.loads(encode_task_event(replace(CHANGED, queue="", last_err="", at=CREATED)))

    assert bare.keys().isdisjoint({"queue", "last_error", "task_age"})


@pytest.mark.parametrize(
    ("created", "age"),
    [
        (CREATED, 0),
        (CREATED + timedelta(hours=1), 0),
        (datetime.min.replace(tzinfo=UTC), 2**63 - 1),
    ],
)
def test_an_age_is_never_negative_nor_longer_than_go_can_count(created: datetime, age: int) -> None:
    read = decode_task_event(encode_task_event(replace(CHANGED, created=created, at=CREATED)))

    assert read is not None
    assert read.task_age == age


def test_an_error_that_is_no_unicode_is_told_with_its_escapes() -> None:
    read = decode_task_event(encode_task_event(replace(CHANGED, last_err="\udcff")))

    assert read is not None
    assert read.last_error == r"\udcff"


@pytest.mark.parametrize(
    "change",
    [
        {"type": "io.choria.asyncjobs.v1.task_moved"},
        {"state": "resting"},
        {"timestamp": "2026-11-24T03:00:00"},
        {"task_id": 1},
        {"task_id": None},
    ],
)
def test_another_event_is_none_of_ours(change: dict[str, object]) -> None:
    event = json.loads(encode_task_event(CHANGED))

    assert decode_task_event(json.dumps(event | change).encode()) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"event_id":"\\ud800"}'])
def test_garbage_is_none(data: bytes) -> None:
    assert decode_task_event(data) is None
