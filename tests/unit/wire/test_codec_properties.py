"""What holds for every record, drawn at random."""

import contextlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st
from msgspec import Raw

from jetq.errors import IllegalTransitionError, MalformedItemError, MalformedRecordError
from jetq.model.record import TaskRecord
from jetq.model.verdict import refusal
from jetq.wire.codec import Document, decode_item, decode_record, encode_item, new_document
from jetq.wire.events import decode_event
from jetq.wire.signature import signed_text
from tests.golden.files import every_record, lives
from tests.unit.wire.examples import FIELDS, Move, documents, moves, names, records, values

ALWAYS = {"id", "type", "queue", "payload", "max_tries", "state", "created", "tries"}
NOW = datetime(2026, 11, 24, tzinfo=UTC)
GO = list(every_record().values()) + [message.data for message in lives()]


def plain(value: Any) -> Any:
    """Return a field's value as JSON read anew."""
    return json.loads(msgspec.json.encode(value))


def is_left_out(name: str, record: TaskRecord) -> bool:
    empty = TaskRecord(id="", type="", created=NOW)
    return name not in ALWAYS and getattr(record, name) == getattr(empty, name)


@given(records)
def test_a_record_is_read_as_it_was_written(record: TaskRecord) -> None:
    assert decode_record(new_document(record).encode()).record == record


@given(records)
def test_a_new_record_holds_what_it_has_and_no_empty_keys(record: TaskRecord) -> None:
    expected = {name: plain(getattr(record, name)) for name in FIELDS if not is_left_out(name, record)}

    assert json.loads(new_document(record).encode()) == expected


@given(documents())
def test_a_document_that_is_read_and_written_back_is_equal(document: Document) -> None:
    data = document.encode()

    assert decode_record(data).encode() == data


@given(documents(), records)
def test_an_update_equals_replacing_the_changed_fields_by_value(document: Document, record: TaskRecord) -> None:
    expected = json.loads(document.encode())
    for name in FIELDS:
        if getattr(record, name) == getattr(document.record, name):
            continue
        expected.pop(name, None)
        if not is_left_out(name, record):
            expected[name] = plain(getattr(record, name))

    updated = document.updated(record)

    assert json.loads(updated.encode()) == expected
    assert decode_record(updated.encode()).record == record


@given(documents(), st.lists(moves, max_size=6))
def test_unknown_keys_live_through_every_move(document: Document, walk: list[Move]) -> None:
    unknown = {key: bytes(value) for key, value in document.fields.items() if key not in FIELDS}
    now = document
    for move in walk:
        with contextlib.suppress(IllegalTransitionError):
            now = decode_record(now.updated(move(now.record)).encode())
        assert {key: bytes(value) for key, value in now.fields.items() if key not in FIELDS} == unknown


@given(names, st.integers(0, 2**63 - 1), documents())
def test_an_item_is_read_as_it_was_written(job: str, sequence: int, document: Document) -> None:
    data = document.encode()
    item = decode_item(encode_item(job, sequence, data))

    assert (item.kind, item.job, item.seq, bytes(item.task)) == (0, job, sequence, data)


@given(documents())
def test_a_signed_text_can_be_made_of_every_record(document: Document) -> None:
    text = signed_text(document)

    assert text.startswith(document.record.id.encode() + b":")
    assert signed_text(decode_record(document.encode())) == text


# Bytes that are no records


def torn(data: bytes) -> st.SearchStrategy[bytes]:
    """Damage good bytes: cut them, put others in, repeat a part."""
    place = st.integers(0, len(data))
    junk = st.sampled_from(
        [b"", b'"', b"{", b"[", b"null", b"1e999", b"-1", b"\xff", b"\\ud800", b"\x00", b",", b"9" * 400]
    )

    def tear(start: int, end: int, between: bytes) -> bytes:
        return data[:start] + between + data[end:]

    return st.builds(tear, place, place, junk | st.binary(max_size=4))


def wrong_types() -> st.SearchStrategy[bytes]:
    """Give any field of a record any value."""
    good = json.loads(every_record()["unblocked"])
    wrong = st.dictionaries(st.sampled_from(FIELDS), values, min_size=1, max_size=3)

    def put(fields: dict[str, Any]) -> bytes:
        return msgspec.json.encode(good | fields)

    return wrong.map(put)


def nested(depth: int, inside: bytes) -> bytes:
    return inside % (b"[" * depth + b"]" * depth)


DEEP = [
    nested(100_000, b"%b"),
    nested(100_000, b'{"kind":0,"job":"a","task":%b}'),
    nested(100_000, b'{"id":"a","type":"t","created":"2026-11-24T00:00:00Z","progress":%b}'),
    nested(100_000, b'{"id":"a","type":"t","created":"2026-11-24T00:00:00Z","unknown":%b}'),
    b"[" * 1_000_000,
    b'{"a":' * 1_000_000,
]


def use(document: Document) -> None:
    """Do with a record what a worker does before it knows whether it is any good."""
    encoded = document.encode()
    assert decode_record(encoded).record == document.record
    refusal(document.record, limit=3, now=NOW)
    signed_text(document)


def read_everything(data: bytes) -> None:
    with contextlib.suppress(MalformedRecordError):
        use(decode_record(data))
    with contextlib.suppress(MalformedItemError):
        decode_item(data)
    decode_event(data)


@given(st.binary(max_size=50))
@example(b"")
@example(b"null")
@example(b"\xef\xbb\xbf{}")
def test_garbage_is_malformed_and_nothing_else(data: bytes) -> None:
    read_everything(data)


@settings(max_examples=500)
@given(st.sampled_from(GO).flatmap(torn))
def test_damaged_bytes_are_malformed_and_nothing_else(data: bytes) -> None:
    read_everything(data)


@settings(max_examples=300)
@given(wrong_types())
def test_wrong_types_are_malformed_and_nothing_else(data: bytes) -> None:
    read_everything(data)


@pytest.mark.parametrize("place", range(len(DEEP)))
def test_deep_nesting_is_malformed_and_nothing_else(place: int) -> None:
    read_everything(DEEP[place])


@given(st.lists(st.sampled_from(FIELDS), max_size=5), values)
def test_the_last_of_equal_keys_counts_as_in_go(keys: Iterable[str], value: Any) -> None:
    good = every_record()["new"]
    first = b",".join(msgspec.json.encode(key) + b":" + msgspec.json.encode(value) for key in keys)

    data = b"{" + first + b"," * bool(first) + good[1:]

    with contextlib.suppress(MalformedRecordError):
        document = decode_record(data)
        assert document.record == decode_record(document.encode()).record
        assert isinstance(document.fields["id"], Raw)
        assert document.record.id == "3MXacoA4r1VXzUmWbcF7UmAGfE8"
