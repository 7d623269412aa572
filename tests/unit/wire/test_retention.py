import pytest
from msgspec import Raw

from jetq.model.record import ABSENT
from jetq.model.retention import Retention
from jetq.wire.retention import decode_retention, encode_retention


@pytest.mark.parametrize(
    ("retention", "data"),
    [
        (Retention(complete=60, failed=60), b"60.0"),
        (Retention(complete=0, failed=0), b"0.0"),
        (Retention(complete=60), b'{"complete":60.0}'),
        (Retention(complete=60, failed=60, cancelled=0), b'{"complete":60.0,"failed":60.0,"cancelled":0.0}'),
    ],
    ids=["all", "nothing", "one", "several"],
)
def test_a_retention_is_a_number_or_an_object_by_end(retention: Retention, data: bytes) -> None:
    assert bytes(encode_retention(retention)) == data
    assert decode_retention(Raw(data)) == retention


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", None),
        (b"null", None),
        (b'"a day"', None),
        (b"true", None),
        (b"-1", None),
        (b"0.5", None),
        (b"[1]", None),
        (b"{}", None),
        (b'{"done":1}', None),
        (b'{"complete":"long","failed":5,"later":1}', Retention(failed=5)),
        (b"3600", Retention(complete=3600, failed=3600)),
        (b"\xff", None),
        (b"[" * 5000, None),
    ],
    ids=range(13),
)
def test_what_another_program_put_there_does_no_harm(data: bytes, expected: Retention | None) -> None:
    assert decode_retention(Raw(data)) == expected


def test_nothing_is_nothing() -> None:
    assert decode_retention(ABSENT) is None
