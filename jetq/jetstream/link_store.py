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
from jetq.jetstream.gathering import together
from jetq.jetstream.publisher import Publication, Publisher
from jetq.jetstream.stream_message import StreamMessage, last_message, purge_subject
from jetq.jetstream.subject_list import list_subjects
from jetq.wire.flows import encode_marker
from jetq.wire.names import Names

_BODY: Final = b"{}"
_AT_ONCE: Final = 200
"""Removals under way at one time."""


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

    def flow_marker(self, task_id: str, flow_id: str) -> Publication:
        """Return the message that says that a task of a flow is about to be blocked."""
        return Publication(self._names.marker(task_id), encode_marker(flow_id))

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

    async def unmark_many(self, task_ids: Sequence[str]) -> None:
        """Remove the markers of tasks that are not blocked again meanwhile."""
        for start in range(0, len(task_ids), _AT_ONCE):
            await together([self.unmark(task_id) for task_id in task_ids[start : start + _AT_ONCE]])

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
        for answer in await self._publisher.publish_many(self.edges(parent, children)):
            if not isinstance(answer, int):
                raise answer

    def edges(self, parent: str, children: Sequence[str]) -> list[Publication]:
        """Return the messages that say that tasks depend on another one."""
        return [Publication(self._names.edge(parent, child), _BODY) for child in children]

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
