"""What a signature is over; tests/unit/wire/test_golden.py verifies signatures of Go over it."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from jetq.model.record import TaskRecord
from jetq.wire.codec import decode_record, new_document
from jetq.wire.signature import signed_text

CREATED = datetime(2026, 11, 24, 3, 0, 0, 123456, UTC)
RECORD = TaskRecord(id="A1", type="t", queue="Q", payload=b"\x00\xff~", max_tries=-1, created=CREATED)
SECONDS = 1_795_489_200


def text_of(created: str) -> bytes:
    data = json.dumps({"id": "A1", "type": "t", "queue": "Q", "max_tries": 5, "created": created})
    return signed_text(decode_record(data.encode()))


def test_a_new_document_is_signed_as_it_will_be_read() -> None:
    document = new_document(RECORD)

    assert signed_text(document) == b"A1:Q:t:-1:1795489200123456000:0:AP9+"
    assert signed_text(decode_record(document.encode())) == signed_text(document)


def test_a_deadline_counts_at_its_own_zone() -> None:
    deadline = (CREATED + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-3, minutes=-30)))
    document = new_document(replace(RECORD, deadline=deadline))

    assert signed_text(document) == b"A1:Q:t:-1:1795489200123456000:1795492800123456000:AP9+"
    assert signed_text(decode_record(document.encode())) == signed_text(document)


@pytest.mark.parametrize(
    ("created", "nanoseconds"),
    [
        ("2026-11-24T03:00:00Z", SECONDS * 10**9),
        ("2026-11-24T03:00:00.1Z", SECONDS * 10**9 + 100_000_000),
        ("2026-11-24T03:00:00.000000001Z", SECONDS * 10**9 + 1),
        ("2026-11-24T03:00:00.999999999Z", SECONDS * 10**9 + 999_999_999),
        ("2026-11-24T03:00:00.9999999994Z", SECONDS * 10**9 + 999_999_999),
        ("2026-11-24T08:45:00.5+05:45", SECONDS * 10**9 + 500_000_000),
        ("2026-11-24t03:00:00z", SECONDS * 10**9),
        ("2026-11-24 03:00:00.000000007Z", SECONDS * 10**9 + 7),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00Z", -6_795_364_578_871_345_152),
    ],
)
def test_times_count_by_the_nanoseconds_on_the_wire(created: str, nanoseconds: int) -> None:
    assert text_of(created) == f"A1:Q:t:5:{nanoseconds}:0:".encode()
