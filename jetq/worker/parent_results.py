"""
parent_results: the results of a task's parents that are too large to stand in its own record.

They are read from the parents' records when the task runs, and no part of its record then. A parent is kept for a week
after its end, but somebody may have deleted it, or started it again.
"""

from typing import Final

from jetq.errors import ServerError
from jetq.execution.failure import shorten
from jetq.jetstream.gathering import together
from jetq.jetstream.task_store import TaskStore
from jetq.model.dependency import ParentEnd, end_of
from jetq.model.outcome import Failed, Outcome, Terminated
from jetq.model.record import ErrorInfo, TaskRecord
from jetq.wire.dependencies import references, with_results

_LONGEST_REASON: Final = 500


class ParentResults:
    """
    Reads results of parents.

    Args:
        tasks: The records.
    """

    def __init__(self, tasks: TaskStore) -> None:
        self._tasks = tasks

    async def loaded(self, record: TaskRecord) -> TaskRecord | Outcome:
        """
        Return a record as its handler is to see it, with the results of all parents.

        An outcome says that a result is not to be had: not any more, so that the task ends, or not now, so that it is
        tried again.
        """
        wanted = references(record)
        if not wanted:
            return record
        try:
            found = await together([self._read(parent) for parent in wanted])
        except ServerError as error:
            return Failed(ErrorInfo(type(error).__name__, shorten(str(error), _LONGEST_REASON)))
        ends: list[ParentEnd] = []
        for parent, end in zip(wanted, found, strict=True):
            if end is None:
                return Terminated(f"the result of task {parent}, which it depends on, is gone")
            if end.result is None:
                reason = f"task {parent}, which it depends on, was complete and is {end.state} now"
                return Failed(ErrorInfo("ResultGoneError", reason))
            ends.append(end)
        return with_results(record, ends)

    async def _read(self, parent: str) -> ParentEnd | None:
        stored = await self._tasks.read_sound(parent)
        return None if stored is None else end_of(stored.record)
