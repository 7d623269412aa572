"""
lease_table: the runs of this process whose leases must be kept.

A run is in the table from before its claim is sent until its closing write is resolved, so that whoever asks for it
meanwhile hears yes. The worker's loop writes the table and the lease thread reads it; single dictionary operations are
atomic, and the reader takes copies.

Where there is a supervisor, each run is noted in memory that outlives the process as well (`wire.in_flight`), and stays
there until its item is settled too.
"""

import time

from msgspec import Struct

from jetq.model.record import CancelRequest, Run
from jetq.model.running import RunningTask
from jetq.wire.in_flight import RunsInFlight


class LeaseEntry(Struct, gc=False):
    """
    One run.

    Attributes:
        task_id: The task.
        run: The run.
        queue: The queue's name.
        lease: Seconds of the queue's lease.
        item: Sequence of the item that is held.
        reply: Where that item is acknowledged; changes when a redelivered item is adopted.
        started: Monotonic time of the claim.
        ends: Monotonic time after which the lease is not kept any more: the run's limit and grace.
        checked: Monotonic time of the last reading of the record.
        claimed: The claim is known to stand.
        lost: Another worker seems to have the task; the closing write finds out.
        cancel: Somebody wants the run to stop.
        note: Its place in the memory that outlives the process; 0 for none.
        task_type: Of the task.
    """

    task_id: str
    run: Run
    queue: str
    lease: float
    item: int
    reply: str
    started: float
    ends: float = float("inf")
    checked: float = 0.0
    claimed: bool = False
    lost: bool = False
    cancel: CancelRequest | None = None
    note: int = 0
    task_type: str = ""


class LeaseTable:
    """
    The runs of this process by their nonce.

    Args:
        notes: Memory that outlives the process; None notes nothing.
    """

    def __init__(self, notes: RunsInFlight | None = None) -> None:
        self._entries: dict[str, LeaseEntry] = {}
        self._notes = notes

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: LeaseEntry) -> None:
        """Keep the lease of a run."""
        self._entries[entry.run.nonce] = entry
        if self._notes is not None:
            run = entry.run
            entry.note = self._notes.add(
                entry.task_id, run.attempt, run.nonce, queue=entry.queue, item=entry.item, reply=entry.reply
            )

    def end(self, entry: LeaseEntry) -> None:
        """Keep it no longer: its closing write is resolved. The note of it stays until :meth:`remove`."""
        self._entries.pop(entry.run.nonce, None)

    def remove(self, entry: LeaseEntry) -> None:
        """Keep it no longer, and forget it."""
        self._entries.pop(entry.run.nonce, None)
        if entry.note and self._notes is not None:
            note, entry.note = entry.note, 0
            self._notes.remove(note)

    def adopt(self, entry: LeaseEntry, item: int, reply: str) -> None:
        """Let a run go on with another item, which took the place of the one that it held."""
        entry.item, entry.reply = item, reply
        if entry.note and self._notes is not None:
            self._notes.adopt(entry.note, item, reply)

    def find(self, run: Run) -> LeaseEntry | None:
        """Return the entry of a run, if it is here."""
        entry = self._entries.get(run.nonce)
        return entry if entry is not None and entry.run.attempt == run.attempt else None

    def running(self) -> list[RunningTask]:
        """Return the tasks that run, those that began first at the beginning; from any thread."""
        now = time.monotonic()
        return [
            RunningTask(entry.task_id, entry.task_type, entry.queue, entry.run.attempt, round(now - entry.started, 3))
            for entry in sorted(self.entries(), key=lambda entry: entry.started)
        ]

    def entries(self) -> list[LeaseEntry]:
        """Return a copy, safe to walk in another thread."""
        return list(self._entries.values())
