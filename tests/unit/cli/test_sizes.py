"""Amounts of memory as people write them."""

import pytest

from jetq.cli.sizes import parse_size
from jetq.errors import InvalidSettingError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("64k", 64 * 2**10),
        ("512M", 512 * 2**20),
        ("512MB", 512 * 2**20),
        ("512 MiB", 512 * 2**20),
        ("1.5g", 3 * 2**29),
        (None, None),
    ],
)
def test_sizes_are_read(text: str | None, size: int | None) -> None:
    assert parse_size("--max-memory-per-child", text) == size


@pytest.mark.parametrize("text", ["", "much", "-1M", "5T", "1e3", "\u0665M"])
def test_what_is_none_is_named(text: str) -> None:
    with pytest.raises(InvalidSettingError, match="expected --max-memory-per-child to be a size such as 512M"):
        parse_size("--max-memory-per-child", text)
