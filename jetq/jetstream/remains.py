"""
remains: what a task left behind in a queue or among the schedules, to be taken away; and nothing newer.

Whoever ends a task, or lets it wait no longer, removes the item or the schedule that its older record put there.
Meanwhile somebody else may have made the task runnable again, or let it wait, and what he published must stay. So a
message is read first, and removed only up to its own sequence, and only if it was published for an older record
(:meth:`jetq.jetstream.queue_store.QueueStore.remove_item` and ``remove_schedule``).

A message of Go does not say which record it was published for. If the record still stands as it was written here after
the message was read, the message is older than it: whoever makes a task runnable writes the record first.
"""

from msgspec import Struct

from jetq.jetstream.task_store import Stored


class Remains(Struct, frozen=True):
    """
    Messages of a task that its record does not ask for any more.

    Attributes:
        task_id: The task.
        queue: Where they are.
        before: They were published for records below this sequence.
        last: Sequence of the record that says so; 0 if it was removed.
    """

    task_id: str
    queue: str
    before: int
    last: int

    @classmethod
    def of(cls, stored: Stored, queue: str = "") -> "Remains":
        """Return what a record that was just written leaves behind, in its own queue or in an earlier one."""
        return cls(stored.record.id, queue or stored.record.queue, stored.sequence, stored.sequence)
