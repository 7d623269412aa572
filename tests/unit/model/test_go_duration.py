import pytest
from hypothesis import given, strategies as st

from jetq.model.go_duration import NANOSECONDS, format_go_duration, parse_go_duration


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("+0", 0), ("5s", 5 * NANOSECONDS), ("1h30m", 5400 * NANOSECONDS), ("1.5h", 5400 * NANOSECONDS),
        (".5s", NANOSECONDS // 2), ("1.s", NANOSECONDS), ("-1m", -60 * NANOSECONDS), ("3ns", 3), ("2us", 2000),
        ("2\u00b5s", 2000), ("2\u03bcs", 2000), ("7ms", 7_000_000), ("1h1h", 7200 * NANOSECONDS),
        ("2562047h47m16.854775807s", 2**63 - 1),
    ],
)  # fmt: skip
def test_durations_are_read_as_go_reads_them(text: str, nanoseconds: int) -> None:
    assert parse_go_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1d", "1h 30m", "--1s", "1e3s", ".s", "1H", "2562047h47m17s", "\u0663s"]
)
def test_what_go_does_not_read_is_no_duration(text: str) -> None:
    assert parse_go_duration(text) is None


@given(st.integers(0, 10**9))
def test_a_duration_is_spelled_so_that_it_is_read_again(seconds: int) -> None:
    assert parse_go_duration(format_go_duration(seconds * NANOSECONDS)) == seconds * NANOSECONDS
