"""What a signature is over, and whose counts; tests/unit/wire/test_golden.py verifies signatures of Go."""

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from jetq.errors import UnusableCredentialsError
from jetq.model.record import Run, TaskRecord
from jetq.model.transition import claimed
from jetq.settings import SigningSettings
from jetq.wire.codec import Document, decode_record, new_document
from jetq.wire.signature import Signer, Verifier, new_seed, read_key, signed_text

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


def test_colons_in_names_let_one_text_be_read_in_several_ways_as_the_documentation_warns() -> None:
    readings = [("01M8", "MAIL", "email:new"), ("01M8", "MAIL:email", "new"), ("01M8:MAIL", "email", "new")]

    texts = {signed_text(new_document(replace(RECORD, id=i, queue=q, type=t))) for i, q, t in readings}

    assert texts == {b"01M8:MAIL:email:new:-1:1795489200123456000:0:AP9+"}


SEED, OTHER_SEED = b"a" * 32, b"b" * 32
SIGNER = Signer(SEED)
PUBLIC, OTHER = (bytes.fromhex(Signer(seed).public_key) for seed in (SEED, OTHER_SEED))
DOCUMENT = new_document(replace(RECORD, deadline=CREATED + timedelta(hours=1)))
SIGNED = SIGNER.signed(DOCUMENT)


def with_signature(signature: str) -> Document:
    return DOCUMENT.updated(replace(DOCUMENT.record, signature=signature))


def test_what_a_signer_signs_its_public_key_verifies() -> None:
    assert Verifier([PUBLIC]).check(SIGNED) is None
    assert Verifier([PUBLIC]).check(decode_record(SIGNED.encode())) is None
    assert SIGNED.record.signature == SIGNER.sign(DOCUMENT)


def test_several_keys_let_one_follow_the_other() -> None:
    assert Verifier([OTHER, PUBLIC]).check(SIGNED) is None
    assert "another key signed" in (Verifier([OTHER]).check(SIGNED) or "")


def test_an_unsigned_task_runs_only_where_signatures_are_optional() -> None:
    assert "not signed" in (Verifier([PUBLIC]).check(DOCUMENT) or "")
    assert Verifier([PUBLIC], optional=True).check(DOCUMENT) is None


CHANGES: list[dict[str, Any]] = [
    {"id": "A2"},
    {"type": "u"},
    {"queue": "R"},
    {"payload": b"\x00\xff"},
    {"payload": None},
    {"max_tries": 0},
    {"created": CREATED + timedelta(microseconds=1)},
    {"deadline": None},
    {"deadline": CREATED + timedelta(hours=2)},
]


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_task_that_was_changed_is_refused(change: dict[str, Any], optional: bool) -> None:
    changed = SIGNED.updated(replace(SIGNED.record, **change))

    assert "the signature is wrong" in (Verifier([PUBLIC], optional=optional).check(changed) or "")


def test_a_digit_of_the_nanoseconds_counts() -> None:
    nine = SIGNED.encode().replace(b".123456Z", b".123456001Z", 1)

    assert "the signature is wrong" in (Verifier([PUBLIC]).check(decode_record(nine)) or "")


def test_what_a_run_writes_leaves_the_signature_whole() -> None:
    run = claimed(SIGNED.record, Run("W", 1, "n"), CREATED)

    assert Verifier([PUBLIC]).check(SIGNED.updated(run)) is None


def test_capital_digits_are_as_good() -> None:
    assert Verifier([PUBLIC]).check(with_signature(SIGNED.record.signature.upper())) is None


@pytest.mark.parametrize("optional", [False, True], ids=["required", "optional"])
@pytest.mark.parametrize(
    "signature",
    ["x", "zz" * 64, "ab", "0" * 128, "f" * 128, "ab" * 65, " " * 128, "é" * 128, "a " * 64, "\x00", "\u0661" * 128],
)
def test_a_signature_that_is_none_is_refused_and_raises_nothing(signature: str, optional: bool) -> None:
    assert "signature" in (Verifier([PUBLIC], optional=optional).check(with_signature(signature)) or "")


@given(st.text(min_size=1))
def test_no_text_is_taken_for_a_signature(text: str) -> None:
    assert Verifier([PUBLIC], optional=True).check(with_signature(text)) is not None


@pytest.mark.parametrize(
    "created", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"]
)
def test_times_out_of_range_are_signed_and_verified(created: str) -> None:
    data = json.dumps({"id": "A1", "type": "t", "queue": "Q", "max_tries": 5, "created": created})
    document = decode_record(data.encode())

    assert Verifier([PUBLIC]).check(SIGNER.signed(document)) is None


def test_settings_make_signers_and_verifiers(tmp_path: Path) -> None:
    seed, public = tmp_path / "seed", tmp_path / "public"
    seed.write_text(SEED.hex() + "\n")
    public.write_text(PUBLIC.hex().upper() + "\r\n")

    for settings in (SigningSettings(key=SEED.hex()), SigningSettings(key_file=seed)):
        signer = Signer.of(settings)
        assert signer is not None
        assert signer.public_key == PUBLIC.hex()
    for settings in (
        SigningSettings(verify=PUBLIC.hex()),
        SigningSettings(verify=[OTHER.hex()], verify_files=[public]),
    ):
        verifier = Verifier.of(settings)
        assert verifier is not None
        assert verifier.check(SIGNED) is None
    assert Signer.of(SigningSettings()) is None
    assert Verifier.of(SigningSettings()) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (b"", "0 characters"),
        (b"ab\n", "2 characters"),
        (b"\xff" * 32, "no text"),
        (b"z" * 64, "hex"),
    ],
    ids=["missing", "empty", "short", "binary", "letters"],
)
def test_a_file_without_a_key_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    for make in (Signer.of, Verifier.of):
        settings = SigningSettings(key_file=path, verify_files=path)
        with pytest.raises(UnusableCredentialsError, match=reason) as refused:
            make(settings)
        assert refused.value.place == str(path)


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(UnusableCredentialsError, match="directory"):
        read_key(tmp_path)


def test_a_new_key_is_one_that_nobody_has() -> None:
    first, second = new_seed(), new_seed()

    assert len(first) == 32
    assert first != second


def test_what_signs_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl", None)

    with pytest.raises(UnusableCredentialsError, match=r"PyNaCl is not installed.*jetq-tasks\[signing\]"):
        Signer(SEED)
