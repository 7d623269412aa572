"""
clients: who enqueues, retries and cancels.
"""

from collections.abc import Callable

from tests.model.parts import ACTIVE, BLOCKED, FINAL, IN_TABLE, NEW, NOBODY, RETRY, RUN, STATE, Actor, Rec
from tests.model.publishing import Publishing, Sub
from tests.model.world import World

WAITED, DOUBTED, SILENT = 1, 2, 4
"""What an operator remembers: the record waited; a write of its own failed; the last one was not answered."""


class Clients(Publishing):
    """Each kind of actor is a method ``a_<kind>``."""

    def a_producer(self, j: int, a: Actor) -> None:
        """Record (CAS 0), its ack, item. Steps: 0 create, 1 resolve by nonce, 2 item."""
        who = f"producer {a.t}"

        def acked(w: World) -> None:
            w.acked |= 1 << a.t
            self.end_actor(w, j, a)

        def publish(w: World, seq: int) -> None:
            w.act[j] = a._replace(pc=2, sub=(5, a.t, -1, seq, 0, 0))

        def unsure(w: World) -> None:
            w.act[j] = a._replace(pc=1)

        if a.pc == 0:
            self.request(
                ("cas", a.t, 0, "create", j, NEW, 0),
                lambda w, seq: publish(w, seq) if seq else unsure(w),
                unsure,
                f"{who} creates record {a.t}",
            )
        elif a.pc == 1:
            w = self.s.clone()
            r = w.rec[a.t]
            again = (NEW, RETRY) if "republish_unless_done" in self.sc.rules else (NEW,)
            if r is None:
                w.act[j] = a._replace(pc=0)
            elif r.nonce == j and not r.due and r.st in again:
                publish(w, r.seq)
            else:
                acked(w)
            self.emit(w, f"{who} reads record {a.t}")
        else:
            self.machine(j, a, acked, who)

    # the operator

    def a_operator(self, j: int, a: Actor) -> None:
        """
        Retry by id. Steps: 0 read, 1 write, 2 read again after a write that failed, 3 unschedule, 4 item.

        seq: of the record that it would replace; then, if it waited, of the one that it goes on with. x: WAITED,
        DOUBTED, SILENT.
        """
        if a.pc in (0, 2):
            self.operator_decides(j, a)
        elif a.pc == 1:
            self.operator_writes(j, a)
        elif a.pc == 3:
            op = ("purge_older", a.t, a.seq)

            def through(w: World, _: int = 0) -> None:
                self.operator_done(w, j, a)

            self.request(op, through, through, f"operator removes the schedule of {a.t}")
        else:

            def put(w: World, sub: Sub) -> None:
                if sub:
                    w.act[j] = a._replace(sub=sub)
                elif a.x & WAITED:
                    w.act[j] = a._replace(pc=3, sub=())
                else:
                    self.operator_done(w, j, a)

            self.release(a.sub, put, "operator")

    def operator_done(self, w: World, j: int, a: Actor) -> None:
        """Be through: who asked was told that the task runs, so it must come to an end."""
        w.acked |= 1 << a.t
        self.end_actor(w, j, a)

    def operator_goes_on(self, w: World, j: int, a: Actor, seq: int) -> None:
        waited = a.x & WAITED
        w.act[j] = a._replace(pc=4, seq=seq if waited else 0, x=waited, sub=(5, a.t, -1, seq, 0, 0))

    def operator_decides(self, j: int, a: Actor) -> None:
        r, rules = self.s.rec[a.t], self.sc.rules
        if r is None:
            return
        w = self.s.clone()
        queued = r.st in (NEW, RETRY) and not r.due
        running = r.st == ACTIVE and "retry_refuses_active" in rules
        fulfilled = a.x & SILENT and r.seq != a.seq
        if (a.x & DOUBTED and self.may_be_mine(r)) or (queued and "retry_brings_queued" in rules):
            self.operator_goes_on(w, j, a, r.seq)
        elif queued:
            self.operator_done(w, j, a)
        elif r.st == BLOCKED or running or fulfilled:
            self.end_actor(w, j, a)
        else:
            w.act[j] = a._replace(pc=1, seq=r.seq, x=(a.x & ~SILENT) | r.due)
        self.emit(w, f"operator reads record {a.t} ({STATE[r.st]})")

    def operator_writes(self, j: int, a: Actor) -> None:
        def answer(w: World, seq: int) -> None:
            if seq:
                self.excuse(w, a.t)
                self.operator_goes_on(w, j, a, seq)
            else:
                remembers = "retry_remembers" in self.sc.rules
                w.act[j] = a._replace(pc=2, seq=0, x=a.x | DOUBTED if remembers else a.x & WAITED)

        def lost(w: World) -> None:
            self.excuse(w, a.t)
            w.act[j] = a._replace(pc=2, x=a.x | DOUBTED | SILENT)

        self.request(("cas", a.t, a.seq, "op_retry"), answer, lost, f"operator sets record {a.t} to retry")

    def may_be_mine(self, r: Rec) -> bool:
        """Whether an operator one of whose writes failed may have made the record what it is."""
        return (r.st == RETRY and not r.due) or (r.st == ACTIVE and "republish_unless_done" in self.sc.rules)

    def excuse(self, w: World, t: int) -> None:
        """A retry of an active task takes the run away on purpose; a retry of any other excuses nobody."""
        was = self.s.rec[t]
        if was.st != ACTIVE:
            return
        for i, k in enumerate(w.ws):
            if k.pc in IN_TABLE and k.t == t and (was.rw, was.ra) == (i, k.att):
                w.ws[i] = k._replace(exc=1)

    # the canceller

    def a_canceller(self, j: int, a: Actor) -> None:
        """Steps: 0 read, 1 end it, 5 dependents, 2 purge; or, while it runs, 3 request, 4 tell the worker."""

        def reread(w: World) -> None:
            w.act[j] = a._replace(pc=0, seq=0, x=0, sub=())

        if a.pc == 0:
            self.canceller_reads(j, a)
        elif a.pc == 1:
            self.canceller_ends(j, a, reread)
        elif a.pc == 2:
            self.request(
                ("purge", a.t),
                lambda w, _: self.end_actor(w, j, a),
                lambda _: None,
                f"canceller purges the schedule of {a.t}",
            )
        elif a.pc == 3:

            def asked(w: World, seq: int) -> None:
                if seq:
                    w.act[j] = a._replace(pc=4, seq=0)
                else:
                    reread(w)

            op = ("cas", a.t, a.seq, "creq")
            self.request(op, asked, reread, f"canceller requests the cancel of {a.t}")
        elif a.pc == 4:
            self.canceller_tells(j, a)
        else:
            self.canceller_serves(j, a)

    def canceller_tells(self, j: int, a: Actor) -> None:
        w = self.s.clone()
        r = w.rec[a.t]
        for i, k in enumerate(w.ws):
            if k.pc == RUN and k.t == a.t and not k.paused and (r.rw, r.ra) == (i, k.att):
                w.ws[i] = k._replace(x=1)
        self.end_actor(w, j, a)
        self.emit(w, "canceller tells the worker")
        w = self.s.clone()
        self.end_actor(w, j, a)
        self.emit(w, "canceller tells the worker, who does not hear it")

    def canceller_reads(self, j: int, a: Actor) -> None:
        r = self.s.rec[a.t]
        if r is None:
            return
        w = self.s.clone()
        if r.st in FINAL:
            self.end_actor(w, j, a)
        elif r.st == ACTIVE:
            w.act[j] = a._replace(pc=3, seq=r.seq)
        else:
            w.act[j] = a._replace(pc=1, seq=r.seq, x=r.due)
        self.emit(w, f"canceller reads record {a.t} ({STATE[r.st]})")

    def canceller_ends(self, j: int, a: Actor, reread: Callable[[World], None]) -> None:
        def ended(w: World, seq: int) -> None:
            deps = w.rec[a.t].deps
            if not seq:
                reread(w)
            elif deps:
                w.act[j] = a._replace(pc=5, seq=0, x=a.x | deps << 1)
            elif a.x:
                w.act[j] = a._replace(pc=2, seq=0)
            else:
                self.end_actor(w, j, a)

        self.request(("cas", a.t, a.seq, "cancel"), ended, reread, f"canceller ends record {a.t}")

    def canceller_serves(self, j: int, a: Actor) -> None:
        if a.sub:

            def finish(w: World) -> None:
                w.act[j] = a._replace(sub=())

            self.machine(j, a, finish, "canceller")
            return
        w = self.s.clone()
        left = a.x >> 1
        if left:
            c = (left & -left).bit_length() - 1
            w.act[j] = a._replace(x=a.x & ~(2 << c), sub=(1, c, a.t, 0, 0, 0))
        elif a.x & 1:
            w.act[j] = a._replace(pc=2, x=0)
        else:
            self.end_actor(w, j, a)
        self.emit(w, f"canceller turns to the dependents of {a.t}")

    # with a unique key

    def a_unique(self, j: int, a: Actor) -> None:
        """
        Enqueue with a key. Steps: 0 record, 1 key, 2 holder's record, 3 end own record, 4 own item, 5 holder's item, 6
        write the holder's record again.

        seq: own record's sequence. x: the holder that was read, plus 1.
        """
        who = f"producer {a.t}"
        holder = a.x - 1
        if a.pc == 0:

            def made(w: World, _: int) -> None:
                w.act[j] = a._replace(pc=1, seq=w.rec[a.t].seq, x=0)

            self.request(("cas", a.t, 0, "create", j, NEW, 0), made, lambda _: None, f"{who} creates record {a.t}")
        elif a.pc == 1:
            self.unique_takes_key(j, a)
        elif a.pc == 2:
            self.unique_reads_holder(j, a)
        elif a.pc == 3:

            def ended(w: World, _: int) -> None:
                self.unique_done(w, j, a, holder)

            self.request(("cas", a.t, a.seq, "end"), ended, lambda _: None, f"{who} ends its own record")
        elif a.pc == 4:
            self.machine(j, a, lambda w: self.unique_done(w, j, a, a.t), who)
        elif a.pc == 5:

            def queued(w: World) -> None:
                w.act[j] = a._replace(pc=3, seq=w.rec[a.t].seq, sub=())

            self.machine(j, a, queued, who)
        else:
            self.unique_adopts(j, a, holder)

    def unique_adopts(self, j: int, a: Actor, holder: int) -> None:
        """Write the holder's record again: if its producer gives it up meanwhile, one of the two writes is refused."""

        def look(w: World) -> None:
            w.act[j] = a._replace(pc=2, x=0, sub=())

        def adopted(w: World, seq: int) -> None:
            if seq:
                w.act[j] = a._replace(pc=5, sub=(5, holder, -1, seq, 0, 0))
            else:
                look(w)

        op = ("cas", holder, a.sub[3], "rewrite")
        self.request(op, adopted, look, f"producer {a.t} writes the record of {holder} again")

    def unique_takes_key(self, j: int, a: Actor) -> None:
        def look(w: World) -> None:
            w.act[j] = a._replace(pc=2, x=0)

        def keyed(w: World, ok: int) -> None:
            if ok:
                w.act[j] = a._replace(pc=4, seq=0, x=0, sub=(5, a.t, -1, a.seq, 0, 0))
            else:
                look(w)

        self.request(("key", a.x - 1, a.t), keyed, look, f"producer {a.t} takes the key (expecting {a.x - 1})")

    def unique_reads_holder(self, j: int, a: Actor) -> None:
        w = self.s.clone()
        holder = w.keys
        if holder == NOBODY:
            w.act[j] = a._replace(pc=1, x=0)
        elif holder == a.t:
            w.act[j] = a._replace(pc=4, seq=0, x=0, sub=(5, a.t, -1, a.seq, 0, 0))
        elif w.rec[holder].st in FINAL:
            w.act[j] = a._replace(pc=1, x=holder + 1)
        elif w.rec[holder].st == NEW and not w.rec[holder].due and not w.q[holder].item:
            w.act[j] = a._replace(pc=6, x=holder + 1, sub=(0, holder, -1, w.rec[holder].seq, 0, 0))
        else:
            w.act[j] = a._replace(pc=3, x=holder + 1)
        self.emit(w, f"producer {a.t} reads the key and its holder ({holder})")

    def unique_done(self, w: World, j: int, a: Actor, holder: int) -> None:
        w.acked |= 1 << holder
        self.end_actor(w, j, a)
