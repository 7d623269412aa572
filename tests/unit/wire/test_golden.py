"""What Go writes, as jetq reads it and writes it back."""

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from jetq.model.record import ABSENT, Run, TaskRecord
from jetq.model.retry import NAMED, Steps
from jetq.model.state import RUNNABLE, State
from jetq.model.transition import claimed
from jetq.wire.codec import decode_item, decode_record, encode_item
from jetq.wire.events import LeaderElectedEvent, TaskStateEvent, decode_event
from jetq.wire.names import GO_NAMESPACE, Names
from jetq.wire.signature import Verifier, signed_text
from tests.golden.files import FOLDER, SIGNING_SEED, every_record, lives, read

RECORDS = every_record()
NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
KEY = SigningKey(SIGNING_SEED).verify_key

raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def fields_of(data: bytes) -> dict[str, bytes]:
    return {key: bytes(value) for key, value in raw_fields.decode(data).items()}


def golden(name: str) -> TaskRecord:
    return decode_record(RECORDS[name]).record


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_is_read_and_written_back_keeps_every_byte(name: str) -> None:
    assert decode_record(RECORDS[name]).encode() == RECORDS[name]


@pytest.mark.parametrize("name", [name for name in RECORDS if golden(name).state in RUNNABLE])
def test_a_claim_changes_the_bytes_of_what_it_changes_and_no_other(name: str) -> None:
    document = decode_record(RECORDS[name])
    before = fields_of(RECORDS[name])

    written = document.updated(claimed(document.record, Run("W", 1, "n"), NOW)).encode()

    after = fields_of(written)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed - {"last_err"} == {"state", "tried", "tries", "run", "runs"}
    assert "last_err" not in after
    assert [key for key in after if key in before] == [key for key in before if key in after]


def test_a_claim_keeps_nanoseconds_zones_and_escapes() -> None:
    kept = {
        "nanoseconds_up": b'"created":"2026-11-24T03:00:00.999999999Z"',
        "nanoseconds_2_digits": b'"created":"2026-11-24T03:00:00.12Z"',
        "deadline_in_a_zone": b'"deadline":"2026-11-24T09:45:00.123456789+05:45"',
    }
    for name, bytes_ in kept.items():
        document = decode_record(RECORDS[name])
        assert bytes_ in document.updated(claimed(document.record, Run("W", 1, "n"), NOW)).encode()

    spelled = json.dumps("<i>")[:-1].encode().replace(b"<", b"\\u003c") + b'"'
    document = decode_record(RECORDS["new"][:-1] + b',"colour":' + spelled + b"}")
    assert spelled in document.updated(claimed(document.record, Run("W", 1, "n"), NOW)).encode()


@pytest.mark.parametrize("name", RECORDS)
def test_an_equal_record_changes_nothing(name: str) -> None:
    document, same = decode_record(RECORDS[name]), decode_record(RECORDS[name]).record

    assert document.updated(same).encode() == RECORDS[name]


def test_every_kind_of_record_is_read_for_what_it_is() -> None:
    payload = {"subject": "hi <you> & me", "to": "a@b.c"}
    assert golden("new").state is State.NEW
    assert json.loads(golden("new").payload or b"") == payload
    assert golden("no_payload").payload is None
    assert golden("payload_bytes").payload == bytes([0, 1, 2, 255])
    assert golden("active").tried == datetime(2026, 11, 24, 3, 0, 5, 1, UTC)
    assert golden("deadline").deadline == datetime(2026, 11, 24, 4, 0, 0, 123457, UTC)
    assert golden("unlimited_tries").max_tries == -1
    assert golden("unknown").state is State.UNKNOWN
    assert golden("blocked").dependencies == ["3MXacnmD1kcAbjQfyMpWPUjsDnP", "3MXaclYzC2jKvFwZ5cOlHh8gT0x"]
    assert golden("created_never").created == datetime.min.replace(tzinfo=UTC)
    assert golden("terminated").last_err == "<b>\"Tom\" & 'Jerry'</b> \\ café \u2028\u2029 😀\t\r\n\x01\x7f"
    result = golden("complete").result
    assert result is not None
    assert json.loads(bytes(result.payload))["sent"] == 1
    assert result.completed == datetime(2026, 11, 24, 3, 0, 7, 500_000, UTC)


def test_the_results_of_dependencies_are_kept_as_they_came() -> None:
    assert json.loads(bytes(golden("unblocked").dependency_results)) == {
        "3MXacnmD1kcAbjQfyMpWPUjsDnP": {"payload": {"html": "<p>"}, "completed": "2026-11-24T03:00:07.5Z"},
        "3MXaclYzC2jKvFwZ5cOlHh8gT0x": None,
    }
    assert golden("new").dependency_results == ABSENT


def test_the_shapes_of_payloads_are_those_of_the_protocol() -> None:
    def shape(name: str) -> Any:
        return json.loads(golden(name).payload or b"")

    assert json.loads(shape("payload_json_in_string")) == {"to": "a@b.c", "subject": "hi"}
    assert json.loads(b64decode(shape("payload_base64"))) == {"to": "a@b.c", "subject": "hi"}
    assert shape("payload_base64_none") is None
    assert shape("payload_number") == 42


def test_items_are_read() -> None:
    item = decode_item(read("items")["task"])

    assert (item.job, item.seq, item.task) == ("3MXacoA4r1VXzUmWbcF7UmAGfE8", 0, ABSENT)


def test_an_item_of_jetq_begins_as_one_of_go() -> None:
    item = read("items")["task"]
    ours = encode_item("3MXacoA4r1VXzUmWbcF7UmAGfE8", 7, RECORDS["new"])

    assert ours.startswith(item[:-1] + b",")
    assert decode_record(decode_item(ours).task).encode() == RECORDS["new"]


def test_state_changes_are_read() -> None:
    events = {name: decode_event(data) for name, data in read("events").items()}
    terminated = events["state_terminated"]

    assert isinstance(terminated, TaskStateEvent)
    assert (terminated.state, terminated.tries, terminated.queue) == (State.TERMINATED, 3, "EMAIL")
    assert terminated.task_age == 61_000_000_001
    assert terminated.last_error == golden("terminated").last_err
    assert isinstance(events["state_bare"], TaskStateEvent)


@pytest.mark.parametrize("name", read("events"))
def test_nothing_that_an_event_tells_is_lost(name: str) -> None:
    data = read("events")[name]
    event, told = decode_event(data), json.loads(data)

    assert event is not None
    kept = {field.encode_name: getattr(event, field.name) for field in msgspec.structs.fields(event)}
    assert kept.keys() >= told.keys()
    for key, value in told.items():
        assert kept[key] == (datetime.fromisoformat(value) if key == "timestamp" else value), key


def test_every_golden_file_is_read_by_a_test() -> None:
    kinds = {path.name for path in FOLDER.iterdir() if not path.name.startswith(("_", "."))}

    assert kinds == {"records", "items", "events", "schedules", "go"} | {
        *("lives.jsonl", "cron.json", "retry_policies.json", "files.py", "README.md")
    }
    assert read("items").keys() == {"task"}
    assert read("events").keys() == {"leader_elected", "state_bare", "state_new", "state_terminated"}


def test_elections_are_read() -> None:
    elected = decode_event(read("events")["leader_elected"])

    assert isinstance(elected, LeaderElectedEvent)
    assert (elected.name, elected.component) == ("host-1", "task_scheduler")


def test_whatever_a_client_of_go_publishes_is_understood() -> None:
    names = Names(GO_NAMESPACE)
    kinds: list[str] = []
    for message in lives():
        tokens = message.subject.split(".")
        kinds.append(message.kind)
        if message.kind == "T":
            spelled = names.record(decode_record(message.data).record.id)
        elif message.kind == "Q":
            spelled = names.item(tokens[2], decode_item(message.data).job)
        elif tokens[1:3] == ["E", "task_state"]:
            event = decode_event(message.data)
            assert isinstance(event, TaskStateEvent)
            spelled = names.task_event(event.task_id)
        elif tokens[1:3] == ["E", "leader_election"]:
            event = decode_event(message.data)
            assert isinstance(event, LeaderElectedEvent)
            spelled = names.leader_event(event.component)
        else:
            assert decode_event(message.data) is None
            continue
        assert spelled == message.subject
    assert all(kinds.count(kind) > 5 for kind in "TQE")


def test_a_life_reaches_every_state_that_go_writes() -> None:
    lived = {decode_record(message.data).record.state for message in lives() if message.kind == "T"}

    assert lived == set(State) - {State.UNKNOWN}


@pytest.mark.parametrize("name", [name for name in RECORDS if name.startswith("signed")])
def test_a_signature_of_go_holds_over_the_nanoseconds_on_the_wire(name: str) -> None:
    document = decode_record(RECORDS[name])
    signature = bytes.fromhex(document.record.signature)

    KEY.verify(signed_text(document), signature)
    assert Verifier([bytes(KEY)]).check(document) is None
    assert "another key signed" in (Verifier([bytes(32)], optional=True).check(document) or "")
    with pytest.raises(BadSignatureError):
        KEY.verify(signed_text(document) + b"=", signature)


def test_a_signature_holds_after_a_claim() -> None:
    document = decode_record(RECORDS["signed_deadline"])
    claim = document.updated(claimed(document.record, Run("W", 1, "n"), NOW))
    read_back = decode_record(claim.encode())

    for each in (claim, read_back):
        KEY.verify(signed_text(each), bytes.fromhex(each.record.signature))


@pytest.mark.parametrize("name", NAMED)
def test_a_named_policy_has_the_intervals_of_go(name: str) -> None:
    go = json.loads(read("")["retry_policies"])[name]
    policy = NAMED[name]

    assert isinstance(policy, Steps)
    assert [round(interval * 10**9) for interval in policy.intervals] == go["intervals"]
    assert policy.jitter == go["jitter"]


def test_go_knows_no_policy_that_jetq_does_not() -> None:
    assert json.loads(read("")["retry_policies"]).keys() == NAMED.keys()
