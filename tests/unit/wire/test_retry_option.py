"""A task's own policy as JSON."""

import contextlib
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import Raw

from jetq.errors import InvalidSettingError
from jetq.model.retry import Custom, Exponential, Fixed, Linear, RetryPolicy, Steps
from jetq.wire.retry_option import decode_retry, encode_retry

waits = st.floats(0, 1e9)
jitters = st.floats(0, 1)
policies = (
    st.builds(Exponential, first=waits, max=waits, factor=st.floats(1, 1000), jitter=jitters)
    | st.builds(Linear, first=waits, step=waits, max=waits, jitter=jitters)
    | st.builds(Fixed, seconds=waits, jitter=jitters)
    | st.builds(Steps, intervals=st.lists(st.floats(0, 1e8), min_size=1).map(tuple), jitter=jitters)
)


@given(policies | st.text())
def test_what_was_spelled_is_read_again(policy: RetryPolicy | str) -> None:
    assert decode_retry(encode_retry(policy)) == policy


@pytest.mark.parametrize(
    ("given_", "spelled"),
    [
        ("1m", b'"1m"'),
        (30, b'{"kind":"fixed","seconds":30,"jitter":0.0}'),
        (timedelta(minutes=1), b'{"kind":"fixed","seconds":60.0,"jitter":0.0}'),
        (
            Exponential(first=timedelta(seconds=5)),
            b'{"kind":"exponential","first":5.0,"max":600.0,"factor":2.0,"jitter":1.0}',
        ),
        (Linear(), b'{"kind":"linear","first":1.0,"step":1.0,"max":600.0,"jitter":0.0}'),
        (Steps((1.0, 5.0), 0.5), b'{"kind":"steps","intervals":[1.0,5.0],"jitter":0.5}'),
    ],
    ids=str,
)
def test_policies_are_spelled_as_the_reference_says(given_: Any, spelled: bytes) -> None:
    assert bytes(encode_retry(given_)) == spelled


class Own:
    def delay(self, retry: int, chance: float) -> float:
        return retry + chance


class Gentle(Exponential):
    def delay(self, retry: int, chance: float) -> float:
        return 2 * super().delay(retry, chance)


@pytest.mark.parametrize(
    "wrong",
    [lambda retry: retry, Own(), Gentle(), Custom(lambda _: 1), Exponential, True, None, [1]],
    ids=["function", "object", "subclass", "custom", "class", "bool", "none", "list"],
)
def test_what_cannot_travel_is_refused_with_what_to_do(wrong: Any) -> None:
    with pytest.raises(InvalidSettingError, match=r"register it under a name, with App\(retry_policies=\{\.\.\.\}\)"):
        encode_retry(wrong)


@pytest.mark.parametrize("wrong", [-1, float("nan"), timedelta(seconds=-1)], ids=str)
def test_seconds_that_cannot_be_waited_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidSettingError, match=r"Fixed\.seconds"):
        encode_retry(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"17",
        b"true",
        b"[]",
        b"{}",
        b'{"kind":"square"}',
        b'{"kind":5}',
        b'{"kind":{"a":1}}',
        b'{"kind":"fixed","seconds":"5"}',
        b'{"kind":"fixed","seconds":-5}',
        b'{"kind":"fixed","minutes":5}',
        b'{"kind":"steps"}',
        b'{"kind":"steps","intervals":5}',
        b'{"kind":"steps","intervals":[]}',
        b'{"kind":"steps","intervals":[[1]]}',
        b'{"kind":"steps","intervals":{"a":1}}',
        b'{"kind":"exponential","factor":1e999}',
        b'{"kind":"linear","step":1' + b"0" * 400 + b"}",
        b"[" * 5000,
        b'"\xff"',
        b'{"kind":"fixed"',
    ],
    ids=lambda wrong: wrong[:40].decode(errors="replace"),
)
def test_what_is_no_policy_is_told_as_such(wrong: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_retry(Raw(wrong))


anything = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists)


@given(st.binary() | anything.map(msgspec.json.encode))
def test_nothing_but_a_value_error_ever_comes_of_reading(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode_retry(Raw(data))
