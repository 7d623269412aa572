"""
flows: the commit point of a flow, walked over all interleavings with bounded faults.

A world of its own, since what matters here is between the flow's message, records, markers and items, and not in the
life of a run. A flow of two tasks: a root (0) and its child (1). Everybody works by reading, and then by
compare-and-swap; a record never has the same state twice, so its state stands for its sequence.

Actors: the submitter, as slow as may be; the pass over the markers, which takes any submitter for dead at any moment,
and may be one of two; a worker; somebody who cancels a task. Faults: the submitter or a pass crashes between two
requests; a write times out with effect, without, or with an effect at some later moment. The pass comes back, the
submitter does not.

Properties: F1 a task runs only if its flow is committed. F2 from every state a way without further faults leads to the
end: every record there is is final, no marker and no item is left, and of a committed flow all tasks are there. F3 what
the submitter was told is so: after "stored" the flow is committed, after "abandoned" or "refused" it never is.

That a marker without a record is kept for an hour is taken as: until the submitter is dead or through, and nothing of
his is under way.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.model.reach import Reach

ABSENT, BUILDING, COMMITTED, ABORTED, REMOVED = range(5)
NONE, BLOCKED, NEW, COMPLETE, EXPIRED, UNREACHABLE = range(6)
FINAL = (COMPLETE, EXPIRED, UNREACHABLE)
ROOT, CHILD = 0, 1

RULES = frozenset(
    {
        # roots are stored blocked on the flow
        "roots_blocked",
        # the submitter commits after all records are acknowledged
        "commit_last",
        # the commit replaces the message that the submitter wrote, and no other
        "commit_by_cas",
        # the pass aborts a flow before it ends its tasks
        "abort_first",
        # the abort replaces a message that says building
        "abort_by_cas",
        # markers come before records
        "mark_first",
        # the marker of a task without a record stays while its submitter may still write it
        "late_markers",
        # nobody releases, or concludes that a parent is gone, while a flow is being built
        "building_left_alone",
        # a submitter whose commit was refused ends what it wrote
        "loser_cleans_up",
        # a child that does not fail with its parent waits for the flow as well
        "lenient_waits",
    }
)

SUBMIT = ("create", "mark1", "mark0", "write1", "write0", "commit", "release", "item", "unmark")
THROUGH, DEAD = "through", "dead"


class State(NamedTuple):
    """
    Everything.

    Attributes:
        doc: The flow's message.
        rec, item, mark: Of the root and the child.
        ran: Which of them ran.
        step: What the submitter does next.
        told: What its caller knows: ``stored``, ``refused``, ``abandoned``; empty for nothing.
        passes: What each pass has read: the task, the message, its record, the root's; or what it ends next.
        late: A write of the submitter that will take effect later.
        cancels: Somebody may cancel a task.
        lenient: The child ignores a failure of the root.
        faults: How many are left.
    """

    doc: int = ABSENT
    rec: tuple[int, int] = (NONE, NONE)
    item: tuple[int, int] = (0, 0)
    mark: tuple[int, int] = (0, 0)
    ran: tuple[int, int] = (0, 0)
    step: str = "create"
    told: str = ""
    passes: tuple[tuple[int, ...], ...] = ((),)
    late: str = ""
    cancels: int = 0
    lenient: int = 0
    faults: int = 2


def put(pair: tuple[int, int], place: int, value: int) -> tuple[int, int]:
    return (value, pair[1]) if place == ROOT else (pair[0], value)


class FlowSearch(Reach[State]):
    """
    Searches all states.

    Args:
        rules: In force.
        first: Where it begins.
    """

    def __init__(self, rules: frozenset[str] = RULES, first: State | None = None) -> None:
        self.rules = rules
        super().__init__(first or State())

    def violated(self, s: State) -> str:
        if any(s.ran) and s.doc != COMMITTED:
            return "F1"
        if (s.told == "stored") > (s.doc == COMMITTED) or (s.told in ("refused", "abandoned") and s.doc == COMMITTED):
            return "F3"
        return ""

    def is_goal(self, s: State) -> bool:
        if s.late or any(s.mark) or any(s.item) or s.step not in (THROUGH, DEAD):
            return False
        if s.doc == COMMITTED and NONE in s.rec:
            return False
        return s.doc != BUILDING and all(record in (NONE, *FINAL) for record in s.rec)

    def steps(self, s: State) -> Iterator[tuple[State, bool]]:
        yield from self.submitter(s)
        for number in range(len(s.passes)):
            yield from self.look(s, number)
        yield from self.worker(s)
        if s.cancels:
            yield from self.cancel(s)
        if s.late:
            yield self.effect(s._replace(late=""), s.late), False
        if s.doc in (BUILDING, ABORTED) and not any(s.mark) and s.step in (THROUGH, DEAD) and not s.late:
            yield s._replace(doc=REMOVED if s.rec == (NONE, NONE) else ABORTED), False  # the janitor's sweep

    # the submitter

    def effect(self, s: State, step: str) -> State:
        """Let a write of the submitter take effect, if what it expects is there."""
        match step:
            case "create":
                return s._replace(doc=BUILDING) if s.doc == ABSENT else s
            case "mark0" | "mark1":
                return s._replace(mark=put(s.mark, int(step[-1]), 1))
            case "write0" | "write1":
                task = int(step[-1])
                state = BLOCKED if task == CHILD or "roots_blocked" in self.rules else NEW
                return s._replace(rec=put(s.rec, task, state)) if s.rec[task] == NONE else s
            case "commit":
                may = s.doc == BUILDING or "commit_by_cas" not in self.rules
                return s._replace(doc=COMMITTED) if may else s
            case "abort":
                return s._replace(doc=ABORTED) if s.doc == BUILDING else s
            case "release":
                return s._replace(rec=put(s.rec, ROOT, NEW)) if s.rec[ROOT] == BLOCKED else s
            case "item":
                return s._replace(item=put(s.item, ROOT, 1)) if s.rec[ROOT] == NEW else s
            case "unmark":
                return s._replace(mark=put(s.mark, ROOT, 0))
            case _:
                raise AssertionError(step)

    def order(self) -> tuple[str, ...]:
        order = list(SUBMIT)
        if "commit_last" not in self.rules:
            order.remove("commit")
            order.insert(order.index("write0"), "commit")
        if "mark_first" not in self.rules:
            order = ["create", "write1", "write0", "mark1", "mark0", *order[order.index("commit") :]]
        return tuple(order)

    def submitter(self, s: State) -> Iterator[tuple[State, bool]]:
        step = s.step
        if step in (THROUGH, DEAD):
            return
        if s.faults:
            yield s._replace(step=DEAD, faults=s.faults - 1), True
        if step.startswith(("end", "clear")):
            yield self.clean(s), False
            return
        yield self.answered(self.effect(s, step), step), False
        if s.faults:
            less = s._replace(faults=s.faults - 1)
            yield self.unanswered(self.effect(less, step), step), True
            yield self.unanswered(less, step), True
            if not s.late:
                yield self.unanswered(less._replace(late=step), step), True

    def answered(self, s: State, step: str) -> State:
        """Go on after an answer; a refusal is found out by reading, which is the same."""
        if step == "commit" and s.doc != COMMITTED:
            clean = "loser_cleans_up" in self.rules
            return s._replace(step="end1" if clean else THROUGH, told="abandoned")
        if step == "abort":
            return s._replace(step="end1" if s.doc == ABORTED else THROUGH, told="refused")
        order = self.order()
        place = order.index(step) + 1
        told = "stored" if step == "unmark" else s.told
        return s._replace(step=order[place] if place < len(order) else THROUGH, told=told)

    def unanswered(self, s: State, step: str) -> State:
        """Read, and go on if it took effect; else give up: the caller is told that nobody knows."""
        there = {
            "create": s.doc != ABSENT,
            "write0": s.rec[ROOT] != NONE,
            "write1": s.rec[CHILD] != NONE,
            "commit": s.doc == COMMITTED,
        }
        if there.get(step):
            return self.answered(s, step)
        if step in ("create", "commit", "abort"):
            return s._replace(step=THROUGH)
        if step in ("release", "item", "unmark"):
            return s._replace(step=THROUGH, told="stored")
        return self.answered(self.effect(s, "abort"), "abort")._replace(told="")

    def clean(self, s: State) -> State:
        """End what was written, children first; a task without a record keeps its marker."""
        task = int(s.step[-1])
        if s.rec[task] == BLOCKED:
            s = s._replace(rec=put(s.rec, task, EXPIRED))
        if s.rec[task] != NONE:
            s = s._replace(mark=put(s.mark, task, 0))
        return s._replace(step="end0" if task else THROUGH)

    # the pass

    def look(self, s: State, number: int) -> Iterator[tuple[State, bool]]:
        def now(after: State, seen: tuple[int, ...]) -> State:
            passes = [*after.passes]
            passes[number] = seen
            return after._replace(passes=tuple(passes))

        seen = s.passes[number]
        if not seen:
            for task in (ROOT, CHILD):
                if s.mark[task]:
                    yield now(s, (task, s.doc)), False
            return
        if s.faults:
            yield now(s._replace(faults=s.faults - 1), ()), True
        if len(seen) == 2:
            task, doc = seen
            if doc == BUILDING:
                yield from self.look_at_building(s, task, now)
            else:
                yield now(s, (task, doc, s.rec[task], s.rec[ROOT])), False
        elif len(seen) == 3:
            yield now(self.end(s, seen[0]), () if seen[0] == ROOT else (ROOT, ABORTED, 0)), False
        else:
            yield now(self.act(s, *seen), ()), False

    def look_at_building(
        self, s: State, task: int, now: Callable[[State, tuple[int, ...]], State]
    ) -> Iterator[tuple[State, bool]]:
        yield now(s, ()), False  # it is young
        if "building_left_alone" not in self.rules:
            yield now(s, (task, COMMITTED, s.rec[task], s.rec[ROOT])), False
        if "abort_first" not in self.rules:
            yield now(s, (CHILD, ABORTED, 0)), False
        elif s.doc == BUILDING or "abort_by_cas" not in self.rules:
            yield now(s._replace(doc=ABORTED), (CHILD, ABORTED, 0)), False
        else:
            yield now(s, ()), False

    def end(self, s: State, task: int) -> State:
        if s.rec[task] == BLOCKED:
            s = s._replace(rec=put(s.rec, task, EXPIRED))
        return s if s.rec[task] == NONE else s._replace(mark=put(s.mark, task, 0))

    def act(self, s: State, task: int, doc: int, record: int, root: int) -> State:
        """Do about a marker what was read asks for; whoever wrote the record meanwhile is left alone."""
        if record == NONE:
            is_late = s.step not in (THROUGH, DEAD) or s.late
            keeps = doc == ABORTED and is_late and "late_markers" in self.rules
            return s if keeps or s.rec[task] != NONE else s._replace(mark=put(s.mark, task, 0))
        if s.rec[task] != record:
            return s
        if record == NEW:
            return s._replace(item=put(s.item, task, 1), mark=put(s.mark, task, 0))
        if record in FINAL:
            return s._replace(mark=put(s.mark, task, 0))
        if doc == ABORTED or (task == ROOT and doc in (REMOVED, ABSENT)):
            return self.end(s, task)
        if task == ROOT:
            return s._replace(rec=put(s.rec, ROOT, NEW))
        if root == COMPLETE:
            return s._replace(rec=put(s.rec, CHILD, NEW))
        if root in (EXPIRED, UNREACHABLE, NONE):
            return s._replace(rec=put(s.rec, CHILD, NEW if s.lenient else UNREACHABLE))
        return s

    # who runs and who cancels

    def worker(self, s: State) -> Iterator[tuple[State, bool]]:
        for task in (ROOT, CHILD):
            if not s.item[task]:
                continue
            if s.rec[task] == NEW:
                yield s._replace(rec=put(s.rec, task, COMPLETE), ran=put(s.ran, task, 1)), False
            elif task == ROOT and s.rec[ROOT] == COMPLETE and s.rec[CHILD] == BLOCKED:
                yield s._replace(rec=put(s.rec, CHILD, NEW)), False
            elif task == ROOT and s.rec[ROOT] == COMPLETE and s.rec[CHILD] == NEW and s.mark[CHILD]:
                yield s._replace(item=put(s.item, CHILD, 1), mark=put(s.mark, CHILD, 0)), False
            else:
                yield s._replace(item=put(s.item, task, 0)), False

    def cancel(self, s: State) -> Iterator[tuple[State, bool]]:
        for task in (ROOT, CHILD):
            if s.rec[task] in (BLOCKED, NEW):
                after = s._replace(rec=put(s.rec, task, EXPIRED), cancels=0)
                yield after, False
                if task == ROOT and s.rec[CHILD] == BLOCKED:  # and whoever cancelled it tells its child
                    yield after._replace(rec=put(after.rec, CHILD, self.told_of_failure(s))), False

    def told_of_failure(self, s: State) -> int:
        """Return what becomes of the child when its root fails."""
        if not s.lenient:
            return UNREACHABLE
        waits = s.doc != COMMITTED and "lenient_waits" in self.rules
        return BLOCKED if waits else NEW


MUTANTS = {
    "roots_blocked": "F1",
    "commit_last": "stuck",
    "commit_by_cas": "stuck",
    "abort_first": "stuck",
    "abort_by_cas": "F3",
    "mark_first": "stuck",
    "late_markers": "stuck",
    "building_left_alone": "F1",
    "lenient_waits": "F1",
}
"""What is violated where a rule is not kept."""

UNPROVEN = {"loser_cleans_up": "the pass ends what the submitter left, only later"}
"""Rules that no mutant shows to be needed, and why."""
