"""State changes as subscribers of any language read them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import fields, replace

from jetq.model.events import LeaderElected, TaskStateChanged
from jetq.model.state import State
from jetq.wire.events import (
    TASK_STATE,
    LeaderElectedEvent,
    TaskStateEvent,
    decode_event,
    encode_leader_event,
    encode_task_event,
)

CREATED = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CHANGED = TaskStateChanged(
    task_id="A1",
    task_type="email:new",
    queue="EMAIL",
    state=State.TERMINATED,
    tries=2,
    created=CREATED,
    at=CREATED + timedelta(days=2, seconds=1, microseconds=3),
    sequence=7,
    last_err="no use",
    worker="W1",
    outcome="terminated",
)


def test_an_event_is_read_as_it_was_written() -> None:
    read = decode_event(encode_task_event(CHANGED))

    assert isinstance(read, TaskStateEvent)
    assert (read.type, read.task_id, read.task_type, read.queue) == (TASK_STATE, "A1", "email:new", "EMAIL")
    assert (read.state, read.tries, read.last_error) == (State.TERMINATED, 2, "no use")
    assert (read.timestamp, read.task_age) == (CHANGED.at, (2 * 86_400 + 1) * 10**9 + 3000)


def test_one_change_has_one_id_whoever_tells_it() -> None:
    again = replace(CHANGED, worker="W2", repeated=True, outcome="")
    ids = [json.loads(encode_task_event(event))["event_id"] for event in (CHANGED, again, replace(CHANGED, sequence=8))]

    assert ids == ["A1-7", "A1-7", "A1-8"]


def test_a_change_of_which_the_sequence_is_not_known_has_an_id_of_its_own() -> None:
    unknown = replace(CHANGED, sequence=0)

    assert len({json.loads(encode_task_event(unknown))["event_id"] for _ in range(10)}) == 10
    assert "sequence" not in json.loads(encode_task_event(unknown))


def test_no_key_of_ours_is_one_of_gos_but_for_case() -> None:
    go = {"event_id", "type", "timestamp", "task_id", "state", "tries", "queue", "task_type", "last_error", "task_age"}
    ours = [field.name for field in fields(TaskStateEvent)]

    assert len({name.lower() for name in ours}) == len(ours)
    assert go <= set(ours)


def test_what_goes_beyond_go_is_told_too() -> None:
    due = CREATED + timedelta(hours=1)
    event = replace(CHANGED, state=State.NEW, due=due, attempt=3, crashes=1, duration=1.5, end="crash")
    read = decode_event(encode_task_event(event))

    assert isinstance(read, TaskStateEvent)
    assert (read.sequence, read.due, read.attempt, read.crashes, read.duration) == (7, due, 3, 1, 1_500_000_000)
    assert (read.worker, read.outcome, read.end, read.display_state) == ("W1", "terminated", "crash", "scheduled")


def test_only_the_beginning_of_a_long_error_is_told() -> None:
    read = decode_event(encode_task_event(replace(CHANGED, last_err="x" * 1_000_000)))

    assert isinstance(read, TaskStateEvent)
    assert read.last_error == "x" * 4096


def test_an_election_is_read_as_it_was_written() -> None:
    read = decode_event(encode_leader_event(LeaderElected(component="janitor", name="W1", at=CREATED)))

    assert isinstance(read, LeaderElectedEvent)
    assert (read.component, read.name, read.timestamp) == ("janitor", "W1", CREATED)


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
    read = decode_event(encode_task_event(replace(CHANGED, created=created, at=CREATED)))

    assert isinstance(read, TaskStateEvent)
    assert read.task_age == age


def test_an_error_that_is_no_unicode_is_told_with_its_escapes() -> None:
    read = decode_event(encode_task_event(replace(CHANGED, last_err="\udcff")))

    assert isinstance(read, TaskStateEvent)
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

    assert decode_event(json.dumps(event | change).encode()) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"event_id":"\\ud800"}'])
def test_garbage_is_none(data: bytes) -> None:
    assert decode_event(data) is None
