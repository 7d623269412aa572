"""
meter: the metrics of all children on one page.

Whoever reads the page asks in a thread of its own; the supervisor's loop asks the children, and the reader waits a
moment for their answers. One that does not answer counts with what it said last. All are asked now and then without a
reader as well, so that little is lost with one that is killed.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from jetq.observe.summing import Sum
from jetq.supervisor.child import Child
from jetq.wire.liveness import Measure

_PATIENCE: Final = 1.0
"""Seconds that a reader waits for the children."""
_EVERY: Final = 10.0
"""Seconds; what a killed child counted since then is lost."""


class Meter:
    """
    Asks children for their metrics.

    Args:
        total: Where the answers go.
    """

    def __init__(self, total: Sum) -> None:
        self._total = total
        self._wake: Callable[[], None] | None = None
        self._wanted = threading.Event()
        self._answered = threading.Event()
        self._missing: set[int] = set()
        self._asked_at = float("-inf")
        total.refresh = self.refresh

    def attach(self, wake: Callable[[], None]) -> None:
        """Let *wake* call the supervisor's loop."""
        self._wake = wake

    def refresh(self) -> None:
        """Wait for fresh answers, from the reader's thread."""
        if self._wake is not None:
            self._answered.clear()
            self._wanted.set()
            self._wake()
            self._answered.wait(_PATIENCE)

    def carry_on(self, children: Iterable[Child]) -> None:
        """Ask the children, if somebody waits or it is time."""
        now = time.monotonic()
        if not self._wanted.is_set() and now - self._asked_at < _EVERY:
            return
        self._wanted.clear()
        self._asked_at = now
        asked = [child for child in children if child.ready_at is not None and child.death is None]
        self._missing = {child.pid for child in asked}
        for child in asked:
            child.pipe.send(Measure())
        self._look()

    def learn(self, child: Child, page: bytes) -> None:
        """Take an answer."""
        self._total.learn(child.pid, page)
        self._missing.discard(child.pid)
        self._look()

    def forget(self, child: Child) -> None:
        """Keep what a child that is gone counted."""
        self._total.forget(child.pid)
        self._missing.discard(child.pid)
        self._look()

    def _look(self) -> None:
        if not self._missing and not self._wanted.is_set():
            self._answered.set()
