"""
retention: how long the records of ended tasks are kept where neither the task nor its handler says.

The application's settings win, then counts what whoever looks after the store told it (``jetq tasks configure``), then
the defaults. The store's word may change at any time, so a worker reads it anew now and then; between two readings
nothing is asked.
"""

from typing import Final

from jetq.jetstream.bound_queue import BoundStore
from jetq.jetstream.topology import Topology
from jetq.model.state import State
from jetq.settings import DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT, Duration, StoreSettings, seconds

REREAD_EVERY: Final = 30.0
"""Seconds between two readings, so that a change counts everywhere within a minute."""


class Retention:
    """
    The retention of a namespace, as this process knows it.

    Args:
        settings: Of the application.
        topology: Reads the store.

    Attributes:
        complete_kept: Seconds that the record of a complete task is kept.
        ended_kept: Seconds that the record of any other ended task is kept.
    """

    def __init__(self, settings: StoreSettings, topology: Topology) -> None:
        self._settings = settings
        self._topology = topology
        self.complete_kept = _first(settings.complete_kept, None, DEFAULT_COMPLETE_KEPT)
        self.ended_kept = _first(settings.ended_kept, None, DEFAULT_ENDED_KEPT)

    async def reread(self) -> None:
        """
        Read what the store says now.

        Raises:
            TopologyError: There is no store.
            ServerError: No answer, or a refusal.
        """
        self.observe(await self._topology.reread_store())

    def observe(self, store: BoundStore) -> None:
        """Take what a store says that was read for another reason."""
        self.complete_kept = _first(self._settings.complete_kept, store.complete_kept, DEFAULT_COMPLETE_KEPT)
        self.ended_kept = _first(self._settings.ended_kept, store.ended_kept, DEFAULT_ENDED_KEPT)

    def kept(self, state: State) -> float:
        """Return the seconds that a record in a final state is kept."""
        return self.complete_kept if state is State.COMPLETE else self.ended_kept


def _first(said: Duration | None, stored: float | None, default: float) -> float:
    if said is not None:
        return seconds("retention", said)
    return default if stored is None else stored
