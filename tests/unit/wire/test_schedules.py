from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from jetq.errors import MalformedScheduleError
from jetq.model.record import StoredOptions
from jetq.model.stored_schedule import Misfire, ScheduleState, StoredSchedule, reconciled
from jetq.wire.schedules import (
    decode_schedule,
    decode_schedule_state,
    encode_schedule_state,
    new_schedule_document,
)
from tests.golden.files import read

GOLDEN = read("schedules")
CREATED = datetime(2026, 11, 24, 3, tzinfo=UTC)
PLAIN = StoredSchedule(name="tick", schedule="@every 1m", queue="Q", task_type="a:b", max_tries=5, created_at=CREATED)
MOMENTS = st.datetimes(timezones=st.just(UTC))
RECORDS = st.builds(
    replace,
    st.just(PLAIN),
    payload=st.none() | st.binary(),
    deadline=st.integers(0, 2**62),
    max_tries=st.integers(-5, 100),
    origin=st.sampled_from(["", "code:shop"]),
    misfire=st.sampled_from(Misfire),
    max_late=st.floats(0, 1e9),
    limit=st.integers(1, 1000),
    jitter=st.floats(0, 1e6),
    enabled=st.booleans(),
    paused=st.booleans(),
    start=st.none() | MOMENTS,
    options=st.none() | st.just(StoredOptions(timeout=5)),
)


@pytest.mark.parametrize("name", GOLDEN)
def test_what_go_stored_is_understood_and_keeps_its_bytes(name: str) -> None:
    document = decode_schedule("nightly-report", GOLDEN[name])
    assert document.encode() == GOLDEN[name]
    assert document.record.queue == "EMAIL"
    assert (document.record.misfire, document.record.is_on) == (Misfire.LATEST, True)
    changed = document.updated(replace(document.record, paused=True)).encode()
    assert changed == GOLDEN[name][:-1] + b',"paused":true}'
    assert decode_schedule("nightly-report", changed).updated(document.record).encode() == GOLDEN[name]


def test_a_plain_schedule_is_stored_as_go_stores_it() -> None:
    assert msgspec.json.decode(new_schedule_document(PLAIN).encode()) == {
        "name": "tick", "schedule": "@every 1m", "queue": "Q", "task_type": "a:b", "payload": None, "max_tries": 5,
        "created_at": "2026-11-24T03:00:00Z",
    }  # fmt: skip


def test_no_key_of_jetq_is_one_of_gos_for_a_reader_that_ignores_case() -> None:
    names = [field.lower() for field in StoredSchedule.__struct_fields__]
    assert len(set(names)) == len(names)


@given(RECORDS, RECORDS)
def test_a_schedule_is_read_as_it_was_written(first: StoredSchedule, second: StoredSchedule) -> None:
    written = new_schedule_document(first)
    assert decode_schedule("tick", written.encode()).record == first
    assert decode_schedule("tick", written.updated(second).encode()).record == second


def test_unknown_keys_are_kept() -> None:
    data = new_schedule_document(PLAIN).encode()[:-1] + b',"later":{"a": 1}}'
    document = decode_schedule("tick", data)
    assert b'"later":{"a": 1}' in document.updated(replace(PLAIN, queue="R")).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": None}, {"queue": "a b"}, {"task_type": ""}, {"name": "a:b"}, {"name": "other"}, {"payload": 5},
        {"misfire": "sometimes"}, {"limit": 0}, {"limit": 10**6}, {"jitter": -1}, {"created_at": "2026-11-24T03:00:00"},
        {"start": "soon"}, {"enabled": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_another_program_spoiled_is_named(change: dict[str, Any]) -> None:
    fields = msgspec.json.decode(new_schedule_document(PLAIN).encode()) | change
    with pytest.raises(MalformedScheduleError) as caught:
        decode_schedule("tick", msgspec.json.encode(fields))
    assert caught.value.name == "tick"
    assert "'tick' cannot be understood" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000])
def test_what_is_no_json_object_is_named(data: bytes) -> None:
    with pytest.raises(MalformedScheduleError):
        decode_schedule("tick", data)
    with pytest.raises(MalformedScheduleError):
        decode_schedule_state("tick", data)


def test_a_state_is_read_as_it_was_written() -> None:
    state = ScheduleState(due=CREATED, task="tick:20261124T030000Z", epoch=7)
    assert decode_schedule_state("tick", encode_schedule_state(state)) == state
    assert encode_schedule_state(ScheduleState()) == b"{}"


def test_a_declared_schedule_is_written_only_when_it_differs() -> None:
    later = replace(PLAIN, created_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert reconciled(None, later) == later
    assert reconciled(PLAIN, later) is None
    assert reconciled(replace(PLAIN, paused=True), later) is None
    assert reconciled(replace(PLAIN, paused=True), replace(later, queue="R")) == replace(PLAIN, paused=True, queue="R")
