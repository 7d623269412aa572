"""
flow_tree: the tasks of a flow in the order and the shape in which a person reads them.

A flow is no tree, since a task may wait for many. Here each stands once, below the last of those that it waits for. A
task that alone waits for another stands right below it, so that a long chain goes down and not to the right. Of very
many that wait for the same one the first few are shown, and the rest as a number.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

FIRST: Final = 8
"""Tasks that are shown of many that stand side by side."""
_SLACK: Final = 4
"""So many more are shown rather than counted."""
_THEN: Final = "↓ "


class Row(Struct, frozen=True):
    """
    A line of the tree.

    Attributes:
        branch: What is drawn before the name.
        node: The position of the task; -1 for a line that stands for many.
        hidden: The positions of the tasks that the line stands for, those below them included.
    """

    branch: str
    node: int = -1
    hidden: tuple[int, ...] = ()


def rows_of(parents: Sequence[Sequence[int]], *, first: int = FIRST) -> Iterator[Row]:
    """
    Yield the lines of the tree.

    Args:
        parents: Of each task, the positions of those that it waits for, which are lower than its own.
        first: Tasks that are shown of many that stand side by side; 0 for all.
    """
    children: list[list[int]] = [[] for _ in parents]
    roots: list[int] = []
    for position, several in enumerate(parents):
        (children[max(several)] if several else roots).append(position)
    todo = list(reversed(_side_by_side(roots, children, first, lambda _: ("", ""))))
    while todo:
        row, indent = todo.pop()
        yield row
        below = children[row.node] if row.node >= 0 else []
        if len(below) == 1:
            todo.append((Row(f"{indent}{_THEN}", below[0]), indent))
        elif below:
            drawn = _side_by_side(below, children, first, _drawer(indent))
            todo.extend(reversed(drawn))


def _drawer(indent: str) -> Callable[[bool], tuple[str, str]]:
    """Return what draws a branch: what stands before the name, and before all below it."""
    return lambda last: (f"{indent}└─ ", f"{indent}   ") if last else (f"{indent}├─ ", f"{indent}│  ")


def _side_by_side(
    nodes: Sequence[int], children: Sequence[Sequence[int]], first: int, draw: Callable[[bool], tuple[str, str]]
) -> list[tuple[Row, str]]:
    """Return the lines of tasks that stand side by side, each with the indent of what is below it."""
    cut = first if first and len(nodes) > first + _SLACK else len(nodes)
    shown, rest = nodes[:cut], nodes[cut:]
    lines: list[tuple[Row, str]] = []
    for number, node in enumerate(shown, 1):
        branch, indent = draw(not rest and number == len(shown))
        lines.append((Row(branch, node), indent))
    if rest:
        lines.append((Row(draw(True)[0], hidden=tuple(_with_all_below(rest, children))), ""))
    return lines


def _with_all_below(nodes: Sequence[int], children: Sequence[Sequence[int]]) -> Iterator[int]:
    todo = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        todo.extend(children[node])
