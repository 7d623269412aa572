"""
workers: from a delivered item to its ack, as the rows of the design say. Each has one delivery at a time.
"""

from tests.model.parts import (
    ACK,
    ACTIVE,
    AFTER,
    ASK,
    BLOCKED,
    CANCELLED,
    CLAIM,
    CLAIM_UNSURE,
    END_AGAIN,
    END_UNSURE,
    ERROR,
    FINAL,
    IDLE_WORKER,
    IN_TABLE,
    NEW,
    NOBODY,
    OK,
    QUEUE_ERROR,
    READ,
    RESCHEDULE,
    RETRY,
    RUN,
    SCHEDULE,
    STATE,
    SUPERSEDE,
    TAKE,
    TURN,
    WAIT_ON,
    Rec,
    Worker,
)
from tests.model.publishing import Publishing, Sub
from tests.model.steps import LOSE, may, spend
from tests.model.world import World, close_fields


def claimable(r: Rec, via: int) -> bool:
    return r.st in (NEW, RETRY, QUEUE_ERROR) and (not r.due or bool(via))


class Workers(Publishing):
    """Each step of a worker is a method ``w_<step>``."""

    def w_idle(self, i: int, _k: Worker) -> None:
        for queue, q in enumerate(self.s.q):
            item = q.item
            if item and not item.leased:
                w = self.s.clone()
                w.q[queue] = q._replace(item=item._replace(leased=1))
                t = w.task_of(queue)
                r = w.rec[t]
                # a claim that would be refused, because the record moved on, goes to the reading at once
                fast = bool(r and r.seq == item.n and claimable(r, item.via))
                pc = self.starting(r) if fast else READ
                w.ws[i] = Worker(pc, t, item.sid, item.n, item.via, att=r.tries + 1 if fast else 0, q=queue)
                self.emit(w, f"worker {i} gets item {queue}")

    # starting

    def starting(self, r: Rec) -> int:
        """Return the step before a run: a task that waits for another's end looks at that one first."""
        return TURN if r.after != NOBODY and "looks_before_its_turn" in self.sc.rules else CLAIM

    def w_turn(self, i: int, k: Worker) -> None:
        w = self.s.clone()
        other = w.rec[w.rec[k.t].after] if w.rec[k.t].after != NOBODY else None
        if other is None or other.st in FINAL:
            w.ws[i] = k._replace(pc=CLAIM)
        elif other.st == ACTIVE:
            w.ws[i] = k._replace(pc=WAIT_ON)
        else:
            w.ws[i] = k._replace(pc=SUPERSEDE, sub=(0, w.rec[k.t].after, -1, other.seq, 0, 0))
        self.emit(w, f"worker {i} looks at the task before {k.t}")

    def w_wait_on(self, i: int, k: Worker) -> None:
        def again(w: World) -> None:
            w.ws[i] = k._replace(pc=READ, att=0)

        def answer(w: World, seq: int) -> None:
            if seq:
                w.ws[i] = k._replace(pc=RESCHEDULE, n=0, seq=seq, att=0, to=k.t)
            else:
                again(w)

        self.request(("cas", k.t, k.n, "wait"), answer, again, f"worker {i} lets {k.t} wait on")

    def w_supersede(self, i: int, k: Worker) -> None:
        def look(w: World, _: int = 0) -> None:
            w.ws[i] = k._replace(pc=TURN, sub=())

        _, other, _, seq, *_ = k.sub
        self.request(("cas", other, seq, "end"), look, look, f"worker {i} ends {other}, since {k.t} is newer")

    def w_claim(self, i: int, k: Worker) -> None:
        self.start(i, k, "claim", k.n)

    def w_take(self, i: int, k: Worker) -> None:
        self.start(i, k, "take", k.seq)

    def start(self, i: int, k: Worker, change: str, expect: int) -> None:
        k = k._replace(exc=0)  # what happened before this run excuses nothing

        def answer(w: World, seq: int) -> None:
            if seq:
                self.started(w, i, k, seq)
            else:
                w.ws[i] = k._replace(pc=READ, seq=0, att=0, x=0)

        def lost(w: World) -> None:
            w.ws[i] = k._replace(pc=CLAIM_UNSURE, x=0, seq=0)

        self.request(("cas", k.t, expect, change, i, k.att), answer, lost, f"worker {i} {change}s {k.t}")

    def started(self, w: World, i: int, k: Worker, seq: int) -> None:
        r = w.rec[k.t]
        if r.st in FINAL:
            self.to_after(w, i, k, r)
            return
        for j, other in enumerate(w.ws):
            if j != i and other.pc == RUN and other.t == k.t and not other.exc:
                w.bad = f"I3: task {k.t} starts while the healthy worker {j} runs it"
        if k.pc == CLAIM and k.q != w.queue_of(r, k.t):
            w.bad = f"I8: task {k.t}, which moved, is claimed by an item of the queue that it left"
        w.ws[i] = k._replace(pc=RUN, seq=seq, n=0, via=0, x=0)

    def w_claim_unsure(self, i: int, k: Worker) -> None:
        """The claim's answer was lost: my run and active, it is mine; else decide anew."""
        w = self.s.clone()
        r = w.rec[k.t]
        if not r or (r.rw, r.ra) != (i, k.att):
            self.decide(w, i, k)
        elif r.st == ACTIVE:
            self.started(w, i, k, r.seq)
        elif r.st in FINAL:
            self.to_after(w, i, k, r)
        else:
            self.decide(w, i, k)
        self.emit(w, f"worker {i} reads record {k.t} to resolve its claim")

    def w_read(self, i: int, k: Worker) -> None:
        w = self.s.clone()
        r = w.rec[k.t]
        self.decide(w, i, k)
        self.emit(w, f"worker {i} reads record {k.t} ({STATE[r.st] if r else 'none'})")

    def decide(self, w: World, i: int, k: Worker) -> None:
        """Do what the record's state asks for."""
        r = w.rec[k.t]
        if "stale_dropped" in self.sc.rules and r and k.n and k.n != r.seq:
            w.ws[i] = k._replace(pc=ACK, n=0, via=0, x=0, att=0, seq=0)
            return
        k = k._replace(x=0, att=0, seq=0)
        if r is None:
            w.ws[i] = IDLE_WORKER
        elif claimable(r, 0):
            w.ws[i] = k._replace(pc=self.starting(r), n=r.seq, att=r.tries + 1)
        elif r.st in (NEW, RETRY) and k.via and k.n == r.seq:
            w.ws[i] = k._replace(pc=self.starting(r), att=r.tries + 1)
        elif r.st in (NEW, RETRY):
            to = w.queue_of(r, k.t) if "moved_goes_on_there" in self.sc.rules else k.q
            w.ws[i] = k._replace(pc=RESCHEDULE, n=0, seq=r.seq, to=to)
        elif r.st == ACTIVE:
            w.ws[i] = k._replace(pc=ASK, n=0, seq=r.seq, att=r.ra, x=r.rw)
        elif r.st == BLOCKED:
            w.ws[i] = k._replace(pc=ACK, n=0, via=0)
        else:
            self.to_after(w, i, k, r)

    def w_ask(self, i: int, k: Worker) -> None:
        if k.x == i:  # its only slot is this one, so it does not run the task
            self.take_without_answer(i, k)
        elif k.x < len(self.s.ws):
            self.ask(i, k, self.s.ws[k.x])
        elif not self.s.pres[k.x - 2]:
            self.take_without_answer(i, k)
        if "no_answer_is_no" in self.sc.rules and may(self.s, LOSE):
            w = self.s.clone()
            w.bud = spend(self.s, LOSE)
            w.ws[i] = k._replace(pc=TAKE, att=k.att + 1, x=0)
            self.emit(w, f"worker {i} asks {k.x}: no answer, takes it for dead", fault=True)
        w = self.s.clone()
        w.ws[i] = IDLE_WORKER
        self.emit(w, f"worker {i} leaves item {k.t} (half of the lease over)")

    def ask(self, i: int, k: Worker, owner: Worker) -> None:
        s = self.s
        if owner.paused == 2:
            self.take_without_answer(i, k)
        elif not owner.paused and owner.pc in IN_TABLE and owner.t == k.t and owner.att == k.att:
            # it adopts the item that was delivered, if that is one of its own queue
            adopted = owner._replace(sid=k.sid) if owner.q == k.q else owner
            w = s.clone()
            w.ws[k.x] = adopted
            w.ws[i] = IDLE_WORKER
            self.emit(w, f"worker {i} asks {k.x}: yes, leaves item {k.t}")
            if may(s, LOSE):
                w = s.clone()
                w.bud = spend(s, LOSE)
                w.ws[k.x] = adopted
                self.emit(w, f"worker {i} asks {k.x}: yes, answer lost", fault=True)
        elif not owner.paused:
            w = s.clone()
            w.ws[i] = k._replace(pc=TAKE, att=k.att + 1, x=0)
            self.emit(w, f"worker {i} asks {k.x}: no")

    def take_without_answer(self, i: int, k: Worker) -> None:
        w = self.s.clone()
        w.ws[i] = k._replace(pc=TAKE, att=k.att + 1, x=0)
        known = "knows that it does not run it" if k.x == i else f"sees no presence of {k.x}"
        self.emit(w, f"worker {i} {known}")

    # running and ending

    def w_run(self, i: int, k: Worker) -> None:
        self.close(i, k, OK, "success")
        if self.sc.errors:
            self.close(i, k, ERROR, "error")
        if k.x:
            self.close(i, k, CANCELLED, "cancelled")
        r = self.s.rec[k.t]
        if (r.rw, r.ra) != (i, k.att):
            w = self.s.clone()
            w.ws[i] = IDLE_WORKER
            self.emit(w, f"worker {i} learns that its run of {k.t} is lost")

    def w_end_again(self, i: int, k: Worker) -> None:
        self.close(i, k, k.x, f"again ({k.x})")

    def close(self, i: int, k: Worker, intent: int, word: str) -> None:
        def answer(w: World, seq: int) -> None:
            if seq:
                self.closed(w, i, k, w.rec[k.t])
            else:
                lost(w)

        def lost(w: World) -> None:
            w.ws[i] = k._replace(pc=END_UNSURE, x=intent)

        op = ("cas", k.t, k.seq, "close", i, k.att, intent)
        self.request(op, answer, lost, f"worker {i} writes the end of {k.t}: {word}")

    def closed(self, w: World, i: int, k: Worker, r: Rec) -> None:
        if r.st in FINAL:
            self.to_after(w, i, k, r)
            return
        if "ack_first" in self.sc.rules:
            w.q[k.q] = w.q[k.q]._replace(item=None)
        w.ws[i] = k._replace(pc=SCHEDULE, seq=r.seq, n=0, via=0, att=0, x=0, to=w.queue_of(r, k.t))

    def w_end_unsure(self, i: int, k: Worker) -> None:
        """The closing write was refused or not answered: compare run and state."""
        w = self.s.clone()
        r = w.rec[k.t]
        wrote = close_fields(self.sc, r, k.att, k.x)
        if (r.rw, r.ra) != (i, k.att):
            acks = "loser_acks" in self.sc.rules
            w.ws[i] = k._replace(pc=ACK, x=0, att=0, seq=0) if acks else IDLE_WORKER
        elif r.st == ACTIVE:
            w.ws[i] = k._replace(pc=END_AGAIN, seq=r.seq)
        elif r.st == wrote["st"] and r.due == wrote["due"]:
            self.closed(w, i, k, r)
        else:
            w.ws[i] = IDLE_WORKER
        self.emit(w, f"worker {i} reads record {k.t} to resolve its end ({STATE[r.st]})")

    def w_reschedule(self, i: int, k: Worker) -> None:
        self.w_schedule(i, k)

    def w_schedule(self, i: int, k: Worker) -> None:
        def answer(w: World, _: int) -> None:
            left = k.pc == SCHEDULE and self.sc.latest
            sub = (7, k.t, -1, 0, 0, 0) if left else ()
            w.ws[i] = k._replace(pc=AFTER if left else ACK, seq=0, n=0, via=0, sub=sub, to=0)

        self.request(("sched", k.to, k.seq), answer, lambda _: None, f"worker {i} publishes the schedule of {k.to}")

    def to_after(self, w: World, i: int, k: Worker, r: Rec) -> None:
        keyed = self.sc.unique or self.sc.latest
        sub = (7, k.t, -1, 0, 0, 0) if keyed else ()
        pc = AFTER if r.deps or sub else ACK
        w.ws[i] = Worker(pc, k.t, k.sid, x=r.deps, paused=k.paused, exc=k.exc, sub=sub, q=k.q)

    def w_after(self, i: int, k: Worker) -> None:
        """After-effects: leave the key, then serve one dependent after the other."""
        if k.sub:

            def put(w: World, sub: Sub) -> None:
                w.ws[i] = k._replace(sub=sub) if sub or k.x else k._replace(sub=sub, pc=ACK)

            self.release(k.sub, put, f"worker {i}")
            return
        w = self.s.clone()
        if not k.x:
            w.ws[i] = k._replace(pc=ACK)
            self.emit(w, f"worker {i} done with the dependents of {k.t}")
            return
        c = (k.x & -k.x).bit_length() - 1
        w.ws[i] = k._replace(x=k.x & ~(1 << c), sub=(1, c, k.t, 0, 0, 0))
        self.emit(w, f"worker {i} turns to dependent {c}")

    def w_ack(self, i: int, k: Worker) -> None:
        def through(w: World, _: int = 0) -> None:
            w.ws[i] = IDLE_WORKER

        self.request(("ack", k.q, k.sid), through, through, f"worker {i} acks item {k.q}")
