"""
supervisor: keeps a number of child processes alive, and ends when they do.

One loop in the main thread: it waits for signals, messages and time, and nothing in it blocks. What it does about each
child stands in `supervisor.warden`.

The first child is started alone: if it does not come to take tasks, its configuration is wrong or there is no server,
and the supervisor ends with its status, after one complaint and not N. Later every child is started again, whatever the
reason of its end. If the supervisor is killed, the children see their pipes end, and stop in order by themselves.
"""

import selectors
import signal
import time
from collections.abc import Callable
from typing import Final

from jetq.model.quantity import seconds
from jetq.model.supervision import ChildStarted, Replacement
from jetq.observe.bus import Bus
from jetq.observe.logs import Log
from jetq.settings import SupervisorSettings
from jetq.supervisor.backoff import Backoff
from jetq.supervisor.child import Child
from jetq.supervisor.hand_over import HandOver
from jetq.supervisor.meter import Meter
from jetq.supervisor.notifying import Notifier
from jetq.supervisor.orphans import reap_orphans
from jetq.supervisor.place import Place
from jetq.supervisor.rolling_restart import RollingRestart
from jetq.supervisor.signals import Signals
from jetq.supervisor.warden import FAILED, FAREWELL, Warden

_TICK: Final = 0.25
"""Seconds between two looks at the children, when none of them says anything."""
_LATE: Final = 1.0
"""Seconds; a supervisor that did not run for so long itself cannot say that its children were silent."""
_NO_ROOM: Final = 1.0
"""Seconds until a child is started that the system had no room for."""
_KILL: Final = 3
"""The signal after which nobody is waited for."""
_WORDS: Final = {1: "stop", 2: "stop at once"}


class Supervisor:
    """
    Keeps children alive. :meth:`run` it in the main thread.

    Args:
        start: Starts a child, given the number of its place.
        settings: How many, and when they are replaced.
        patience: Seconds that a child may take for the tasks that run when it stops.
        burst: A child that ends in order is not replaced.
        bus: For the events of children.
        meter: For their metrics; None asks for none.
        notifier: Tells systemd; None tells nobody.

    Attributes:
        turned: Monotonic time of the last look at the children.
    """

    def __init__(
        self,
        start: Callable[[int], Child],
        settings: SupervisorSettings,
        *,
        patience: float,
        burst: bool = False,
        bus: Bus,
        meter: Meter | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self._start = start
        self._bus = bus
        self._log = Log("jetq.supervisor")
        self._meter = meter
        self._notifier = notifier or Notifier({})
        self._hand_over = HandOver(bus)
        self._warden = Warden(settings, patience=patience, burst=burst, bus=bus, hand_over=self._hand_over, meter=meter)
        waits = (settings.backoff_first, settings.backoff_most, settings.healthy_after)
        first, most, healthy = (seconds("backoff", wait) for wait in waits)
        self._places = [Place(number + 1, Backoff(first, most, healthy)) for number in range(settings.processes)]
        self._restart = RollingRestart(self._retire, bus, self._notifier)
        self._signals = Signals()
        self._wants_restart = False
        self._told_ready = False
        self._stops = 0
        self.turned = time.monotonic()

    def run(self) -> int:
        """Keep children alive until TERM or INT, or in burst mode until they end; return the exit status."""
        with self._signals:
            if self._meter is not None:
                self._meter.attach(self._signals.wake)
            try:
                while not self._is_over:
                    self._turn()
            except BaseException:
                for child in self.children:
                    child.kill("the supervisor failed")
                raise
        self._hand_over.give_up()
        return self._warden.status

    def restart(self) -> None:
        """Begin a rolling restart; from any thread."""
        self._wants_restart = True
        self._signals.wake()

    @property
    def children(self) -> list[Child]:
        """All of its processes."""
        return [child for place in self._places for child in place.children]

    @property
    def _is_over(self) -> bool:
        done = self._warden.stopping or all(place.is_done for place in self._places)
        return done and not self.children

    def _turn(self) -> None:
        self._fill()
        self._wait()
        now = time.monotonic()
        if now - self.turned > _LATE:
            for child in self.children:
                child.heard = now
        self.turned = now
        for number in self._signals.received():
            self._obey(number)
        reap_orphans(self.children)
        for place in self._places:
            for child in place.children:
                self._warden.look_after(place, child, now)
        self._follow()

    def _follow(self) -> None:
        """Do what follows from what the children said."""
        if self._warden.is_up and not self._told_ready:
            self._told_ready = True
            self._notifier.ready()
        if self._wants_restart and not self._warden.stopping:
            self._wants_restart = False
            self._log.info("rolling restart")
            self._restart.begin(self._places)
        if not self._warden.stopping:
            self._restart.carry_on()
        self._hand_over.carry_on(self.children)
        if self._meter is not None:
            self._meter.carry_on(self.children)
        self._notifier.beat()

    def _wait(self) -> None:
        """Wait for a signal, a message, or the next look."""
        watchdog = self._notifier.watchdog
        with selectors.DefaultSelector() as selector:
            selector.register(self._signals, selectors.EVENT_READ)
            for child in self.children:
                if child.pipe.is_open:
                    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.pipe.has_unsent else 0)
                    selector.register(child.pipe, wanted)
            selector.select(_TICK if watchdog is None else min(_TICK, watchdog))

    def _fill(self) -> None:
        """Start whom a place wants; the first child alone."""
        now = time.monotonic()
        for place in self._places if self._warden.is_up else self._places[:1]:
            if not self._warden.stopping and place.wants_start(now):
                self._start_in(place, now)

    def _start_in(self, place: Place, now: float) -> None:
        """Start a child; a system without room for one has it perhaps later, and what runs goes on."""
        try:
            child = self._start(place.number)
        except OSError as error:
            if not self._warden.is_up:
                raise
            place.not_before = now + _NO_ROOM
            self._log.warning("no child can be started; tried again", place=place.number, error=str(error))
        else:
            place.take(child)
            self._bus.emit(ChildStarted(pid=child.pid, place=place.number))

    def _retire(self, place: Place) -> None:
        self._warden.retire(place, Replacement.RELOAD)

    def _obey(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            self._wants_restart = True
        elif number in {signal.SIGTERM, signal.SIGINT}:
            self._stops += 1
            self._log.info(_WORDS.get(self._stops, "kill"), signal=number.name)
            if self._stops == 1:
                self._notifier.stopping()
            self._warden.stopping = True
            self._stop_children()

    def _stop_children(self) -> None:
        """Stop in order at the first signal, at once at the second, and where they stand at the third."""
        for child in self.children:
            if self._stops >= _KILL:
                self._warden.status = FAILED
                child.kill("a third signal")
            else:
                now = self._stops > 1
                child.stop(patience=FAREWELL if now else self._warden.patience, now=now)
