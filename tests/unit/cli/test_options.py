"""Names of queues may be repeated or separated by commas."""

import pytest

from jetq.cli.options import split_names


@pytest.mark.parametrize(
    ("values", "names"),
    [(None, ()), ([], ()), (["A"], ("A",)), (["A,B", "C"], ("A", "B", "C")), ([" A , ,B", "A"], ("A", "B"))],
)
def test_names_are_split_and_come_once(values: list[str] | None, names: tuple[str, ...]) -> None:
    assert split_names(values) == names
