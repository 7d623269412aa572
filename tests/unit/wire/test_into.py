"""Which parameters take the results of which parents, as a record says it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from jetq.model.record import ABSENT, StoredOptions, TaskRecord
from jetq.wire.dependencies import Gift, ParentError, encode_gifts
from jetq.wire.into import encode_into, parent_values

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GIFTS = {
    "A": Gift(Raw(b'"a"'), NOW),
    "B": Gift(Raw(b'{"b":[1]}'), NOW),
    "C": Gift(),
    "D": Gift(error=ParentError("ValueError", "bad", "expired", "tries")),
}


def record(into: Raw, gifts: dict[str, Gift] = GIFTS) -> TaskRecord:
    return TaskRecord(
        id="X",
        type="t",
        created=NOW,
        dependencies=["A", "B", "C", "D", "E"],
        dependency_results=encode_gifts(gifts),
        options=StoredOptions(into=into),
    )


def values(into: Raw, gifts: dict[str, Gift] = GIFTS) -> dict[str, Any]:
    return {name: msgspec.json.decode(value) for name, value in parent_values(record(into, gifts)).items()}


def test_numbers_stand_for_parents_and_lists_for_lists() -> None:
    assert values(encode_into({"x": 1, "y": (0, (1, 0)), "z": ()})) == {
        "x": {"b": [1]},
        "y": ["a", [{"b": [1]}, "a"]],
        "z": [],
    }


def test_a_parent_without_result_gives_null_and_a_failed_one_its_error() -> None:
    error = {"error": {"type": "ValueError", "message": "bad", "state": "expired", "end": "tries"}}

    assert values(encode_into({"x": 2, "y": (4, 3)})) == {"x": None, "y": [None, error]}


def test_the_bytes_of_a_result_are_not_touched() -> None:
    gifts = {"A": Gift(Raw(b'{"n": 1.50e2 }'), NOW)}

    assert bytes(parent_values(record(encode_into({"x": 0}), gifts))["x"]) == b'{"n": 1.50e2 }'


def test_nothing_is_said_where_nothing_is_taken() -> None:
    assert encode_into({}) is ABSENT
    assert values(ABSENT) == {}
    assert parent_values(TaskRecord(id="X", type="t", created=NOW)) == {}


@pytest.mark.parametrize(
    "into",
    [b"[1]", b"5", b"{", b'{"x":\xff}', b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}"],
    ids=range(5),
)
def test_what_nobody_can_read_is_as_good_as_absent(into: bytes) -> None:
    assert values(Raw(into)) == {}


@pytest.mark.parametrize("shape", [b"99", b"-1", b'"A"', b"null", b"{}", b"1.5"])
def test_what_stands_for_no_parent_gives_null(shape: bytes) -> None:
    assert values(Raw(b'{"x":%b}' % shape)) == {"x": None}
