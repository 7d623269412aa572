from datetime import timedelta
from typing import Any

import pytest

from jetq.errors import InvalidSettingError
from jetq.model.retention import Retention, RetentionLike, as_retention

ENDS = ("complete", "expired", "cancelled", "terminated", "unreachable")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (60, [60, 60, 60, 60, 60]),
        (timedelta(minutes=1), [60, 60, 60, 60, 60]),
        (0, [0, 0, 0, 0, 0]),
        (Retention(complete=1), [1, None, None, None, None]),
        (Retention(failed=5), [None, 5, 5, 5, 5]),
        (Retention(complete=0, failed=5, cancelled=0), [0, 5, 0, 5, 5]),
        ({"complete": 1, "unreachable": timedelta(seconds=2)}, [1, None, None, None, 2]),
        (None, None),
    ],
    ids=["seconds", "timedelta", "nothing", "success", "failure", "one-end", "mapping", "unsaid"],
)
def test_a_retention_is_said_by_end(given: RetentionLike | None, expected: list[float | None] | None) -> None:
    said = as_retention(given)

    assert (None if said is None else [said.of(end) for end in ENDS]) == expected


def test_ends_are_discarded_beside_what_is_kept() -> None:
    said = as_retention(60, ["complete", "cancelled"])

    assert said is not None
    assert [said.of(end) for end in ENDS] == [0, 60, 0, 60, 60]
    assert as_retention(None, "failed") == Retention(failed=0)
    assert as_retention(None, ()) is None


@pytest.mark.parametrize("nonsense", [-1, 0.5, float("nan"), "a day", True, 10**12, timedelta(seconds=-1)], ids=repr)
def test_what_is_no_duration_is_refused(nonsense: Any) -> None:
    for given in (nonsense, {"complete": nonsense}):
        with pytest.raises(InvalidSettingError, match="at least 1 s, or 0 to discard"):
            as_retention(given)


@pytest.mark.parametrize("name", ["done", "new", "of", ""])
def test_an_unknown_end_is_refused_and_the_known_ones_are_named(name: str) -> None:
    for given in ({"retention": {name: 1}}, {"discard": [name], "retention": None}):
        with pytest.raises(InvalidSettingError, match="complete, failed, expired"):
            as_retention(given["retention"], given.get("discard", ()))  # type: ignore[arg-type]
