"""
flow_status: where a flow stands, by where its tasks stand. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, Self

from msgspec import Struct

from jetq.model.flow import FlowState
from jetq.model.record import TaskRecord
from jetq.model.state import FINAL, End, State, display_state

GONE: Final = "gone"
"""The state, in counts, of a task that has no record any more: it was discarded, deleted, or kept long enough."""


class Progress(StrEnum):
    """Where a flow stands, as people see it."""

    BUILDING = "building"
    """It is being stored, and nothing of it runs."""
    ABANDONED = "abandoned"
    """It was not stored completely; nothing of it ran."""
    RUNNING = "running"
    """A task of it has not ended."""
    COMPLETE = "complete"
    """All tasks have ended, and those well on which none depends."""
    FAILED = "failed"
    """All tasks have ended, and one of those on which none depends has not ended well."""
    CANCELLED = "cancelled"
    """The same, and whatever failed was cancelled."""


class FlowStatus(Struct, frozen=True):
    """
    Where a flow stands.

    Attributes:
        state: In one word: ``running``, ``complete``, ``failed``, ``cancelled``, ``building`` or ``abandoned``.
        tasks: How many tasks it has.
        counts: How many of them are in which state, as people see it; ``gone`` without a record.
    """

    state: Progress
    tasks: int
    counts: dict[str, int]

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs, or will."""
        return self.state not in {Progress.BUILDING, Progress.RUNNING}

    def __str__(self) -> str:
        """Say it in one line."""
        parts = ", ".join(f"{count:,} {state}" for state, count in sorted(self.counts.items()))
        return f"{self.state.value} ({parts})" if parts else self.state.value


class NodeState(Struct, frozen=True, gc=False):
    """Where a task of a flow stands: the protocol's state, whether it waits for its time, and why it ended."""

    state: State
    due: bool = False
    end: str = ""

    @classmethod
    def of(cls, record: TaskRecord) -> Self:
        """Return where a task stands."""
        return cls(record.state, record.due is not None, record.end)

    @property
    def display_state(self) -> str:
        """The state as people see it."""
        return display_state(self.state, due=self.due, end=self.end)

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self.state in FINAL


def status_of(stored: FlowState, nodes: Sequence[NodeState | None], leaves: Iterable[int]) -> FlowStatus:
    """
    Return where a flow stands.

    A task that is gone counts as one that ended well: one that failed is kept longer, unless somebody wanted it away.

    Args:
        stored: How far it is stored.
        nodes: Its tasks; None for one that has no record.
        leaves: The positions of those on which none depends.
    """
    counts = Counter(GONE if node is None else node.display_state for node in nodes)
    return FlowStatus(_progress(stored, nodes, leaves), len(nodes), dict(counts))


def _progress(stored: FlowState, nodes: Sequence[NodeState | None], leaves: Iterable[int]) -> Progress:
    if stored is not FlowState.COMMITTED:
        return Progress.BUILDING if stored is FlowState.BUILDING else Progress.ABANDONED
    found = [node for node in nodes if node is not None]
    if not all(node.is_final for node in found):
        return Progress.RUNNING
    ends = [nodes[leaf] for leaf in leaves]
    if all(leaf is None or leaf.state is State.COMPLETE for leaf in ends):
        return Progress.COMPLETE
    failed = [node for node in found if node.state not in {State.COMPLETE, State.UNREACHABLE}]
    cancelled = bool(failed) and all(node.end == End.CANCELLED for node in failed)
    return Progress.CANCELLED if cancelled else Progress.FAILED
