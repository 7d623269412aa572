from datetime import UTC, datetime
from typing import Any

import pytest

from jetq.errors import InvalidSettingError
from jetq.model.progress import MAX_TEXT, make_progress

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("current", "total", "fraction"),
    [(0, None, None), (1, 4, 0.25), (5, 4, 1.0), (0, 0, None), (2.5, 10.0, 0.25), (2**53, 2**53, 1.0)],
)
def test_a_fraction_is_known_with_a_total(current: float, total: float | None, fraction: float | None) -> None:
    assert make_progress(current, total, "", NOW).fraction == fraction


def test_a_long_text_is_cut() -> None:
    text = make_progress(1, None, "x" * 100_000, NOW).text

    assert len(text) == MAX_TEXT
    assert text.endswith("x…")


@pytest.mark.parametrize("nonsense", [-1, "1", True, float("nan"), float("inf"), 2**53 + 1, [1]], ids=repr)
def test_what_is_no_number_is_refused(nonsense: Any) -> None:
    with pytest.raises(InvalidSettingError, match="progress to be a number"):
        make_progress(nonsense, None, "", NOW)
    with pytest.raises(InvalidSettingError, match="progress total to be a number"):
        make_progress(1, nonsense, "", NOW)


def test_numbers_keep_their_kind() -> None:
    said = make_progress(1, 2.0, "", NOW)

    assert (type(said.current), type(said.total)) == (int, float)
