"""
rejoining: a cancelled child that an operator retries, walked over all interleavings with bounded faults.

A child of one parent was cancelled while it waited, and its canceller may have left its marker. The operator marks it
anew, writes the blocked record over the end, and looks at the parent; the parent may end at any moment, well or not. A
parent of jetq's knows the child and tells it; one that a Go program runs never does, and only the pass over the markers
finds its end. Beside them somebody concludes from the child's end that there is nothing left to be done for it, as
whoever told it of something does. Faults: the operator or a pass dies between two requests; the marker's write times
out, and takes effect at some later moment or never.

A marker is younger than an end if it was written after it; which one a reader has seen, its sequence tells: 1 is older
than the cancel, 2 younger, and 3, the one that came late, younger than everything.

Properties: R1 the child runs only if its parent completed. R2 from every state a way without further faults leads to
the end: the parent has ended, the child's record is final, no marker and no item is left.

That the pass takes a marker for old after a minute is taken as: when the operator is through or dead, and nothing of
his is under way.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.model.reach import Reach

WAITS, COMPLETE, FAILED, BLOCKED, NEW, UNREACHABLE, CANCELLED = range(7)
FINAL = (COMPLETE, UNREACHABLE, CANCELLED)
OLD, YOUNG, LATE = 1, 2, 3

RULES = frozenset(
    {
        # the marker comes before the blocked record
        "mark_first",
        # whoever concludes from an end leaves a marker that is younger
        "young_left",
        # the pass removes a younger one all the same, once it is old
        "old_removed",
        # the pass looks at the parent of a blocked child
        "pass_looks",
    }
)

THROUGH, DEAD = "through", "dead"


class State(NamedTuple):
    """
    Everything.

    Attributes:
        parent, child: Their records.
        marker: The child's; 0 for none.
        item: The child's.
        ran: Whether the child did.
        tells: The parent's finisher still has to tell the child.
        knows: The parent can know the child.
        step: What the operator does next.
        seen: The marker that the operator saw before he released or ended the child.
        sweep: What the pass has read.
        other: What somebody has read who concludes from the child's end.
        late: The operator's marker will come later.
        faults: How many are left.
    """

    parent: int = WAITS
    child: int = CANCELLED
    marker: int = 0
    item: int = 0
    ran: int = 0
    tells: int = 0
    knows: int = 1
    step: str = ""
    seen: int = 0
    sweep: tuple[int, ...] = ()
    other: tuple[int, ...] = ()
    late: int = 0
    faults: int = 2


def removed(s: State, through: int) -> State:
    """Return a state in which the marker is gone, if it is not another one than was read."""
    return s._replace(marker=0) if s.marker <= through else s


class RejoinSearch(Reach[State]):
    """
    Searches all states.

    Args:
        rules: In force.
        first: Where it begins.
    """

    def __init__(self, rules: frozenset[str] = RULES, first: State | None = None) -> None:
        self.rules = rules
        super().__init__((first or State())._replace(step=self.order[0]))

    def violated(self, s: State) -> str:
        return "R1" if s.ran and s.parent != COMPLETE else ""

    def is_goal(self, s: State) -> bool:
        under_way = s.late or s.step not in (THROUGH, DEAD)
        return s.parent != WAITS and s.child in FINAL and not (under_way or s.marker or s.item)

    def steps(self, s: State) -> Iterator[tuple[State, bool]]:
        if s.late:
            yield s._replace(late=0, marker=LATE if s.step in (THROUGH, DEAD) else YOUNG), False
        yield from self.operator(s)
        yield from self.ends(s)
        yield from self.concludes(s)
        yield from self.sweeps(s)
        if s.item:
            ran = s.child == NEW
            yield s._replace(item=0, child=COMPLETE if ran else s.child, ran=s.ran or int(ran)), False

    # the operator

    def operator(self, s: State) -> Iterator[tuple[State, bool]]:
        if s.step in (THROUGH, DEAD):
            return
        if s.faults:
            yield s._replace(step=DEAD, faults=s.faults - 1), True
        if s.step == "mark" and s.faults:
            given_up = s._replace(step=THROUGH, faults=s.faults - 1)
            yield given_up, True
            yield given_up._replace(late=1), True
        yield self.does(s), False

    @property
    def order(self) -> tuple[str, ...]:
        return ("mark", "write", "look") if "mark_first" in self.rules else ("write", "mark", "look")

    def does(self, s: State) -> State:
        match s.step:
            case "mark":
                return s._replace(marker=YOUNG, step=self.order[self.order.index("mark") + 1])
            case "write":
                return s._replace(child=BLOCKED, step=self.order[self.order.index("write") + 1])
            case "look":  # a parent that has not ended tells the child, or the pass finds its end
                return s._replace(step=THROUGH if s.parent == WAITS else "read")
            case "read":
                return s._replace(seen=s.marker, step="count")
            case "count":
                return self.counted(s)._replace(step="place")
            case _:
                return self.placed(s, s.seen)._replace(step=THROUGH)

    def counted(self, s: State) -> State:
        """Take the parent, which has ended, out of the child."""
        if s.child != BLOCKED:
            return s
        return s._replace(child=NEW if s.parent == COMPLETE else UNREACHABLE)

    def placed(self, s: State, marker: int) -> State:
        """Do what follows for a child that waits no longer, and remove its marker."""
        return removed(s._replace(item=1) if s.child == NEW else s, marker)

    # others

    def ends(self, s: State) -> Iterator[tuple[State, bool]]:
        if s.parent == WAITS:
            for end in (COMPLETE, FAILED):
                yield s._replace(parent=end, tells=s.knows), False
        if s.tells:  # a finisher that dies is followed by another one
            if s.child == BLOCKED:
                yield self.counted(s), False
            elif s.child == NEW and s.marker:
                yield self.placed(s, s.marker)._replace(tells=0), False
            else:
                yield s._replace(tells=0), False

    def concludes(self, s: State) -> Iterator[tuple[State, bool]]:
        if not s.other:
            if s.child in FINAL:
                yield s._replace(other=(s.child,)), False
        elif len(s.other) == 1:
            yield s._replace(other=(*s.other, s.marker)), False
        else:
            yield self.concluded(s, *s.other)._replace(other=()), False

    def concluded(self, s: State, end: int, marker: int) -> State:
        """Remove the marker that was read, unless it is younger than the end that was read before."""
        limit = OLD if end == CANCELLED else YOUNG
        return s if marker > limit and "young_left" in self.rules else removed(s, marker)

    def sweeps(self, s: State) -> Iterator[tuple[State, bool]]:
        if not s.sweep:
            if s.marker:
                is_old = int(s.step in (THROUGH, DEAD) and not s.late)
                yield s._replace(sweep=(s.marker, is_old)), False
            return
        if s.faults:
            yield s._replace(sweep=(), faults=s.faults - 1), True
        if len(s.sweep) == 2:
            yield s._replace(sweep=(*s.sweep, s.child)), False
        else:
            yield self.looked(s, *s.sweep)._replace(sweep=()), False

    def looked(self, s: State, marker: int, is_old: int, child: int) -> State:
        """Do about a marker what was read asks for."""
        if child in FINAL:
            s = self.concluded(s, child, marker)
            return removed(s, marker) if is_old and "old_removed" in self.rules else s
        if s.child != child:
            return s
        if child == NEW:
            return self.placed(s, marker)
        if s.parent == WAITS or "pass_looks" not in self.rules:
            return s
        return self.placed(self.counted(s), marker)


MUTANTS = dict.fromkeys(RULES, "stuck")
"""What is violated where a rule is not kept."""

WORLDS: dict[str, Callable[[], State]] = {
    "known": State,
    "known, cancelled just now": lambda: State(marker=OLD),
    "run by Go": lambda: State(knows=0),
    "ended": lambda: State(parent=COMPLETE),
    "failed": lambda: State(parent=FAILED),
}
"""How the parent stands in the beginning."""
