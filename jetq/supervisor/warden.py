"""
warden: hears the children of a supervisor, judges them, and sees to what they leave behind.

===================================  ===================================================================================
a child                              what is done
===================================  ===================================================================================
ends by itself, or is killed         another is started, after the wait of a crash loop; its runs are handed over
gives no sign of life                it is killed, then as above: its lease thread is frozen, and its leases run out
does not begin to take tasks         the same
has a handler beyond limit, grace    one that blocks the loop is killed with its child; else the child is replaced, and
                                     killed when it does not end
ran its number of tasks, is too big  its successor is started; once that takes tasks, it is told to stop
===================================  ===================================================================================
"""

import signal
import time
from typing import Final

from jetq.model.quantity import seconds
from jetq.model.supervision import ChildEnded, ChildReady, ChildReplaced, Replacement, RestartDelayed
from jetq.observe.bus import Bus
from jetq.settings import SupervisorSettings
from jetq.supervisor.child import Child
from jetq.supervisor.hand_over import HandOver
from jetq.supervisor.meter import Meter
from jetq.supervisor.place import Place
from jetq.supervisor.retirement import Retirement
from jetq.wire.death import Death
from jetq.wire.liveness import Alive, FromChild, Inherited, Leaving, Measured, Started

FAILED: Final = 1
FAREWELL: Final = 15.0
"""Seconds beyond the shutdown time-out in which a child interrupts its handlers, writes them back and closes."""
_MEBIBYTE: Final = 1024 * 1024


class Warden:
    """
    Looks after children.

    Args:
        settings: When they are replaced.
        patience: Seconds that a child may take for the tasks that run when it stops.
        burst: One that ends in order is not replaced.
        bus: For the events of children.
        hand_over: For the runs of dead ones.
        meter: For their metrics; None asks for none.

    Attributes:
        stopping: All of them are to end.
        is_up: One began to take tasks.
        status: The exit status that their ends ask for.
    """

    def __init__(
        self,
        settings: SupervisorSettings,
        *,
        patience: float,
        burst: bool,
        bus: Bus,
        hand_over: HandOver,
        meter: Meter | None,
    ) -> None:
        self.patience = patience + FAREWELL
        self._burst = burst
        self._bus = bus
        self._hand_over = hand_over
        self._meter = meter
        self._silence = seconds("child_timeout", settings.child_timeout)
        self._start_timeout = seconds("start_timeout", settings.start_timeout)
        self._retirement = Retirement(settings)
        self.stopping = False
        self.is_up = False
        self.status = 0

    def look_after(self, place: Place, child: Child, now: float) -> None:
        """Hear a child, and see whether it ended or must end."""
        ended = child.reap()  # before its last words are read, so that none come after them
        child.pipe.flush()
        if child.pipe.is_open:
            for message in child.pipe.receive():
                self._hear(place, child, message)
        if ended and child.death is not None:
            self._bury(place, child, child.death)
        elif child.kill_at is not None and now >= child.kill_at:
            if self.stopping:
                self.status = FAILED
            child.kill("it did not end in time")
        elif child.killed_for:
            return
        elif child.ready_at is None and now - child.started > self._start_timeout:
            self._kill(place, child, Replacement.SILENT, f"it did not start within {self._start_timeout:g} s")
        elif child.ready_at is not None and now - child.heard > self._silence:
            self._kill(place, child, Replacement.SILENT, f"no sign of life for {self._silence:g} s")

    def _hear(self, place: Place, child: Child, message: FromChild) -> None:
        child.heard = time.monotonic()
        match message:
            case Started():
                self._welcome(place, child, message.worker)
            case Alive():
                child.running, child.done = message.running, message.done
                child.blocked, child.overdue, child.reasons = message.blocked, message.overdue, message.reasons
                if child is place.child:
                    self._judge(place, child)
            case Inherited():
                self._hand_over.settled(message.worker, child)
            case Leaving():
                if not child.leaving:
                    self._tell_replaced(place, child, Replacement.STOPPED, "")
                    child.leave(self.patience)
            case Measured():
                if self._meter is not None:
                    self._meter.learn(child, message.page)

    def _welcome(self, place: Place, child: Child, worker: str) -> None:
        """A child takes tasks: whom it replaces may go."""
        child.worker, child.ready_at = worker, time.monotonic()
        self.is_up = True
        after = child.ready_at - child.started
        self._bus.emit(ChildReady(pid=child.pid, place=place.number, worker=worker, after=after))
        if child is place.successor and not self.stopping:
            before = place.succeed()
            if before is not None:
                before.stop(patience=self.patience)

    def _judge(self, place: Place, child: Child) -> None:
        """Replace a child that should not go on."""
        if child.killed_for or self.stopping:
            return
        if child.overdue and child.blocked is not None:
            self._kill(place, child, Replacement.OVERDUE, f"{child.overdue}\n{child.blocked.stack}".rstrip())
        elif place.retiring is None and child.is_ready:
            found = self._retirement.due(child)
            if found is not None:
                self.retire(place, *found)

    def retire(self, place: Place, reason: Replacement, detail: str = "") -> None:
        """Let the child of a place go once its successor takes tasks."""
        if place.child is not None:
            place.retiring = reason
            self._tell_replaced(place, place.child, reason, detail)

    def _kill(self, place: Place, child: Child, reason: Replacement, detail: str) -> None:
        if not self.stopping:
            self._tell_replaced(place, child, reason, detail)
        child.kill(detail.partition("\n")[0])

    def _tell_replaced(self, place: Place, child: Child, reason: Replacement, detail: str) -> None:
        self._bus.emit(ChildReplaced(pid=child.pid, place=place.number, reason=reason, detail=detail))

    # ends

    def _bury(self, place: Place, child: Child, death: Death) -> None:
        """Take note of the end of a child, and see to its runs and its place."""
        worker, runs = child.left_behind()
        orderly = self._is_orderly(child, death)
        how = f"{death.text} ({child.killed_for})" if child.killed_for else death.text
        self._bus.emit(
            ChildEnded(
                pid=child.pid,
                place=place.number,
                worker=worker,
                how=how,
                uptime=time.monotonic() - child.started,
                peak_memory=death.peak_memory,
                in_flight=len(runs),
                orderly=orderly,
            )
        )
        if worker and (runs or not orderly):
            self._hand_over.add(worker, _told(how, death), runs)
        if self._meter is not None:
            self._meter.forget(child)
        self._retirement.forget(child)
        child.close()
        if child is place.successor:
            place.stillborn = death.text
        is_missing = place.leave(child)
        if self.stopping:
            self.status = self.status or (0 if orderly else FAILED)
        elif is_missing:
            self._refill(place, child, death, orderly=orderly)

    def _is_orderly(self, child: Child, death: Death) -> bool:
        """Say whether a child ended as it should; one that had not begun may end by the TERM that it got."""
        if child.leaving and child.ready_at is None and death.status == -signal.SIGTERM:
            return True
        return death.status == 0 and (child.leaving or self._burst)

    def _refill(self, place: Place, child: Child, death: Death, *, orderly: bool) -> None:
        """Decide when the place of a child that ended gets the next one, if it does."""
        if not self.is_up and child.ready_at is None and not (orderly and self._burst):
            self.status, self.stopping = max(death.status, 0) or FAILED, True
        elif self._burst and orderly:
            self.is_up = place.is_done = True
        else:
            if not child.killed_for and not child.leaving:
                self._tell_replaced(place, child, Replacement.CRASH, death.text)
            wait = 0.0 if death.status == 0 else place.backoff.wait_after(child.healthy)
            place.not_before = time.monotonic() + wait
            if wait:
                self._bus.emit(RestartDelayed(place=place.number, after=wait))


def _told(how: str, death: Death) -> str:
    """Say how a child died, for the records of its tasks."""
    peak = f"; it held up to {death.peak_memory / _MEBIBYTE:.0f} MiB of memory" if death.peak_memory else ""
    return f"the worker's process {how}{peak}"
