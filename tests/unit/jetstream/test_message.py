"""Bytes of the NATS protocol."""

import pytest

from jetq.jetstream.message import Message, decode_headers, encode_headers


def test_headers_come_back_as_they_were_sent() -> None:
    headers = {"Nats-TTL": "90s", "Empty": "", "Trace": "a:b c", "Name": "Grüße"}

    assert decode_headers(encode_headers(headers)) == headers


@pytest.mark.parametrize("headers", [{"A": "x\r\nB: y"}, {"A": "x\ny"}, {"A\r\nB": "x"}, {"A: B": "x"}])
def test_a_header_cannot_become_two(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no legal headers"):
        encode_headers(headers)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"NATS/1.0 503\r\n\r\n", {"Status": "503"}),
        (b"NATS/1.0 503\r\nNats-Subject: orders\r\n\r\n", {"Status": "503", "Nats-Subject": "orders"}),
        (b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", {"Status": "100", "Description": "Idle Heartbeat"}),
        (
            b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0\r\n\r\n",
            {
                "Status": "408",
                "Description": "Request Timeout",
                "Nats-Pending-Messages": "3",
                "Nats-Pending-Bytes": "0",
            },
        ),
        (b"NATS/1.0\r\nA:b\r\n\r\n", {"A": "b"}),
        (b"NATS/1.0\r\nbroken\r\n\xff: \xff\r\n\r\n", {"\ufffd": "\ufffd"}),
    ],
)
def test_status_lines_and_headers_are_read(raw: bytes, expected: dict[str, str]) -> None:
    assert decode_headers(raw) == expected


def test_a_message_without_headers_has_none() -> None:
    assert Message("a", "", b"", None).headers is None
