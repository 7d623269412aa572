"""Records and items as bytes: what is kept, what is left out, what is refused."""

from datetime import UTC, datetime

import pytest
from msgspec import Raw
from msgspec.structs import replace

from jetq.errors import MalformedItemError, MalformedRecordError
from jetq.model.record import ABSENT, ErrorInfo, TaskRecord
from jetq.wire.codec import MAX_EMBEDDED, decode_item, decode_record, encode_item, encode_json, new_document

CREATED = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MINIMAL = b'{"id":"A1","type":"t","created":"2026-11-24T03:00:00Z"%b}'


def record(**fields: object) -> TaskRecord:
    return replace(TaskRecord(id="A1", type="t", created=CREATED), **fields)


def with_key(key: bytes) -> bytes:
    return MINIMAL % (b"," + key)


def test_a_record_needs_only_id_type_and_creation() -> None:
    assert decode_record(MINIMAL % b"").record == record()


def test_a_new_record_spells_what_go_always_spells() -> None:
    assert new_document(record()).encode() == (
        b'{"id":"A1","type":"t","queue":"","payload":null,"max_tries":0,"state":"",'
        b'"created":"2026-11-24T03:00:00Z","tries":0}'
    )


def test_a_field_that_becomes_empty_is_left_out() -> None:
    document = new_document(record(last_err="no", progress=Raw(b"1"), dependencies=["B2"], due=CREATED))

    emptied = document.updated(record())

    assert emptied.encode() == new_document(record()).encode()
    assert emptied.fields["tries"] == 0


def test_an_update_leaves_the_document_as_it_was() -> None:
    document = new_document(record())
    before = document.encode()

    document.updated(record(last_err="no"))

    assert document.encode() == before


@pytest.mark.parametrize(
    "value", [b'"gentle"', b'{"kind":"square"}', b"null", b"[1,{}]", b"17", b"1e999", b'{"a":[[[]]]}']
)
def test_a_retry_option_of_another_program_makes_no_record_malformed(value: bytes) -> None:
    data = with_key(b'"options":{"timeout":5.0,"retry":' + value + b"}")
    document = decode_record(data)

    assert document.record.options is not None
    assert bytes(document.record.options.retry) == value
    assert document.updated(replace(document.record, last_err="no")).encode() == data[:-1] + b',"last_err":"no"}'


def test_options_without_a_policy_spell_none() -> None:
    options = decode_record(with_key(b'"options":{"timeout":5.0}')).record.options
    assert options is not None

    assert encode_json(options) == b'{"timeout":5.0}'
    assert encode_json(replace(options, retry=Raw(b'"1m"'))) == b'{"timeout":5.0,"retry":"1m"}'


@pytest.mark.parametrize("value", [b"null", b"[1]", b'{"done":1}', b'"half"', b"0.5"])
def test_progress_may_be_any_json(value: bytes) -> None:
    document = decode_record(with_key(b'"progress":' + value))

    assert bytes(document.record.progress) == value
    assert document.updated(record()).record.progress == ABSENT


@pytest.mark.parametrize(
    "key",
    [
        b'"id":"*"',
        b'"id":""',
        b'"id":"a.b"',
        b'"id":"a b"',
        b'"id":"a\\r\\nPUB"',
        b'"id":"\xc3\xa9"',
        b'"id":"' + b"a" * 201 + b'"',
        b'"queue":"a.>"',
        b'"queue":"a b"',
        b'"run":{"worker":"all me","attempt":1,"nonce":"x"}',
    ],
)
def test_a_record_whose_names_would_break_a_subject_is_malformed(key: bytes) -> None:
    with pytest.raises(MalformedRecordError, match="not legal"):
        decode_record(with_key(key))


@pytest.mark.parametrize(
    "key",
    [
        b'"created":"2026-11-24T03:00:00"',
        b'"deadline":"2026-11-24T03:00:00"',
        b'"due":1',
        b'"state":"resting"',
        b'"tries":-1',
        b'"tries":1e3',
        b'"tries":9223372036854775807',
        b'"max_tries":9223372036854775808',
        b'"payload":"no base64!"',
        b'"unknown":"\xff"',
        b'"last_err":"\\ud800"',
        b'"result":{"payload":1}',
    ],
)
def test_a_record_that_could_not_be_used_is_malformed(key: bytes) -> None:
    with pytest.raises(MalformedRecordError):
        decode_record(with_key(key))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"1", b'"x"', MINIMAL % b"" + b"x", b"\xef\xbb\xbf{}"])
def test_what_is_no_record_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedRecordError, match=r"malformed task record: ."):
        decode_record(data)


def test_text_that_is_no_unicode_is_written_with_its_escapes() -> None:
    error = ErrorInfo("OSError", "no \udcff.txt", "\ud800 in the traceback")
    document = decode_record(MINIMAL % b"").updated(record(last_err="no \udcff.txt", error=error, dependencies=["B2"]))

    read = decode_record(document.encode()).record

    assert read.last_err == r"no \udcff.txt"
    assert read.error == ErrorInfo("OSError", r"no \udcff.txt", r"\ud800 in the traceback")
    assert read.dependencies == ["B2"]
    assert encode_json({"\ud800": "a"}) == rb'{"\\ud800":"a"}'


def test_a_large_record_does_not_travel_in_its_item() -> None:
    assert MAX_EMBEDDED == 65_536
    small, large = b'"' + b"a" * (MAX_EMBEDDED - 2) + b'"', b'"' + b"a" * (MAX_EMBEDDED - 1) + b'"'

    assert bytes(decode_item(encode_item("A1", 5, small)).task) == small
    assert decode_item(encode_item("A1", 5, large)) == decode_item(b'{"kind":0,"job":"A1","seq":5}')


@pytest.mark.parametrize(
    "data",
    [
        b'{"kind":0,"job":"*"}',
        b'{"kind":0,"job":">"}',
        b'{"kind":0,"job":"a.b"}',
        b'{"kind":0,"job":"a\\n"}',
        b'{"kind":0,"job":""}',
        b'{"kind":0}',
        b'{"kind":1,"job":"A1"}',
        b'{"kind":"0","job":"A1"}',
        b'{"kind":0,"job":7}',
        b'{"kind":0,"job":"' + b"a" * 201 + b'"}',
        b"[]",
        b"",
        b"\xff",
    ],
)
def test_an_item_that_names_no_possible_task_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedItemError, match=r"malformed item: ."):
        decode_item(data)


@pytest.mark.parametrize(
    "further", [b'"seq":"x"', b'"seq":-1', b'"seq":1e30', b'"seq":18446744073709551616', b'"seq":null', b'"seq":[]']
)
def test_an_item_with_another_programs_keys_is_an_item_still(further: bytes) -> None:
    item = decode_item(b'{"kind":0,"job":"A1","task":{"id":"A1"},' + further + b"}")

    assert (item.job, item.seq, item.task) == ("A1", 0, ABSENT)


def test_an_item_without_kind_is_a_task_as_in_go() -> None:
    assert decode_item(b'{"job":"A1"}').job == "A1"
    assert decode_item(b'{"job":"A1","seq":"another program\'s"}').job == "A1"


def test_no_key_of_jetq_equals_one_of_go_but_for_case() -> None:
    folded = [name.casefold() for name in TaskRecord.__struct_fields__]

    assert len(set(folded)) == len(folded)
    assert all(name == name.casefold() for name in TaskRecord.__struct_fields__)
