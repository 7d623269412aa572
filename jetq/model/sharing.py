"""
sharing: how the slots of a worker are shared out among its queues.

Two rules, both without a clock and without randomness. `Fair` gives each queue that has work its share by weight: what
of a share is a whole number of slots is the queue's whenever it wants it, so that long tasks of one queue never crowd
out another; the slots that are left over by the fractions go in turns, so that shares hold over time as well, even with
one slot alone. What a queue does not want the others get. `Strict` fills the first queue's wish before the second's.

The turns are those of stride scheduling (Waldspurger and Weihl, 1995): each start of a queue's task moves its next turn
by the inverse of its weight, and the earliest turn comes first. Nobody's turn lies further back than one round of the
lightest queue, so that one that had no work for long gets no more than a moment's precedence.
"""

from collections.abc import Sequence
from typing import Final, Protocol

MOST_WEIGHT: Final = 1000
"""Beyond that a share is no share any more."""
_ROUND: Final = 1 << 40
"""The step between two turns of a queue of weight 1; whole numbers, so that nothing drifts."""


class Sharing(Protocol):
    """Shares out slots among queues, which are known by their places in a list."""

    def share_out(self, room: int, held: Sequence[int], wanted: Sequence[int]) -> list[int]:
        """
        Say how many more slots each queue gets: together *room*, or all that is wanted if that is less.

        Args:
            room: Slots to share out.
            held: Those that each queue has.
            wanted: How many more each could use now.
        """
        ...

    def started(self, queue: int) -> None:
        """Take note that a task of a queue came to a slot."""
        ...


class Strict:
    """The first queue is served before the second, and so on."""

    def share_out(self, room: int, held: Sequence[int], wanted: Sequence[int]) -> list[int]:  # noqa: ARG002 - of other queues
        """Fill the wishes in order."""
        given: list[int] = []
        for wish in wanted:
            given.append(min(room, wish))
            room -= given[-1]
        return given

    def started(self, queue: int) -> None:
        """Take no note."""


class Fair:
    """
    Each queue that has work gets its share.

    Args:
        weights: Of the queues, 1 or more.
        capacity: Slots of the worker.
    """

    def __init__(self, weights: Sequence[int], capacity: int) -> None:
        self._weights = tuple(weights)
        self._capacity = capacity
        self._turns = [_ROUND // weight for weight in weights]
        self._last = list(range(-len(weights), 0))
        self._starts = 0
        self._back = _ROUND // min(weights, default=1)

    def share_out(self, room: int, held: Sequence[int], wanted: Sequence[int]) -> list[int]:
        """Share out one slot after the other, unless there is enough for all."""
        if sum(wanted) <= room:
            return list(wanted)
        has, given, wishes = list(held), [0] * len(self._weights), list(wanted)
        turns, last = list(self._turns), list(self._last)
        wanting: list[int] = []
        shared = weight = 0
        for step in range(room):
            if not wanting:  # at the beginning, and when a wish was fulfilled: what is shared among whom
                wanting = [queue for queue, wish in enumerate(wishes) if wish]
                weight = sum(self._weights[queue] for queue in wanting)
                shared = max(0, self._capacity - sum(has) + sum(has[queue] for queue in wanting))
            below = self._below(wanting, has, shared, weight)
            chosen = below[0] if len(below) == 1 else min(below, key=lambda queue: (turns[queue], last[queue]))
            has[chosen] += 1
            given[chosen] += 1
            wishes[chosen] -= 1
            turns[chosen] += _ROUND // self._weights[chosen]
            last[chosen] = self._starts + step
            if not wishes[chosen]:
                wanting = []
        return given

    def _below(self, wanting: list[int], has: list[int], shared: int, weight: int) -> list[int]:
        """Return the queues that have less than their shares; those below a whole number of slots come first."""
        weights = self._weights
        below = [queue for queue in wanting if has[queue] < shared * weights[queue] // weight]
        return below or [queue for queue in wanting if has[queue] * weight < shared * weights[queue]] or wanting

    def started(self, queue: int) -> None:
        """Move the queue's turn, and those that lie too far back."""
        earliest = self._turns[queue] - self._back
        self._turns[queue] += _ROUND // self._weights[queue]
        self._last[queue] = self._starts
        self._starts += 1
        if min(self._turns) < earliest:
            self._turns = [max(turn, earliest) for turn in self._turns]
