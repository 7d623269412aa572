"""
reach: walk every state of a small world, and see whether each has a way without further faults to a goal.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)


class Reach(Generic[S]):
    """
    Searches all states.

    Args:
        first: Where it begins.

    Attributes:
        states: How many there are.
    """

    def __init__(self, first: S) -> None:
        self.first = first
        self.states = 0

    def violated(self, s: S) -> str:
        """Return the property that is violated; empty for none."""
        raise NotImplementedError

    def is_goal(self, s: S) -> bool:
        """Whether everything has come to its end."""
        raise NotImplementedError

    def steps(self, s: S) -> Iterator[tuple[S, bool]]:
        """Yield what may come next, and whether it takes a fault."""
        raise NotImplementedError

    def run(self) -> str:
        """Return ``holds``, the property that is violated, or ``stuck``."""
        seen: dict[S, None] = {self.first: None}
        ways: dict[S, list[S]] = {}
        todo = deque([self.first])
        goals: list[S] = []
        while todo:
            state = todo.popleft()
            if wrong := self.violated(state):
                return wrong
            if self.is_goal(state):
                goals.append(state)
            for after, is_fault in self.steps(state):
                if not is_fault:
                    ways.setdefault(after, []).append(state)
                if after not in seen:
                    seen[after] = None
                    todo.append(after)
        reach, back = set(goals), deque(goals)
        while back:
            for before in ways.get(back.popleft(), ()):
                if before not in reach:
                    reach.add(before)
                    back.append(before)
        self.states = len(seen)
        return "holds" if len(reach) == len(seen) else "stuck"
