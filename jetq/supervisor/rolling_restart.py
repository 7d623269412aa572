"""
rolling_restart: one place after the other gets a new child, and no moment is without a worker.

A child stays until its successor takes tasks, and the next place waits until it has ended, so that there is never more
than one process beyond the usual number. A successor that does not start ends the restart: the old children stay, and
so does what works.
"""

from collections import deque
from collections.abc import Callable, Iterable

from jetq.model.supervision import ReloadEnded
from jetq.observe.bus import Bus
from jetq.supervisor.child import Child
from jetq.supervisor.notifying import Notifier
from jetq.supervisor.place import Place


class RollingRestart:
    """
    A restart, when there is one.

    Args:
        retire: Lets the child of a place be replaced.
        bus: Told of the end.
        notifier: Tells systemd of beginning and end.
    """

    def __init__(self, retire: Callable[[Place], None], bus: Bus, notifier: Notifier) -> None:
        self._retire = retire
        self._bus = bus
        self._notifier = notifier
        self._waiting: deque[Place] = deque()
        self._current: tuple[Place, Child] | None = None
        self._is_on = False

    def begin(self, places: Iterable[Place]) -> None:
        """Begin, or begin anew with those that were done already."""
        self._waiting = deque(places)
        for place in self._waiting:
            place.stillborn, place.not_before = "", 0.0  # what made its children fail may be mended
        self._notifier.reloading()
        self._is_on = True

    def carry_on(self) -> None:
        """Go on to the next place when the one before is done."""
        if self._current is not None:
            place, before = self._current
            if place.stillborn:
                place.retiring = None
                self._give_up(place)
            elif before.death is not None:
                self._current = None
        while self._is_on and self._current is None:
            if not self._waiting:
                self._end()
            elif self._waiting[0].retiring is not None:
                # who replaces its child may have been started before this restart
                if self._waiting[0].stillborn:
                    self._give_up(self._waiting[0])
                return
            else:
                self._begin_with(self._waiting.popleft())

    def _begin_with(self, place: Place) -> None:
        child = place.child
        if child is not None:
            self._current = place, child
            self._retire(place)

    def _give_up(self, place: Place) -> None:
        self._end(f"the new child {place.stillborn}; the old ones go on")

    def _end(self, error: str = "") -> None:
        self._current = None
        self._waiting.clear()
        self._is_on = False
        self._notifier.ready()
        self._bus.emit(ReloadEnded(error=error))
