"""
place: one of the N places of a supervisor, the child in it, and the one that is to follow.

A child that is to be replaced goes on until its successor takes tasks; only then it is told to stop. So a planned
replacement leaves no moment without a worker. A child that crashed has nobody to wait for: its successor is started at
once, or after the wait that a crash loop costs.
"""

from jetq.model.supervision import Replacement
from jetq.supervisor.backoff import Backoff
from jetq.supervisor.child import Child


class Place:
    """
    A place for one child.

    Args:
        number: For people, from 1.
        backoff: The waits after crashes here.

    Attributes:
        child: Who has the place; None after a crash, and before the first start.
        successor: Who is to have it and does not take tasks yet.
        former: Who had it, and is on its way out.
        retiring: Why *child* is to be replaced, if it is.
        not_before: Monotonic time before which nobody is started.
        is_done: Nobody is to be started any more.
        stillborn: How the last successor ended, if it never took tasks.
    """

    def __init__(self, number: int, backoff: Backoff) -> None:
        self.number = number
        self.backoff = backoff
        self.child: Child | None = None
        self.successor: Child | None = None
        self.former: list[Child] = []
        self.retiring: Replacement | None = None
        self.not_before = 0.0
        self.is_done = False
        self.stillborn = ""

    @property
    def children(self) -> list[Child]:
        """All of its processes."""
        return [child for child in (self.child, self.successor, *self.former) if child is not None]

    def wants_start(self, now: float) -> bool:
        """Whether a child is to be started here now."""
        missing = self.child is None or self.retiring is not None
        return missing and self.successor is None and not self.is_done and now >= self.not_before

    def take(self, child: Child) -> None:
        """Let a new child be the successor; with nobody there, it has the place at once."""
        self.stillborn = ""
        if self.child is None:
            self.child, self.retiring = child, None
        else:
            self.successor = child

    def succeed(self) -> Child | None:
        """Let the successor have the place, and return whom it replaces."""
        before, self.child, self.successor, self.retiring = self.child, self.successor, None, None
        if before is not None:
            self.former.append(before)
        return before

    def leave(self, child: Child) -> bool:
        """Take note that a child is gone; say whether the place is without one that takes tasks, or would have."""
        if child is self.child:
            self.child, self.successor = self.successor, None
            self.retiring = None
            return True
        if child is self.successor:
            self.successor = None
            return True
        self.former.remove(child)
        return False
