"""
publishing: how a task that may run gets its item, whoever makes it runnable; and the release of a blocked child.

``sub`` = (step, child, parent or -1, sequence of the record, phase, sequence of the item). Steps: 1 read the child, 2
take the parent out of it, 4 publish its item and then 6 remove its marker, 5 publish an item (no
marker), 7 to 11 leave a unique key (see `tests.model.keys`; 11 publishes an item as well). Phases of 4, 5 and
11: 0 publish, expecting the item's sequence; 1 read the item; 2 read the record.
"""

from collections.abc import Callable

from tests.model.parts import BLOCKED, DONE, FAILED, FINAL, NEW, Actor
from tests.model.steps import Steps
from tests.model.world import World

Sub = tuple[int, ...]
Put = Callable[[World, Sub], object]
"""Stores in an actor where it is in the machine; empty when it is through."""


class Publishing(Steps):
    def release(self, sub: Sub, put: Put, who: str) -> None:
        step, c, p, seq, _phase, _sid = sub
        if 7 <= step <= 10:
            self.leave(sub, put, who)
        elif step == 1:
            w = self.s.clone()
            put(w, self.after_reading(c, p))
            self.emit(w, f"{who} reads child {c}")
        elif step == 2:
            self.take_out(c, p, seq, put, who)
        elif step == 6:
            self.request(("unmark", c), lambda w, _: put(w, ()), lambda _: None, f"{who} removes the marker of {c}")
        else:
            following = {4: (6, c, p, 0, 0, 0), 11: (9, c, p, sub[3], 0, 0)}
            self.publish(sub, lambda w: put(w, following.get(step, ())), put, who)

    def leave(self, sub: Sub, put: Put, who: str) -> None:
        raise NotImplementedError

    def after_reading(self, c: int, p: int) -> Sub:
        r, marked = self.s.rec[c], self.s.mk >> c & 1
        if r is None:
            return ()
        if r.st == BLOCKED and p >= 0 and r.pend >> p & 1:
            return (2, c, p, r.seq, 0, 0)
        if r.st == NEW and marked:
            return (4, c, p, r.seq, 0, 0)
        if r.st != BLOCKED and marked:
            return (6, c, p, 0, 0, 0)
        return ()

    def take_out(self, c: int, p: int, seq: int, put: Put, who: str) -> None:
        failed = int(self.s.rec[p].st in FAILED)

        def took(w: World, new: int) -> None:
            if not new:
                put(w, (1, c, p, 0, 0, 0))
            elif failed:
                put(w, (6, c, p, 0, 0, 0))
            elif w.rec[c].pend:
                put(w, ())
            else:
                if "unmark_first" in self.sc.rules:
                    w.mk &= ~(1 << c)
                put(w, (4, c, p, new, 0, 0))

        self.request(
            ("cas", c, seq, "takeout", p, failed),
            took,
            lambda w: put(w, (1, c, p, 0, 0, 0)),
            f"{who} takes parent {p} out of {c}",
        )

    def publish(self, sub: Sub, done: Callable[[World], object], put: Put, who: str) -> None:
        step, c, p, seq, phase, sid = sub
        s = self.s
        if phase == 0:
            self.request(
                ("pub", c, seq, sid),
                lambda w, ok: done(w) if ok else put(w, (step, c, p, seq, 1, 0)),
                lambda w: put(w, (step, c, p, seq, 0, 0)),
                f"{who} publishes item {c} expecting {sid or 'none'}",
            )
            return
        w = s.clone()
        if phase == 1:
            item = s.q[c].item
            if not item:
                put(w, (step, c, p, seq, 0, 0))
            elif item.n >= seq:
                done(w)
            else:
                put(w, (step, c, p, seq, 2, item.sid))
            self.emit(w, f"{who} reads item {c}")
            return
        r = s.rec[c]
        # the old item may be about to be acked by a worker that saw an older state
        replace = "republish_unless_done" in self.sc.rules
        if (r.st in FINAL or r.st == BLOCKED or r.due) if replace else r.seq != seq:
            done(w)
        else:
            put(w, (step, c, p, r.seq, 0, sid))
        self.emit(w, f"{who} reads record {c} again")

    def machine(self, j: int, a: Actor, finish: Callable[[World], object], who: str) -> None:
        """Take a step of an actor that is in the machine."""

        def put(w: World, sub: Sub) -> None:
            if sub:
                w.act[j] = a._replace(sub=sub, seq=0)
            else:
                finish(w)

        self.release(a.sub, put, who)

    @staticmethod
    def end_actor(w: World, j: int, a: Actor) -> None:
        w.act[j] = Actor(a.kind, a.t, DONE)
