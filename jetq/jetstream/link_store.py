"""
link_store: which tasks are blocked, and the edges of tasks on which very many depend.

A marker says that a task is blocked, or was a moment ago: it is written before the blocked record, and removed when the
task has what follows from its release or its end. So whoever looks after blocked tasks need not read the store, and the
janitor leaves a runnable record alone that is about to get its item. An edge says that a task depends on another one
whose record is full of such ids.
"""

from collections.abc import Sequence
from typing import Final

from jetq.errors import RequestRefusedError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import STREAM_NOT_FOUND
from jetq.jetstream.publisher import Publication, Publisher
from jetq.jetstream.stream_message import StreamMessage, last_message, purge_subject
from jetq.jetstream.subject_list import list_subjects
from jetq.wire.names import Names

_BODY: Final = b"{}"


class LinkStore:
    """
    Writes, reads and removes markers and edges.

    Args:
        connection: For reading and removing.
        publisher: For writing.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, publisher: Publisher, names: Names) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names

    async def mark(self, task_id: str, *, timeout: float | None = None) -> None:
        """
        Say that a task is about to be blocked.

        Raises:
            ServerTimeoutError: No answer; the marker may be there.
        """
        await self._publisher.publish(Publication(self._names.marker(task_id), _BODY), timeout=timeout)

    async def marker(self, task_id: str) -> StreamMessage | None:
        """Read the marker of a task."""
        try:
            return await last_message(self._connection, self._names.links, self._names.marker(task_id))
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return None
            raise

    async def unmark(self, task_id: str, *, through: int | None = None) -> None:
        """
        Remove the marker of a task.

        Args:
            task_id: The task.
            through: Sequence up to which it may be removed, where the task may be blocked again meanwhile.
        """
        await self._purge(self._names.marker(task_id), through=through)

    async def marked(self) -> list[str]:
        """Return the ids of all tasks with a marker."""
        found: list[str] = []
        skip = len(self._names.marker(""))
        await list_subjects(
            self._connection, self._names.links, self._names.markers_subject, lambda name: found.append(name[skip:])
        )
        return found

    async def add_edges(self, parent: str, children: Sequence[str]) -> None:
        """
        Say that tasks depend on another one.

        Raises:
            ServerTimeoutError: No answer; the edges may be there.
        """
        edges = [Publication(self._names.edge(parent, child), _BODY) for child in children]
        for answer in await self._publisher.publish_many(edges):
            if not isinstance(answer, int):
                raise answer

    async def children(self, parent: str) -> list[str]:
        """Return the ids of the tasks to which edges lead from a task."""
        found: list[str] = []
        skip = len(self._names.edge(parent, ""))
        await list_subjects(
            self._connection, self._names.links, self._names.edge(parent, "*"), lambda name: found.append(name[skip:])
        )
        return found

    async def parents_with_edges(self) -> list[str]:
        """Return the ids of the tasks from which edges lead."""
        found: dict[str, None] = {}
        await list_subjects(
            self._connection,
            self._names.links,
            self._names.edge("*", "*"),
            lambda name: found.setdefault(name.split(".")[-2]),
        )
        return list(found)

    async def remove_edges(self, *, parent: str = "*", child: str = "*") -> None:
        """Remove the edges from a task, or those to one."""
        await self._purge(self._names.edge(parent, child))

    async def _purge(self, subject: str, *, through: int | None = None) -> None:
        try:
            await purge_subject(self._connection, self._names.links, subject, through=through)
        except RequestRefusedError as refused:
            if refused.code != STREAM_NOT_FOUND:
                raise
