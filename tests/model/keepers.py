"""
keepers: who enqueues a child, and who looks after things: the safety pass, the janitor, the leader of the schedules.
"""

from tests.model.parts import (
    ACTIVE,
    BLOCKED,
    COMPLETE,
    DONE,
    FINAL,
    NEW,
    QUEUE_ERROR,
    RETRY,
    STATE,
    Actor,
    Rec,
)
from tests.model.publishing import Publishing
from tests.model.world import World

MENDED = 2, 4
"""Ages of a record that was there before the last complete pass."""


class Dependents(Publishing):
    def a_child(self, j: int, a: Actor) -> None:
        """
        Enqueue a child: read its parents; those that are complete are not waited for. Then marker, blocked record, and
        each parent's dependents, or out of ``pending`` if it is final by then; or, without any to wait for, record and
        item as for any task.

        Steps: 0 read the parents, 1 marker, 2 record, 3 next parent, 4 write dependents, 5 sub machine, 6 plain record,
        7 its item. x: parents left.
        """
        who = f"enqueuer of {a.t}"

        def goto(w: World, pc: int, x: int) -> None:
            w.act[j] = a._replace(pc=pc, x=x, sub=())

        if a.pc == 0:
            w = self.s.clone()
            left = sum(1 << p for p in self.sc.parents[a.t] if w.rec[p].st != COMPLETE)
            goto(w, 1 if left else 6, left)
            self.emit(w, f"{who} reads the parents")
        elif a.pc == 1:
            self.request(("mark", a.t), lambda w, _: goto(w, 2, a.x), lambda _: None, f"{who} writes the marker")
        elif a.pc == 2:
            op = ("cas", a.t, 0, "create", j, BLOCKED, a.x)
            self.request(op, lambda w, _: goto(w, 3, a.x), lambda _: None, f"{who} creates the record")
        elif a.pc == 3:
            self.next_parent(j, a, who)
        elif a.pc == 4:
            p, seq = a.sub[1], a.sub[3]
            self.request(
                ("cas", p, seq, "depend", a.t),
                lambda w, new: goto(w, 3, a.x & ~(1 << p) if new else a.x),
                lambda w: goto(w, 3, a.x),
                f"{who} writes itself into parent {p}",
            )
        elif a.pc == 5:
            self.machine(j, a, lambda w: goto(w, 3, a.x), who)
        else:
            self.child_is_plain(j, a, who)

    def child_is_plain(self, j: int, a: Actor, who: str) -> None:
        def acked(w: World) -> None:
            w.acked |= 1 << a.t
            self.end_actor(w, j, a)

        def queue(w: World, _: int) -> None:
            w.act[j] = a._replace(pc=7, sub=(5, a.t, -1, w.rec[a.t].seq, 0, 0))

        if a.pc == 6:
            self.request(("cas", a.t, 0, "create", j, NEW, 0), queue, lambda _: None, f"{who} creates the plain record")
        else:
            self.machine(j, a, acked, who)

    def next_parent(self, j: int, a: Actor, who: str) -> None:
        w = self.s.clone()
        if not a.x:
            w.acked |= 1 << a.t
            self.end_actor(w, j, a)
            self.emit(w, f"{who} is through")
            return
        p = (a.x & -a.x).bit_length() - 1
        r = w.rec[p]
        if r.st in FINAL:
            w.act[j] = a._replace(pc=5, x=a.x & ~(1 << p), sub=(1, a.t, p, 0, 0, 0))
        else:
            w.act[j] = a._replace(pc=4, seq=0, sub=(9, p, -1, r.seq, 0, 0))
        self.emit(w, f"{who} reads parent {p} ({STATE[r.st]})")

    def a_pass(self, j: int, a: Actor) -> None:
        """
        The safety pass over the markers.

        Steps: 0 pick a marker, 1 read the child, 2 look at its parents (x: those left), 3 sub machine.
        """
        back = Actor("pass", 0)
        if a.pc == 0:
            for c in range(len(self.s.rec)):
                if self.s.mk >> c & 1:
                    w = self.s.clone()
                    w.act[j] = Actor("pass", c, 1)
                    self.emit(w, f"safety pass looks at marker {c}")
        elif a.pc == 1:
            self.pass_reads_child(j, a, back)
        elif a.pc == 2:
            w = self.s.clone()
            p = (a.x & -a.x).bit_length() - 1
            left = a.x & ~(1 << p)
            if w.rec[p].st in FINAL:
                w.act[j] = a._replace(pc=3, x=left, sub=(1, a.t, p, 0, 0, 0))
            else:
                w.act[j] = a._replace(x=left) if left else back
            self.emit(w, f"safety pass reads parent {p}")
        else:

            def finish(w: World) -> None:
                w.act[j] = a._replace(pc=2, sub=(), seq=0) if a.x else back

            self.machine(j, a, finish, "safety pass")

    def pass_reads_child(self, j: int, a: Actor, back: Actor) -> None:
        w = self.s.clone()
        r = w.rec[a.t]
        if r is None:
            # an old marker without record may go; this one may belong to an enqueue under way
            under_way = any(x.kind == "child" and x.t == a.t and x.pc < DONE for x in w.act) or w.late
            w.act[j] = back if under_way else a._replace(pc=3, sub=(6, a.t, -1, 0, 0, 0))
        elif r.st == BLOCKED and r.pend:
            w.act[j] = a._replace(pc=2, x=r.pend)
        else:
            w.act[j] = a._replace(pc=3, x=0, sub=(1, a.t, -1, 0, 0, 0))
        self.emit(w, f"safety pass reads child {a.t}")


class Janitor(Publishing):
    """
    A pass: list records, schedules and items; then one candidate after the other.

    Steps: 0 start and list records, 2 and 3 list items and schedules (with due messages), 4 candidates, 5 publish an
    item (sub), 6 publish a schedule, 7 end the record. x: records, items << 4, schedules << 8. Ages of records: 0
    younger than 30 s, 1 older, 3 = 1 at the start of this pass, 2 = 1 at the start of the last complete pass, 4 = 2
    and missing then. When the last complete pass began outlives the janitor; what was missing in it does not, so a
    new leader ends nothing before its own second pass. An active record is published whatever its age.
    """

    def a_janitor(self, j: int, a: Actor) -> None:
        back = a._replace(pc=4, seq=0, t=0, sub=())

        def goto_back(w: World, _: int = 0) -> None:
            w.act[j] = back

        if a.pc == 0:
            self.janitor_starts(j, a)
        elif a.pc in (2, 3):
            self.janitor_lists(j, a)
        elif a.pc == 4:
            self.janitor_reads(j, a)
        elif a.pc == 5:
            self.machine(j, a, goto_back, "janitor")
        elif a.pc == 6:
            self.request(("sched", a.t, a.seq), goto_back, lambda _: None, f"janitor publishes the schedule of {a.t}")
        else:

            def ended(w: World, seq: int) -> None:
                if seq and w.acked >> a.t & 1 and not self.sc.purged:
                    w.bad = f"I1: janitor ends the acknowledged task {a.t} as purged; nobody had removed its item"
                goto_back(w)

            self.request(("cas", a.t, a.seq, "end"), ended, goto_back, f"janitor ends {a.t} as purged")

    def janitor_starts(self, j: int, a: Actor) -> None:
        tasks = range(len(self.s.rec))
        if self.sc.timely == 2 and any(self.busy(t) for t in tasks):
            return
        w = self.s.clone()
        w.rec = [r and r._replace(age=3 if r.age == 1 else r.age) for r in w.rec]
        w.act[j] = a._replace(pc=2, x=sum(1 << t for t in tasks if w.rec[t]))
        self.emit(w, "janitor starts a pass, lists records")

    def janitor_lists(self, j: int, a: Actor) -> None:
        w = self.s.clone()
        items = sum(16 << t for t, q in enumerate(w.q) if q.item)
        schedules = sum(256 << t for t, q in enumerate(w.q) if q.sched or q.due)
        first = "schedules_first" in self.sc.rules
        lists_schedules = first == (a.pc == 2)
        w.act[j] = a._replace(pc=a.pc + 1, x=a.x | (schedules if lists_schedules else items))
        self.emit(w, f"janitor lists {'schedules' if lists_schedules else 'items'}")

    def janitor_reads(self, j: int, a: Actor) -> None:
        w = self.s.clone()
        todo = a.x & 15
        if not todo:
            w.rec = [r and r._replace(age=2 if r.age == 3 else r.age) for r in w.rec]
            w.act[j] = Actor("janitor", 0)
            self.emit(w, "janitor completes its pass")
            return
        t = (todo & -todo).bit_length() - 1
        r = w.rec[t]
        missing = self.is_missing(r, has_item=a.x >> 4 + t & 1, has_schedule=a.x >> 8 + t & 1)
        self.judge(w, j, a._replace(x=a.x & ~(273 << t), t=0), t, r, missing=missing)
        self.emit(w, f"janitor reads record {t} ({STATE[r.st]}, age {r.age})")

    def is_missing(self, r: Rec, *, has_item: int, has_schedule: int) -> bool:
        """Whether what the record's state asks for is not there."""
        rules = self.sc.rules
        if r.st == ACTIVE:
            return "janitor_active" in rules and not has_item
        if r.st in (NEW, RETRY) and r.due:
            return not has_schedule and not (has_item and "wait_needs_both_missing" in rules)
        return r.st in (NEW, RETRY) and not r.due and not has_item

    def judge(self, w: World, j: int, left: Actor, t: int, r: Rec, *, missing: bool) -> None:
        if w.mk >> t & 1 or not missing or r.age == 0:
            if r.age == 4:  # it was seen again: the two passes in a row start anew
                w.rec[t] = r._replace(age=2)
            w.act[j] = left
        elif r.st == ACTIVE:
            w.act[j] = left._replace(pc=5, t=t, sub=(5, t, -1, r.seq, 0, 0))
        elif "two_passes" in self.sc.rules and r.age == 2:
            w.rec[t] = r._replace(age=4)
            w.act[j] = left
        elif r.age in MENDED:
            w.act[j] = left._replace(pc=7, t=t, seq=r.seq)
        elif self.sc.unique and w.keys != t:
            w.act[j] = left
        elif r.due:
            w.act[j] = left._replace(pc=6, t=t, seq=r.seq)
        else:
            w.act[j] = left._replace(pc=5, t=t, sub=(5, t, -1, r.seq, 0, 0))


class Beat(Publishing):
    def a_beat(self, j: int, a: Actor) -> None:
        """
        A leader and one due occurrence. Steps: 0 read schedule_state, 1 create, 2 item, 3 write schedule_state.

        The world's ``keys`` is the last due time in schedule_state (NOBODY: before the occurrence).
        """
        who = f"leader {j}"
        after = "state_after" in self.sc.rules

        def through(w: World) -> None:
            w.act[j] = a._replace(pc=3, sub=()) if after else Actor(a.kind, a.t, DONE)

        if a.pc == 0:
            w = self.s.clone()
            if w.keys == a.t:
                self.end_actor(w, j, a)
            else:
                w.act[j] = a._replace(pc=1 if after else 3)
            self.emit(w, f"{who} reads schedule_state")
        elif a.pc == 1:

            def made(w: World, seq: int) -> None:
                r = w.rec[a.t]
                if seq or r.st in (NEW, QUEUE_ERROR):
                    w.act[j] = a._replace(pc=2, sub=(5, a.t, -1, r.seq, 0, 0))
                else:
                    through(w)

            op = ("cas", a.t, 0, "create", 0, NEW, 0)
            self.request(op, made, lambda _: None, f"{who} creates the occurrence")
        elif a.pc == 2:
            self.machine(j, a, through, who)
        else:

            def wrote(w: World, _: int) -> None:
                w.keys = a.t
                w.acked |= 1 << a.t
                w.act[j] = Actor(a.kind, a.t, DONE) if after else a._replace(pc=1)

            self.request(("key", self.s.keys, a.t), wrote, lambda _: None, f"{who} writes schedule_state")


class Keepers(Dependents, Janitor, Beat):
    """All of them."""
