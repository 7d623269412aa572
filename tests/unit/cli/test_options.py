"""Names of queues may be repeated or separated by commas, and may have weights."""

import pytest

from jetq.cli.options import split_names, split_weights
from jetq.errors import InvalidSettingError


@pytest.mark.parametrize(
    ("values", "names"),
    [(None, ()), ([], ()), (["A"], ("A",)), (["A,B", "C"], ("A", "B", "C")), ([" A , ,B", "A"], ("A", "B"))],
)
def test_names_are_split_and_come_once(values: list[str] | None, names: tuple[str, ...]) -> None:
    assert split_names(values) == names


@pytest.mark.parametrize(
    ("values", "queues"),
    [
        (None, []),
        (["A", "B"], ["A", "B"]),
        (["A:6,B:3", "C"], {"A": 6, "B": 3, "C": 1}),
        (["mail:2:1"], {"mail:2": 1}),
        (["mail:new"], ["mail:new"]),
    ],
    ids=["none", "names", "weights", "number_in_a_name", "colon_in_a_name"],
)
def test_a_number_behind_the_last_colon_is_a_weight(values: list[str] | None, queues: object) -> None:
    assert split_weights(values) == queues


def test_a_queue_with_two_weights_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="each queue once"):
        split_weights(["A:6", "A:3"])
