"""Requests to workers, and their answers."""

import pytest

from jetq.wire.control import ControlRequest, decode_control_request, encode_control

CANCEL = ControlRequest("cancel", "A1", 2, "cafe", by="ops")


def test_a_cancel_is_spelled_as_the_protocol_says() -> None:
    assert encode_control(CANCEL) == b'{"op":"cancel","task":"A1","attempt":2,"nonce":"cafe","by":"ops"}'
    assert decode_control_request(encode_control(CANCEL)) == CANCEL


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b'{"op":"halt"}', b'{"op":"cancel","attempt":"2"}'])
def test_what_is_no_request_is_passed_over(data: bytes) -> None:
    assert decode_control_request(data) is None
