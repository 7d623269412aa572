"""Flows as trees: each task once, below the last that it waits for."""

import pytest
from hypothesis import given, strategies as st

from jetq.cli.flow_tree import rows_of


def drawn(*parents: list[int], first: int = 8) -> list[str]:
    return [f"{row.branch}{row.node if row.node >= 0 else len(row.hidden)}" for row in rows_of(parents, first=first)]


def test_a_chain_goes_down() -> None:
    assert drawn([], [0], [1]) == ["0", "↓ 1", "↓ 2"]


def test_a_fan_spreads_and_what_joins_it_stands_below_the_last() -> None:
    assert drawn([], [0], [0], [1, 2], [3]) == ["0", "├─ 1", "└─ 2", "   ↓ 3", "   ↓ 4"]


def test_branches_are_drawn_past_what_is_below_others() -> None:
    assert drawn([], [0], [1], [1], [0]) == ["0", "├─ 1", "│  ├─ 2", "│  └─ 3", "└─ 4"]


def test_very_many_are_counted_with_all_below_them() -> None:
    parents: list[list[int]] = [[], *[[0] for _ in range(20)], [20], [21]]
    assert drawn(*parents) == ["0", *(f"├─ {number}" for number in range(1, 9)), "└─ 14"]
    assert len(drawn(*parents, first=0)) == 23


@pytest.mark.parametrize("count", [8, 12])
def test_a_few_more_are_shown_rather_than_counted(count: int) -> None:
    alone: list[list[int]] = [[] for _ in range(count)]
    assert len(drawn(*alone)) == count


@given(st.data(), st.integers(0, 60))
def test_every_task_stands_in_one_line(data: st.DataObject, count: int) -> None:
    parents = [
        data.draw(st.lists(st.integers(0, node - 1), unique=True, max_size=4)) if node else [] for node in range(count)
    ]
    rows = list(rows_of(parents))
    shown = [row.node for row in rows if row.node >= 0]
    assert sorted([*shown, *(node for row in rows for node in row.hidden)]) == list(range(count))
    places = {node: place for place, node in enumerate(shown)}
    assert all(places[max(parents[node])] < places[node] for node in shown if parents[node])
