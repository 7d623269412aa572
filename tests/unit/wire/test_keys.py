import pytest
from hypothesis import given, strategies as st

from jetq.model.unique import KeyEntry
from jetq.wire.keys import decode_key, encode_key, key_digest, payload_digest

names = st.from_regex(r"[a-zA-Z0-9_:\-]{1,30}", fullmatch=True)


def test_a_digest_is_the_one_that_the_protocol_says() -> None:
    assert key_digest("email:new user-7") == "ouqilnrijeks5oofywn4gbxae4x72evf"


@given(st.text())
def test_the_digest_of_any_text_is_a_token_of_a_subject(text: str) -> None:
    assert key_digest(text).isalnum()
    assert len(key_digest(text)) == 32


def test_texts_that_are_no_unicode_have_digests_of_their_own() -> None:
    assert key_digest("\udcff") != key_digest("\udcfe")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1,"b":[1,2]}', b'{"b": [1,2], "a": 1}', True),
        (b'{"a":{"x":1,"y":2}}', b'{"a":{"y":2,"x":1}}', True),
        (b'{"a":1}', b'{"a":"1"}', False),
        (b"[1,2]", b"[2,1]", False),
        (None, b"", True),
        (None, b"null", False),
        (b"no json", b"no json", True),
        (b"no json", b"other", False),
    ],
    ids=range(8),
)
def test_payloads_of_one_meaning_have_one_digest(one: bytes | None, other: bytes | None, same: bool) -> None:
    assert (payload_digest(one) == payload_digest(other)) is same


@given(st.builds(KeyEntry, key=st.text(), task=names, mode=names, after=st.just("") | names, period=st.integers(0)))
def test_an_entry_that_was_written_is_read(entry: KeyEntry) -> None:
    if entry.period < 2**63:
        assert decode_key(encode_key(entry)) == entry


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b"null",
        b'{"task":5}',
        b'{"task":"a b"}',
        b'{"task":"a","after":"b.c"}',
        b'{"task":"\xff"}',
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_what_is_no_entry_names_no_task(data: bytes) -> None:
    assert decode_key(data).task == ""
