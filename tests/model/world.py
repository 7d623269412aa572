"""
world: a state of the server and of everybody who talks to it, and what requests do to it.

Sequences are compared, never counted; they are rank-compressed per task, so that states stay few. The two workers are
symmetric, dead processes are named in the order of their appearance, and runs that nobody can ask about are forgotten.
"""

from typing import Any

from tests.model.parts import (
    ACTIVE,
    ASK,
    CANCELLED,
    COMPLETE,
    EXPIRED,
    FINAL,
    IN_TABLE,
    NEW,
    NOBODY,
    OK,
    RETRY,
    STATE,
    UNREACHABLE,
    Actor,
    Item,
    Operation,
    Queue,
    Rec,
    Worker,
)
from tests.model.scenario import Scenario


class World:
    """
    A state that may be changed; its parts are immutable.

    ``rec``, ``q``: record and queue of each task. ``mk``: bit mask of markers. ``ws``, ``act``: workers and other
    actors. ``late``: a request that will take effect at some later moment. ``bud``: faults left. ``pres``: presence
    of dead processes. ``acked``: bit mask of the tasks whose enqueue was acknowledged. ``keys``: holder of the unique
    key, or the last occurrence in schedule_state. ``bad``: a property that was violated on the way here.
    """

    __slots__ = ("acked", "act", "bad", "bud", "keys", "late", "mk", "pres", "q", "rec", "sc", "swapped", "ws")

    rec: list[Any]  # records, or None where there is none
    q: list[Queue]
    ws: list[Worker]
    act: list[Actor]
    mk: int
    late: Operation
    bud: tuple[int, ...]
    pres: tuple[int, ...]
    acked: int
    keys: int
    bad: str | None
    swapped: bool
    sc: Scenario

    @classmethod
    def first(cls, sc: Scenario) -> "World":
        w = cls()
        w.sc = sc
        w.rec = list(sc.recs)
        w.q = [
            Queue(Item(1, w.rec[t].seq, 0, 0), 0, 0, 1) if t in sc.items else Queue(None, 0, 0, 0)
            for t in range(sc.tasks)
        ] + [Queue(None, 0, 0, 0)] * sc.moves
        w.mk, w.late, w.bud, w.pres, w.keys = sc.markers, (), (sc.crash, sc.forget, sc.lost, sc.total), (), sc.holder
        w.ws = [Worker()] * sc.workers
        w.act = [Actor(kind, t) for kind, t in sc.actors]
        w.acked, w.bad, w.swapped = sc.acked, None, False
        return w

    def clone(self) -> "World":
        w = World()
        w.rec, w.q, w.ws, w.act = self.rec[:], self.q[:], self.ws[:], self.act[:]
        w.mk, w.late, w.bud, w.pres, w.acked, w.keys = self.mk, self.late, self.bud, self.pres, self.acked, self.keys
        w.sc, w.bad, w.swapped = self.sc, None, False
        return w

    # queues

    def task_of(self, queue: int) -> int:
        """Return the task that a queue is for."""
        return queue if queue < len(self.rec) else 0

    def queue_of(self, r: Rec, t: int) -> int:
        """Return the queue that a record names."""
        return len(self.rec) if r.at else t

    def queues_of(self, t: int) -> tuple[int, ...]:
        return (t,) if t or len(self.q) == len(self.rec) else (t, len(self.rec))

    # what requests do

    def apply(self, op: Operation) -> int:
        """Let a request take effect; return what the client would learn."""
        answer: int = getattr(self, "op_" + op[0])(*op[1:])
        return answer

    def op_cas(self, t: int, expect: int, change: str, *args: Any) -> int:
        current = self.rec[t]
        if (current.seq if current else 0) != expect:
            return 0
        new = CHANGES[change](self, t, current, *args)
        if (
            current
            and current.st in FINAL
            and change != "op_retry"
            and (new.st != current.st or new.res != current.res)
        ):
            self.bad = f"I2: final record of task {t} changed by {change}"
        self.rec[t] = new._replace(seq=expect + 1, age=0)
        return expect + 1

    def op_pub(self, t: int, n: int, expect: int) -> int:
        q = self.q[t]
        if (q.item.sid if q.item else 0) != expect:
            return 0
        self.put_item(t, n, 0)
        return 1

    def put_item(self, t: int, n: int, via: int) -> None:
        q = self.q[t]
        self.q[t] = q._replace(item=Item(q.top + 1, n, via, 0), top=q.top + 1)

    def op_sched(self, t: int, n: int) -> int:
        self.q[t] = self.q[t]._replace(sched=n)
        return 1

    def op_ack(self, t: int, sid: int) -> int:
        q = self.q[t]
        if q.item and q.item.sid == sid:
            self.q[t] = q._replace(item=None)
        return 1

    def op_sched_newer(self, t: int, n: int) -> int:
        """Schedule, unless there is a schedule for a newer record."""
        self.q[t] = self.q[t]._replace(sched=max(n, self.q[t].sched))
        return 1

    def op_purge_older(self, t: int, n: int) -> int:
        """Remove the schedule and the due message that were published for a record older than *n*."""
        q = self.q[t]
        self.q[t] = q._replace(sched=0 if q.sched < n else q.sched, due=0 if q.due < n else q.due)
        return 1

    def op_drop_older(self, t: int, n: int) -> int:
        """Remove the item if it was published for a record older than *n*."""
        q = self.q[t]
        if q.item and q.item.n < n:
            self.q[t] = q._replace(item=None)
        return 1

    def op_mark(self, c: int) -> int:
        self.mk |= 1 << c
        return 1

    def op_unmark(self, c: int) -> int:
        self.mk &= ~(1 << c)
        return 1

    def op_key(self, expect: int, new: int) -> int:
        """Write the key by CAS. (The value is compared, not the sequence: a holder never comes back here.)"""
        if self.keys != expect:
            return 0
        self.keys = new
        return 1

    # one form for equal states

    def canonical(self) -> tuple[Any, ...]:
        ws = self.ws
        for t, r in enumerate(self.rec):
            if r and r.rw != NOBODY and r.st != ACTIVE and not self.late and not self.is_held(t, r.rw):
                self.rec[t] = r._replace(rw=NOBODY, ra=0)
        self.rename_dead()
        if len(ws) == 2:
            a, b = ws
            if b < a or (a == b and any(r and r.rw == 1 for r in self.rec[:1])):
                self.swapped = True
                self.ws.reverse()
                self.rename({0: 1, 1: 0})
        for t in range(len(self.rec)):
            for queue in self.queues_of(t):
                self.rank(t, queue)
        rest = (self.mk, self.late, self.bud, self.pres, self.acked, self.keys)
        return (tuple(self.rec), tuple(self.q), tuple(self.ws), tuple(self.act), rest)

    def is_held(self, t: int, process: int) -> bool:
        return process < len(self.ws) and self.ws[process].t == t and self.ws[process].pc in IN_TABLE

    def rename_dead(self) -> None:
        """Name dead processes 2, 3, ... in the order of their appearance, and forget those that nobody names."""
        if not self.pres:
            return
        named: list[int] = [r.rw for r in self.rec if r] + [k.x for k in self.ws if k.pc == ASK] + [self.late_runner()]
        order = list(dict.fromkeys(process for process in named if process >= 2))
        if order == list(range(2, 2 + len(self.pres))):
            return
        self.rename({old: place + 2 for place, old in enumerate(order)})
        self.pres = tuple(self.pres[old - 2] for old in order)

    def late_runner(self) -> int:
        """Return the process whose run the late request writes."""
        late = self.late
        return late[4] if late and late[0] == "cas" and late[3] in RUN_CHANGES else NOBODY

    def rename(self, new: dict[int, int]) -> None:
        for t, r in enumerate(self.rec):
            if r and r.rw in new:
                self.rec[t] = r._replace(rw=new[r.rw])
        for i, k in enumerate(self.ws):
            if k.pc == ASK and k.x in new:
                self.ws[i] = k._replace(x=new[k.x])
        if self.late_runner() in new:
            self.late = (*self.late[:4], new[self.late[4]], *self.late[5:])

    def rank(self, t: int, queue: int) -> None:
        """Compress the record sequences of a task, and the stream sequences of one of its queues, to their ranks."""
        versions, sids = self.numbers(t, queue)
        q = self.q[queue]
        if versions[-1] == len(versions) - 1 and sids[-1] == len(sids) - 1 == q.top:
            return
        v = {number: place for place, number in enumerate(versions)}
        s = {number: place for place, number in enumerate(sids)}
        r = self.rec[t]
        if r:
            self.rec[t] = r._replace(seq=v[r.seq])
        for place in self.queues_of(t):
            self.rank_queue(place, v, s if place == queue else None)
        self.ws = [k._replace(n=v[k.n], seq=v[k.seq]) if k.pc and k.t == t else k for k in self.ws]
        self.ws = [k._replace(sid=s[k.sid]) if k.pc and k.q == queue else k for k in self.ws]
        self.ws = [k._replace(sub=rank_sub(k.sub, t, v, s)) for k in self.ws]
        self.act = [a._replace(seq=v[a.seq]) if a.t == t else a for a in self.act]
        self.act = [a._replace(sub=rank_sub(a.sub, t, v, s)) for a in self.act]
        if self.late and self.late_task() == t:
            self.rank_late(self.late, v, s, queue)

    def rank_queue(self, queue: int, v: dict[int, int], s: dict[int, int] | None) -> None:
        q = self.q[queue]
        item = q.item and Item(s[q.item.sid] if s else q.item.sid, v[q.item.n], q.item.via, q.item.leased)
        self.q[queue] = Queue(item, v[q.sched], v[q.due], len(s) - 1 if s else q.top)

    def late_task(self) -> int:
        """Return the task that the late request is about."""
        return int(self.late[1]) if self.late[0] == "cas" else self.task_of(self.late[1])

    def rank_late(self, late: Operation, v: dict[int, int], s: dict[int, int], queue: int) -> None:
        if late[0] == "ack":
            self.late = (*late[:2], s[late[2]]) if late[1] == queue else late
        elif late[0] == "pub":
            self.late = (*late[:2], v[late[2]], s[late[3]])
        elif late[0] in ("cas", "sched", "sched_newer", "purge_older", "drop_older"):
            self.late = (*late[:2], v[late[2]], *late[3:])

    def stored_numbers(self, t: int, queue: int) -> tuple[set[int], set[int]]:
        """Return those numbers that the server knows, see :meth:`numbers`."""
        r = self.rec[t]
        versions, sids = {0, r.seq} if r else {0}, {0}
        for place in self.queues_of(t):
            q = self.q[place]
            versions |= {q.sched, q.due}
            if q.item:
                versions.add(q.item.n)
                if place == queue:
                    sids.add(q.item.sid)
        return versions, sids

    def numbers(self, t: int, queue: int) -> tuple[list[int], list[int]]:
        """Return the record sequences of a task, and the stream sequences of a queue, that anybody knows, sorted."""
        versions, sids = self.stored_numbers(t, queue)
        for k in self.ws:
            if k.pc and k.t == t:
                versions |= {k.n, k.seq}
                if k.q == queue:
                    sids.add(k.sid)
        versions |= {a.seq for a in self.act if a.t == t}
        for sub in [k.sub for k in self.ws] + [a.sub for a in self.act]:
            if sub and sub[1] == t:
                versions.add(sub[3])
                sids.add(sub[5])
        if self.late and self.late_task() == t:
            name, where, *known = self.late
            if name in ("cas", "pub", "sched", "sched_newer", "purge_older", "drop_older"):
                versions.add(known[0])
            if name in ("ack", "pub") and where == queue:
                sids.add(known[-1])
        return sorted(versions), sorted(sids)


def rank_sub(sub: tuple[int, ...], t: int, v: dict[int, int], s: dict[int, int]) -> tuple[int, ...]:
    if not sub or sub[1] != t:
        return sub
    return (*sub[:3], v[sub[3]], sub[4], s[sub[5]])


# What a compare-and-swap puts in the place of a record


def create(_w: World, _t: int, _r: Rec | None, nonce: int, st: int, pend: int) -> Rec:
    return Rec(0, st, pend=pend, nonce=nonce)


def claim(w: World, t: int, r: Rec, who: int, att: int, *, crash: int = 0) -> Rec:
    """Start a run; a cancel request, used-up tries or too many crashes end the task in its place."""
    crashes = r.crashes + crash
    if r.creq or r.tries >= w.sc.max_tries or crashes >= 3:
        return r._replace(st=EXPIRED, due=0, rw=who, ra=att, crashes=crashes)
    for p in w.sc.parents.get(t, ()):
        if w.rec[p].st != COMPLETE:
            w.bad = f"I6: child {t} starts though parent {p} is {STATE[w.rec[p].st]}"
    return r._replace(st=ACTIVE, due=0, rw=who, ra=att, tries=att, crashes=crashes)


def take_over(w: World, t: int, r: Rec, who: int, att: int) -> Rec:
    return claim(w, t, r, who, att, crash=1)


def close(w: World, t: int, r: Rec, *run: int) -> Rec:
    who, att, intent = run
    if (r.rw, r.ra) != (who, att):
        w.bad = f"I2: run {who}/{att} closes the run {r.rw}/{r.ra} of task {t}"
    return r._replace(**close_fields(w.sc, r, att, intent))


def close_fields(sc: Scenario, r: Rec, att: int, intent: int) -> dict[str, int]:
    """Return what judge() says about the outcome of a run."""
    if intent == OK:
        return {"st": COMPLETE, "due": 0, "res": att}
    if intent == CANCELLED or r.tries >= sc.max_tries or (r.creq and "cancel_beats_retry" in sc.rules):
        return {"st": EXPIRED, "due": 0, "res": 0}
    return {"st": RETRY, "due": 1, "res": 0, "at": int(sc.moves)}


def op_retry(_w: World, _t: int, r: Rec) -> Rec:
    return r._replace(st=RETRY, due=0, res=0, creq=0, crashes=0)


def end(_w: World, _t: int, r: Rec) -> Rec:
    return r._replace(st=EXPIRED, due=0)


def request_cancel(_w: World, _t: int, r: Rec) -> Rec:
    return r._replace(creq=1)


def take_out(_w: World, _t: int, r: Rec, p: int, failed: int) -> Rec:
    """Count a parent that ended; the write that counts the last one makes the child runnable."""
    if failed:
        return r._replace(st=UNREACHABLE)
    left = r.pend & ~(1 << p)
    return r._replace(pend=left, st=r.st if left else NEW)


def rewrite(_w: World, _t: int, r: Rec) -> Rec:
    return r


def hasten(_w: World, _t: int, r: Rec) -> Rec:
    return r._replace(due=0)


def wait(_w: World, _t: int, r: Rec) -> Rec:
    return r._replace(due=1)


def create_after(_w: World, _t: int, r: Rec | None, nonce: int, after: int) -> Rec:
    """Make a record, or make one's own anew, that waits for the end of another task, if there is one to wait for."""
    return (r or Rec(0, NEW, nonce=nonce))._replace(due=int(after != NOBODY), after=after)


def depend(_w: World, _t: int, r: Rec, c: int) -> Rec:
    return r._replace(deps=r.deps | 1 << c)


CHANGES: dict[str, Any] = {
    "create": create,
    "claim": claim,
    "take": take_over,
    "close": close,
    "op_retry": op_retry,
    "cancel": end,
    "creq": request_cancel,
    "end": end,
    "takeout": take_out,
    "depend": depend,
    "rewrite": rewrite,
    "hasten": hasten,
    "wait": wait,
    "create_after": create_after,
}
RUN_CHANGES = ("claim", "take", "close")
"""These carry a worker's process as their first argument."""
