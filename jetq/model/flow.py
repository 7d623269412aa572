"""
flow: tasks that belong together, and the order among them. Pure.

The tasks of a flow are its nodes. Before they have ids they are known by their positions; a :class:`Link` leads from a
node to one that it depends on. A :data:`Shape` says how results are put together: a position stands for the result of
that node, a tuple for the list of what its members stand for.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from msgspec import Struct

from jetq.model.dependency import OnFailure

Shape: TypeAlias = int | tuple["Shape", ...]
"""A position, or a list of what shapes stand for."""

MOST_NODES: Final = 10_000
"""Tasks of one flow."""
DEEPEST_SHAPE: Final = 100
"""Lists within lists; the readers of JSON stop at 200 levels, and a result has some of its own."""


class FlowState(StrEnum):
    """How far a flow is stored, in the protocol's words; nothing of it runs before it is committed."""

    BUILDING = "building"
    COMMITTED = "committed"
    ABORTED = "aborted"


class Link(Struct, frozen=True, gc=False):
    """A node that another one depends on, by its position, and what its failure means to that one."""

    parent: int
    on_failure: OnFailure = OnFailure.FAIL


def positions(shape: Shape) -> Iterator[int]:
    """Yield the positions in a shape, from left to right."""
    rest: list[Shape] = [shape]
    while rest:
        each = rest.pop()
        if isinstance(each, int):
            yield each
        else:
            rest.extend(reversed(each))


def depth(shape: Shape) -> int:
    """Return how many lists stand within each other in a shape; 0 for a position."""
    level: list[Shape] = [shape]
    levels = 0
    while lists := [each for each in level if not isinstance(each, int)]:
        levels += 1
        level = [inner for each in lists for inner in each]
    return levels


def moved(shape: Shape, places: Mapping[int, int]) -> Shape:
    """Return a shape with each position replaced by what stands at it in *places*; one that is not too deep."""
    return places[shape] if isinstance(shape, int) else tuple(moved(each, places) for each in shape)


def arranged(parents: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """
    Put nodes in an order in which each comes after those that it depends on, and else as they were given.

    Args:
        parents: Of each node, the positions of those that it depends on.

    Returns:
        The positions in that order, and a cycle that is in the way: each node in it depends on the next one, and the
        last on the first. Without a cycle the second is empty; with one the first says nothing.
    """
    order: list[int] = []
    done = [False] * len(parents)
    for start in range(len(parents)):
        if done[start]:
            continue
        path, left, on_path = [start], [iter(parents[start])], {start}
        while path:
            parent = next(left[-1], None)
            if parent is None:
                left.pop()
                node = path.pop()
                on_path.discard(node)
                done[node] = True
                order.append(node)
            elif parent in on_path:
                return order, path[path.index(parent) :]
            elif not done[parent]:
                path.append(parent)
                left.append(iter(parents[parent]))
                on_path.add(parent)
    return order, []
