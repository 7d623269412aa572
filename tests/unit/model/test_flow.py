"""Nodes in order, and shapes of results."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from jetq.model.flow import Shape, arranged, depth, moved, positions

SHAPES: st.SearchStrategy[Any] = st.recursive(st.integers(0, 9), lambda inner: st.lists(inner, max_size=4).map(tuple))


def nested(levels: int) -> Shape:
    shape: Shape = 0
    for _ in range(levels):
        shape = (shape,)
    return shape


@given(SHAPES)
def test_positions_come_from_left_to_right(shape: Shape) -> None:
    assert list(positions(shape)) == [int(digit) for digit in str(shape) if digit.isdigit()]


@given(SHAPES)
def test_moving_changes_positions_alone(shape: Shape) -> None:
    there = moved(shape, {number: number + 10 for number in range(10)})

    assert list(positions(there)) == [number + 10 for number in positions(shape)]
    assert depth(there) == depth(shape)


@pytest.mark.parametrize(
    ("shape", "found"),
    [(3, 0), ((), 1), ((1, 2), 1), ((1, (2,)), 2), ((((),),), 3), (nested(5000), 5000)],
    ids=range(6),
)
def test_the_depth_of_a_shape_is_that_of_its_deepest_list(shape: Shape, found: int) -> None:
    assert depth(shape) == found


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=12))
def test_parents_come_before_children_unless_there_is_a_circle(wanted: list[list[int]]) -> None:
    parents = [[each % len(wanted) for each in some] for some in wanted]

    order, circle = arranged(parents)

    if circle:
        assert len(set(circle)) == len(circle)
        for node, parent in zip(circle, [*circle[1:], circle[0]], strict=True):
            assert parent in parents[node]
    else:
        assert sorted(order) == list(range(len(parents)))
        place = {node: number for number, node in enumerate(order)}
        assert all(place[parent] < place[node] for node, some in enumerate(parents) for parent in some)


def test_what_needs_no_other_order_stays_as_it_was_given() -> None:
    assert arranged([[], [0], [], [1, 2]]) == ([0, 1, 2, 3], [])
    assert arranged([[2], [], []]) == ([2, 0, 1], [])


def test_a_row_of_any_length_takes_no_stack() -> None:
    assert arranged([[number + 1] for number in range(20_000)] + [[]])[0][0] == 20_000
