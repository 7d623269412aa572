"""
retention: how long the records of ended tasks are kept.

The task's own word wins, then its handler's where a worker ends it, then the application's settings; then counts what
whoever looks after the store told it (``jetq tasks configure``), then the defaults. The store's word may change at any
time, so a worker reads it anew now and then; between two readings nothing is asked.

A record that is not to be kept at all is written like any other first, so that what follows from it can be repeated
after a crash; it is discarded when that is done, and gone a moment later (:data:`DISCARD_AFTER`).
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from jetq.errors import DelayTooLongError
from jetq.jetstream.bound_queue import BoundStore
from jetq.jetstream.topology import Topology
from jetq.model.dependency import DEPENDED_KEPT
from jetq.model.quantity import Duration, seconds
from jetq.model.record import ABSENT, TaskRecord
from jetq.model.retention import Retention
from jetq.model.state import State
from jetq.model.verdict import Verdict
from jetq.settings import DEFAULT_COMPLETE_KEPT, DEFAULT_ENDED_KEPT, RESULT_POLL, StoreSettings
from jetq.wire.retention import decode_retention

REREAD_EVERY: Final = 30.0
"""Seconds between two readings, so that a change counts everywhere within a minute."""
DISCARD_AFTER: Final = RESULT_POLL + 1.0
"""Seconds until a discarded record is gone, so that whoever waits for the task reads it, also without its event."""
OCCURRENCE_KEPT: Final = 3600.0
"""Seconds that the record of an occurrence is kept at least; far more than two leaders can differ by."""
_SPARE: Final = 0.1
"""The part of a store's max_age that is left for a task whose wait is over: to come to its turn, and be claimed."""


class StoreRetention:
    """
    The retention of a namespace, as this process knows it.

    Args:
        settings: Of the application.
        topology: Reads the store.
        own: What the application says by end.

    Attributes:
        own: What the application says by end; None if it says nothing.
        complete_kept: Seconds that the record of a complete task is kept.
        ended_kept: Seconds that the record of any other ended task is kept.
        max_age: Seconds after which the store drops any record, whatever its state, as Go's may; 0 keeps all.
    """

    def __init__(self, settings: StoreSettings, topology: Topology, own: Retention | None = None) -> None:
        self._settings = settings
        self.own = own
        self._topology = topology
        self.max_age = 0.0
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
        self.max_age = store.max_age

    def refuse_late(self, record: TaskRecord, now: datetime) -> None:
        """
        Refuse a task whose record would be gone when it is due.

        Raises:
            DelayTooLongError: It would.
        """
        if self.max_age and record.due is not None:
            delay = (record.due - now).total_seconds()
            if delay >= self.max_age:
                raise DelayTooLongError(record.type, delay, self.max_age)

    def kept_until_due(self, verdict: Verdict, now: datetime) -> Verdict:
        """Return a verdict whose wait is over while the record is there, and say in it if it is shorter for that."""
        if not self.max_age or verdict.due is None:
            return verdict
        wait, most = (verdict.due - now).total_seconds(), self.max_age * (1 - _SPARE)
        if wait <= most:
            return verdict
        note = (
            f"(the next run comes in {most:,.0f} s in place of {wait:,.0f} s, since the task store drops every record"
            f" after {self.max_age:,.0f} s)"
        )
        last_err = f"{verdict.last_err} {note}".lstrip()
        return replace(verdict, due=now + timedelta(seconds=most), last_err=last_err)

    def of(self, record: TaskRecord, handler: Retention | None = None) -> float:
        """
        Return the seconds that a final record is to be kept by all who have a say; 0 discards it.

        One on which others depend is kept for a week at least, since they may read its result; an occurrence of a
        schedule for an hour, since its record is what keeps another leader from making it again.
        """
        said = self._said(record, handler)
        if record.schedule:
            said = max(said, OCCURRENCE_KEPT)
        return max(said, DEPENDED_KEPT) if record.dependents else said

    def _said(self, record: TaskRecord, handler: Retention | None) -> float:
        options = record.options
        task = None if options is None or options.retention is ABSENT else decode_retention(options.retention)
        if task is None and handler is None and self.own is None:
            return self.kept(record.state)
        end = record.display_state
        said = (each.of(end) for each in (task, handler, self.own) if each is not None)
        return next((kept for kept in said if kept is not None), self.kept(record.state))

    def ttl(self, record: TaskRecord, handler: Retention | None = None) -> float:
        """Return the seconds after which the server may remove a final record, also one that is to be discarded."""
        return self.of(record, handler) or self.kept(record.state)

    def kept(self, state: State) -> float:
        """Return the seconds that a record in a final state is kept where nobody else says."""
        return self.complete_kept if state is State.COMPLETE else self.ended_kept


def _first(said: Duration | None, stored: float | None, default: float) -> float:
    if said is not None:
        return seconds("retention", said)
    return default if stored is None else stored
