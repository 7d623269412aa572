"""
turns: a task that may begin only when another one with its key has ended (mode ``latest`` of unique tasks).

Such a record names the other one (``after``) and waits with a schedule, as if it was delayed. Whoever gets its item
looks at the other's record before the claim, since the item may have come for two reasons: the other one's end woke it,
or half a minute is over and nothing was heard. Looking decides, so it makes no difference who wakes whom how often:

- ended, or gone: its turn has come;
- active: it waits on (record → schedule → ack; a crash in between leaves an item of a waiting record, which is
  scheduled again);
- waiting for another try: what is newer wins, so the other one ends (``superseded``), by compare-and-swap. If its claim
  was faster it is active, and is read again.
"""

from datetime import timedelta
from typing import Final

from jetq.errors import SequenceConflictError
from jetq.jetstream.task_store import Stored
from jetq.model.name import is_name
from jetq.model.state import End, State
from jetq.model.transition import ended, waiting
from jetq.model.unique import LATEST_POLL
from jetq.worker.desk import Desk

_TRIES: Final = 20


class Turns:
    """
    Tells whether a task's turn has come.

    Args:
        desk: The shared ground.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks = desk.backend.tasks

    async def has_come(self, stored: Stored) -> bool:
        """
        Say whether the task before this one has ended; end it if it waits for another try.

        Raises:
            ServerError: No answer, or a refusal.
        """
        after = stored.record.after
        if not is_name(after):
            return True
        for _ in range(_TRIES):
            other = await self._tasks.read_sound(after)
            if other is None or other.record.is_final:
                return True
            if other.record.state is State.ACTIVE:
                return False
            if await self._supersede(other, stored.record.id):
                return True
        return False

    async def _supersede(self, other: Stored, newer: str) -> bool:
        """End the task before; what is left of it in its queue, or scheduled, is found to have ended."""
        document = other.document.updated(ended(other.record, End.SUPERSEDED, f"task {newer} is newer"))
        try:
            written = await self._tasks.write(document, other.sequence, ttl=self._desk.ttl(document.record))
        except SequenceConflictError:
            return False
        self._desk.tell(written.record, sequence=written.sequence)
        return True

    async def wait_on(self, stored: Stored) -> bool:
        """
        Let the task wait until it is woken, or half a minute; False if somebody else wrote its record.

        Raises:
            ServerError: No answer, or a refusal.
        """
        due = self._desk.now() + timedelta(seconds=LATEST_POLL)
        try:
            written = await self._tasks.write(stored.document.updated(waiting(stored.record, due)), stored.sequence)
        except SequenceConflictError:
            return False
        await self._desk.backend.queues.schedule(written)
        return True
