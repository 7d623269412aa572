"""
keys: what the end of a task does for its unique key, and who wants to be the latest of a key.

The steps of leaving a key are steps of the machine in `tests.model.publishing`: 7 read the key, 8 let the task that
waits for this one's end wait no longer (then 11 its item, and 9 its schedule is removed), 10 free the key, or hand it
back to the task that was waited for.
"""

from tests.model.parts import ACTIVE, DONE, FINAL, NEW, NOBODY, Actor
from tests.model.publishing import Publishing, Put, Sub
from tests.model.world import World


def holder_of(w: World) -> int:
    """Return the task that has the key: the newest, or else the one that it waited for."""
    newest = w.keys
    if newest == NOBODY:
        return NOBODY
    for t in (newest, w.rec[newest].after):
        if t != NOBODY and w.rec[t].st not in FINAL:
            return t
    return NOBODY


class Keys(Publishing):
    def leave(self, sub: Sub, put: Put, who: str) -> None:
        step, c, p, seq, _phase, _sid = sub
        if step == 7:
            w = self.s.clone()
            put(w, self.after_reading_key(c))
            self.emit(w, f"{who} reads the key of {c}")
        elif step == 8:
            self.request(
                ("cas", c, seq, "hasten"),
                lambda w, new: put(w, (11, c, p, new, 0, 0) if new else (7, p, -1, 0, 0, 0)),
                lambda w: put(w, (7, p, -1, 0, 0, 0)),
                f"{who} wakes {c}",
            )
        elif step == 9:
            unscheduled = ("purge_older", c, seq)
            self.request(unscheduled, lambda w, _: put(w, ()), lambda w: put(w, ()), f"{who} unschedules {c}")
        else:
            again: Sub = (7, c, -1, 0, 0, 0)
            self.request(
                ("key", c, p),
                lambda w, ok: put(w, () if ok else again),
                lambda w: put(w, again),
                f"{who} {'frees the key' if p == NOBODY else f'hands the key back to {p}'}",
            )

    def after_reading_key(self, t: int) -> Sub:
        """Return the step after the reading of the key that task *t* leaves."""
        s = self.s
        newest = s.keys
        if newest == NOBODY:
            return ()
        r = s.rec[newest]
        if r.after == t:
            return (8, newest, t, r.seq, 0, 0) if r.due and r.st == NEW else ()
        if newest != t or s.rec[t].st not in FINAL:
            return ()
        waited_for = r.after if r.after != NOBODY and s.rec[r.after].st not in FINAL else NOBODY
        return (10, t, waited_for, 0, 0, 0)

    # the latest

    def a_latest(self, j: int, a: Actor) -> None:
        """
        Enqueue as the latest. Steps: 0 read key and holder, 1 record, 2 key, 3 schedule or item, 4 replace, 5 item or
        schedule of what was replaced, 6 end own record.

        seq: of its own record that is to end. x: the key as it was read, plus 1, and 8 times the task to wait for, plus
        1. sub: a record that it wrote (12, task, due, sequence), or its place in the machine.
        """
        steps = (
            self.latest_reads,
            self.latest_writes,
            self.latest_takes,
            self.latest_places,
            self.latest_replaces,
            self.latest_places,
            self.latest_withdraws,
        )
        steps[a.pc](j, a, f"producer {a.t}")

    def latest_writes(self, j: int, a: Actor, who: str) -> None:
        def made(w: World, new: int = 0) -> None:
            wrote: Sub = (12, a.t, int(a.x >= 8), new, 0, 0)
            w.act[j] = a._replace(pc=2, sub=wrote) if new else Actor(a.kind, a.t)

        own = self.s.rec[a.t]
        op = ("cas", a.t, own.seq if own else 0, "create_after", j, a.x // 8 - 1)
        self.request(op, made, made, f"{who} writes its record")

    def latest_takes(self, j: int, a: Actor, who: str) -> None:
        def taken(w: World, ok: int = 0) -> None:
            w.act[j] = Actor(a.kind, a.t, 3 if ok else 0, sub=a.sub)

        self.request(("key", a.x % 8 - 1, a.t), taken, taken, f"{who} takes the key (expecting {a.x % 8 - 1})")

    def latest_replaces(self, j: int, a: Actor, who: str) -> None:
        def replaced(w: World, new: int = 0) -> None:
            wrote: Sub = (12, holder, self.s.rec[holder].due, new, 0, 0)
            w.act[j] = Actor(a.kind, a.t, 5, x=a.x, sub=wrote) if new else Actor(a.kind, a.t)

        holder, seq = a.x - 1, a.sub[3]
        self.request(("cas", holder, seq, "rewrite"), replaced, replaced, f"{who} replaces what {holder} brings")

    def latest_withdraws(self, j: int, a: Actor, who: str) -> None:
        def done(w: World, _: int = 0) -> None:
            w.acked |= 1 << (a.x - 1)
            w.act[j] = Actor(a.kind, a.t, DONE)

        self.request(("cas", a.t, a.seq, "end"), done, done, f"{who} ends its own record")

    def latest_reads(self, j: int, a: Actor, who: str) -> None:
        w = self.s.clone()
        holder = holder_of(w)
        if w.keys == a.t and a.sub:
            w.act[j] = a._replace(pc=3)
        elif holder == NOBODY:
            w.act[j] = a._replace(pc=1, x=w.keys + 1)
        elif w.rec[holder].st == ACTIVE:
            w.act[j] = a._replace(pc=1, x=w.keys + 1 + 8 * (holder + 1))
        else:
            w.act[j] = a._replace(pc=4, x=holder + 1, sub=(0, holder, -1, w.rec[holder].seq, 0, 0))
        self.emit(w, f"{who} reads the key and its holder ({holder})")

    def latest_places(self, j: int, a: Actor, who: str) -> None:
        """Put in place what the record of a task asks for, and be through."""
        t = a.t if a.pc == 3 else a.x - 1
        step, _, due, seq, *_ = a.sub
        if step != 12:
            self.machine(j, a, lambda w: self.end_latest(w, j, a, t), who)
        elif due:
            op = ("sched_newer", t, seq)
            self.request(op, lambda w, _: self.end_latest(w, j, a, t), lambda _: None, f"{who} schedules {t}")
        else:
            w = self.s.clone()
            w.act[j] = a._replace(sub=(5, t, -1, seq, 0, 0))
            self.emit(w, f"{who} turns to the item of {t}")

    def end_latest(self, w: World, j: int, a: Actor, t: int) -> None:
        own = w.rec[a.t]
        if t != a.t and own and own.st not in FINAL:
            w.act[j] = Actor(a.kind, a.t, 6, own.seq, t + 1)
            return
        w.acked |= 1 << t
        w.act[j] = Actor(a.kind, a.t, DONE)
