"""
hand_over: what dead children had in flight goes to a living one, until one says that it took care.

Taking care of a run twice does no harm (`worker.inheritance`), so who does not answer is passed over: after a while, or
when it dies as well, the next one gets the same. With nobody there, it waits for the next child.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from jetq.model.supervision import RunsHandedOver
from jetq.observe.bus import Bus
from jetq.supervisor.child import Child
from jetq.wire.in_flight import RunInFlight
from jetq.wire.liveness import Inherit

_PATIENCE: Final = 5.0
"""Seconds until another child is asked."""
_SILENCE: Final = 2.5
"""Seconds; every child gives a sign of life each second."""


@dataclass
class _Estate:
    """What one dead child left behind."""

    worker: str
    death: str
    runs: list[RunInFlight]
    heir: Child | None = None
    given_at: float = 0.0
    passed_over: set[int] = field(default_factory=set[int])


class HandOver:
    """
    Finds heirs.

    Args:
        bus: Told of what was handed over.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._estates: dict[str, _Estate] = {}

    def add(self, worker: str, death: str, runs: list[RunInFlight]) -> None:
        """Take in what a dead child had in flight; even without runs, its presence is to be removed."""
        self._estates[worker] = _Estate(worker, death, runs)

    def carry_on(self, children: Iterable[Child]) -> None:
        """Give what nobody has to one of the children."""
        now = time.monotonic()
        living = [child for child in children if child.ready_at is not None and child.death is None]
        for estate in self._estates.values():
            if estate.heir is not None and estate.heir.death is None and now - estate.given_at < _PATIENCE:
                continue
            heir = _best(living, estate.passed_over)
            if heir is not None:
                estate.heir, estate.given_at = heir, now
                estate.passed_over.add(heir.pid)
                heir.pipe.send(Inherit(estate.worker, estate.death, estate.runs))

    def settled(self, worker: str, heir: Child) -> None:
        """Take note that *heir* took care of what *worker* left."""
        estate = self._estates.pop(worker, None)
        if estate is not None:
            self._bus.emit(RunsHandedOver(dead_worker=worker, runs=len(estate.runs), heir=heir.worker))

    def give_up(self) -> None:
        """Leave the rest to the leases, since there is nobody any more."""
        for estate in self._estates.values():
            if estate.runs:
                self._bus.emit(RunsHandedOver(dead_worker=estate.worker, runs=len(estate.runs)))
        self._estates.clear()


def _best(living: list[Child], passed_over: set[int]) -> Child | None:
    """Prefer one that was not asked, that was heard of just now, whose loop is free, and that stays."""
    lately = time.monotonic() - _SILENCE

    def faults(child: Child) -> tuple[bool, ...]:
        return child.pid in passed_over, child.heard < lately, child.blocked is not None, child.leaving

    return min(living, key=faults, default=None)
