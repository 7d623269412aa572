"""Where a worker listens, as its option says."""

import pytest

from jetq.cli.serving import parse_address
from jetq.errors import InvalidSettingError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0", ("127.0.0.1", 0)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),  # noqa: S104 - what somebody may ask for
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:9100", ("::1", 9100)),
        ("[::]:9100", ("::", 9100)),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(text: str, address: tuple[str, int]) -> None:
    assert parse_address("--metrics", text) == address


def test_no_address_is_none() -> None:
    assert parse_address("--metrics", None) is None


@pytest.mark.parametrize(
    "text", ["", "x", "host", "host:", "65536", "host:65536", "-1", "::1:9100", "[::1]", "1:2:3", "9100 ", "٩٩", "[]:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingError, match="expected --metrics to be a port") as refused:
        parse_address("--metrics", text)

    assert refused.value.value == text
