"""
lease_table: the runs of this process whose leases must be kept.

A run is in the table from before its claim is sent until its closing write is resolved, so that whoever asks for it
meanwhile hears yes. The worker's loop writes the table and the lease thread reads it; single dictionary operations are
atomic, and the reader takes copies.
"""

from dataclasses import dataclass, field

from jetq.model.record import CancelRequest, Run


@dataclass(slots=True)
class LeaseEntry:
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
    """

    task_id: str
    run: Run
    queue: str
    lease: float
    item: int
    reply: str
    started: float
    ends: float = float("inf")
    checked: float = field(default=0.0)
    claimed: bool = False
    lost: bool = False
    cancel: CancelRequest | None = None


class LeaseTable:
    """The runs of this process by their nonce."""

    def __init__(self) -> None:
        self._entries: dict[str, LeaseEntry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: LeaseEntry) -> None:
        """Keep the lease of a run."""
        self._entries[entry.run.nonce] = entry

    def remove(self, entry: LeaseEntry) -> None:
        """Keep it no longer."""
        self._entries.pop(entry.run.nonce, None)

    def find(self, run: Run) -> LeaseEntry | None:
        """Return the entry of a run, if it is here."""
        entry = self._entries.get(run.nonce)
        return entry if entry is not None and entry.run.attempt == run.attempt else None

    def entries(self) -> list[LeaseEntry]:
        """Return a copy, safe to walk in another thread."""
        return list(self._entries.values())
