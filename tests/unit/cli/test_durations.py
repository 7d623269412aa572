"""Durations are read and written as people do."""

import pytest

from jetq.cli.durations import parse_duration
from jetq.errors import InvalidSettingError
from jetq.model.span import format_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("0", 0), ("500ms", 0.5), ("1m30s", 90), ("1h", 3600), ("2d", 172800), (" 1W ", 604800)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration("--delay", text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1y", "1h 30m", "h", "1e3", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingError, match="--delay to be a duration such as"):
        parse_duration("--delay", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (1.54, "1.5s"),
        (59.7, "1m"),
        (90, "1m30s"),
        (3599.9, "1h"),
        (3600, "1h"),
        (3661, "1h1m"),
        (172805, "2d"),
        (604800, "7d"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
