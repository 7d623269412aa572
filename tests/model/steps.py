"""
steps: what may happen next in a state, by the environment: leases, schedules, faults.

A step is one request to the server taking effect (and its answer arriving, unless it is lost), or one local decision.
"""

from collections.abc import Callable

from tests.model.parts import (
    ASK,
    CLAIM,
    CLAIM_UNSURE,
    DEAD,
    DONE,
    END_AGAIN,
    END_UNSURE,
    FINAL,
    IDLE,
    IDLE_WORKER,
    READ,
    RESCHEDULE,
    RUN,
    STEP,
    SUPERSEDE,
    TAKE,
    TURN,
    WAIT_ON,
    Actor,
    Operation,
    Worker,
)
from tests.model.scenario import Scenario
from tests.model.world import World

CRASH, FORGET, LOSE = range(3)
"""Kinds of faults, as places in a world's budget."""
RESTARTED = ("janitor", "pass", "beat")
"""Actors that come back after a crash."""

HOLDS = (CLAIM, CLAIM_UNSURE, READ, ASK, TAKE, RUN, END_UNSURE, END_AGAIN, RESCHEDULE, TURN, WAIT_ON, SUPERSEDE)
"""Steps of a worker in which it keeps the lease of its item."""

Successor = tuple[World, str, bool]
"""What comes of a step, what the step was, and whether it was a fault."""


def may(w: World, fault: int) -> bool:
    return bool(w.bud[fault] and w.bud[3])


def spend(w: World, fault: int) -> tuple[int, ...]:
    left = list(w.bud)
    left[fault] -= 1
    left[3] -= 1
    return tuple(left) if left[3] else (0, 0, 0, 0)


class Steps:
    """Collects the steps of one state."""

    def __init__(self, sc: Scenario) -> None:
        self.sc = sc
        self.s: World
        self.out: list[Successor]

    def emit(self, w: World, label: str, *, fault: bool = False) -> None:
        self.out.append((w, label, fault))

    def request(
        self, op: Operation, answer: Callable[[World, int], object], lost: Callable[[World], object], label: str
    ) -> None:
        """Send a request: it is answered; or, a fault, it times out with effect, without, or with a late one."""
        s = self.s
        w = s.clone()
        answer(w, w.apply(op))
        self.emit(w, label)
        if not may(s, LOSE):
            return
        for how in ("answer lost", "request lost", "late"):
            if how == "late" and (s.late or not self.sc.late):
                continue
            w = s.clone()
            w.bud = spend(s, LOSE)
            if how == "answer lost":
                w.apply(op)
            elif how == "late":
                w.late = op
            lost(w)
            self.emit(w, f"{label} [{how}]", fault=True)

    def busy(self, t: int) -> bool:
        """Whether a live actor is between two requests for a task."""
        return any(k.t == t and not k.paused and k.pc not in (IDLE, RUN) for k in self.s.ws) or any(
            a.t == t and 0 < a.pc < DONE and a.kind != "janitor" for a in self.s.act
        )


class Environment(Steps):
    """The server on its own, and faults."""

    def environment(self) -> None:
        self.server()
        self.server_crash()
        for i, k in enumerate(self.s.ws):
            self.worker_faults(i, k)
        if may(self.s, CRASH):
            for j, a in enumerate(self.s.act):
                if a.pc < DONE and (a.pc or a.sub):
                    self.actor_crash(j, a)
        if any(a.kind == "janitor" and a.pc == 0 for a in self.s.act):
            self.records_grow_older()

    def server(self) -> None:
        s = self.s
        for t, q in enumerate(s.q):
            if q.item and q.item.leased and not self.kept(t, q.item.sid):
                w = s.clone()
                w.q[t] = q._replace(item=q.item._replace(leased=0))
                self.emit(w, f"lease of item {t} ends")
            if q.sched:
                w = s.clone()
                w.q[t] = q._replace(sched=0, due=q.sched)
                self.emit(w, f"schedule of {t} fires")
            if q.due:
                w = s.clone()
                w.put_item(t, q.due, 1)
                w.q[t] = w.q[t]._replace(due=0)
                self.emit(w, f"due item of {t} enters the queue")
        for d, there in enumerate(s.pres):
            if there:
                w = s.clone()
                w.pres = (*s.pres[:d], 0, *s.pres[d + 1 :])
                self.emit(w, f"presence of dead process {d + 2} ends")
        if s.late:
            w = s.clone()
            w.late = ()
            w.apply(s.late)
            self.emit(w, f"late request takes effect: {' '.join(map(str, s.late))}")

    def server_crash(self) -> None:
        s = self.s
        if may(s, FORGET) and any(q.item and q.item.leased for q in s.q):
            w = s.clone()
            w.bud = spend(s, FORGET)
            w.q = [q._replace(item=q.item._replace(leased=0)) if q.item else q for q in s.q]
            self.emit(w, "SERVER CRASH: all leases forgotten", fault=True)

    def worker_faults(self, i: int, k: Worker) -> None:
        s = self.s
        if k.paused:
            w = s.clone()
            w.ws[i] = k._replace(paused=0)
            self.emit(w, f"worker {i} goes on")
        if k.paused == 1:
            w = s.clone()
            w.ws[i] = k._replace(paused=2)
            self.emit(w, f"presence of paused worker {i} ends")
        if not may(s, CRASH) or k.pc == IDLE:
            return
        if self.sc.pause and not k.paused:
            w = s.clone()
            w.bud = spend(s, CRASH)
            w.ws[i] = k._replace(paused=1, exc=1)
            self.emit(w, f"PAUSE of worker {i} ({STEP[k.pc]})", fault=True)
        w = s.clone()
        w.bud = spend(s, CRASH)
        w.rename({i: 2 + len(w.pres)})
        w.pres = (*w.pres, 1 if k.paused != 2 else 0)
        w.ws[i] = IDLE_WORKER
        self.emit(w, f"CRASH of worker {i} ({STEP[k.pc]})", fault=True)

    def actor_crash(self, j: int, a: Actor) -> None:
        w = self.s.clone()
        w.bud = spend(self.s, CRASH)
        w.act[j] = Actor(a.kind, 0) if a.kind in RESTARTED else Actor(a.kind, a.t, DEAD)
        if a.kind == "janitor":
            w.rec = [r and r._replace(age={3: 1, 4: 2}.get(r.age, r.age)) for r in w.rec]
        self.emit(w, f"CRASH of {a.kind} {a.t} (step {a.pc})", fault=True)

    def records_grow_older(self) -> None:
        s = self.s
        for t, r in enumerate(s.rec):
            if r and r.age == 0 and r.st not in FINAL and not (self.sc.timely and self.busy(t)):
                w = s.clone()
                w.rec[t] = r._replace(age=1)
                self.emit(w, f"30 s pass for record {t}")

    def kept(self, t: int, sid: int) -> bool:
        """Whether a live worker renews the lease, or looks at the item (and leaves it before the lease ends)."""
        return any(k.q == t and k.sid == sid and not k.paused and k.pc in HOLDS for k in self.s.ws)
