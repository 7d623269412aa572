"""
explaining: gather what is known about a task, so that `model.explanation` can say why it does not run.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from jetq.admin.inspector import Inspector, TaskView
from jetq.admin.workers import WorkerDirectory, WorkerInfo
from jetq.errors import MalformedFlowError, TaskNotFoundError, UnknownQueueError
from jetq.jetstream.backend import Backend
from jetq.model.dependency import GONE
from jetq.model.explanation import Explanation, Facts, ParentFacts, QueueFacts, WorkerFacts, explain, explain_missing
from jetq.model.flow import FlowState
from jetq.model.record import TaskRecord
from jetq.model.running import WorkerState
from jetq.model.serving import UNTIL_RESUMED
from jetq.model.state import State
from jetq.routing.pattern import parse

_MOST_PARENTS: Final = 20
"""Tasks that are looked at of those that are waited for."""


class Explainer:
    """
    Explains tasks.

    Args:
        backend: The server.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._inspector = Inspector(backend.connection, backend.names)
        self._workers = WorkerDirectory(backend.connection, backend.names)

    async def explain(self, task_id: str) -> Explanation:
        """
        Say why a task does not run, or that it does, or how it ended; or that there is none.

        Raises:
            InvalidNameError: No task can have this id.
            MalformedRecordError: What stands there is no record.
            ServerError: No answer, or a refusal.
        """
        try:
            view = await self._inspector.view_task(task_id)
        except TaskNotFoundError:
            return explain_missing(task_id)
        return explain(await self._facts(view))

    async def _facts(self, view: TaskView) -> Facts:
        record = view.document.record
        queue, workers, runs, parents, flow = await asyncio.gather(
            self._queue(record),
            self._workers.list_workers(),
            self._runs(record),
            self._parents(record),
            self._flow(record),
        )
        return Facts(
            record=record,
            written=view.written,
            now=self._backend.connection.clock.now(),
            places=view.places,
            queue=queue,
            workers=tuple(_worker(info, record) for info in workers),
            runs=runs,
            parents=tuple(parents),
            flow=flow,
        )

    async def _queue(self, record: TaskRecord) -> QueueFacts | None:
        if not record.queue:
            return None
        try:
            info = await self._inspector.describe_queue(record.queue)
        except UnknownQueueError:
            return None
        return QueueFacts(
            running=info.running,
            max_concurrent=0 if info.settings is None else info.settings.max_concurrent,
            pending=info.pending,
            paused=(info.paused_until or UNTIL_RESUMED) if info.paused else None,
        )

    async def _runs(self, record: TaskRecord) -> bool | None:
        if record.state is not State.ACTIVE or record.run is None:
            return None
        return await self._workers.runs(record.id, record.run)

    async def _parents(self, record: TaskRecord) -> Sequence[ParentFacts]:
        if record.state is not State.BLOCKED:
            return ()
        return await asyncio.gather(*(self._parent(parent) for parent in record.pending[:_MOST_PARENTS]))

    async def _parent(self, task_id: str) -> ParentFacts:
        found = await self._backend.tasks.read_sound(task_id)
        return ParentFacts(task_id, GONE if found is None else found.record.display_state)

    async def _flow(self, record: TaskRecord) -> FlowState | None:
        if not record.flow or record.state is not State.BLOCKED:
            return None
        try:
            found = await self._backend.flows.read(record.flow)
        except MalformedFlowError:
            return None
        return None if found is None else found.state


def _worker(info: WorkerInfo, record: TaskRecord) -> WorkerFacts:
    return WorkerFacts(
        id=info.worker,
        serves=record.queue in info.queues,
        handles=any(parse(pattern).matches(record.type) for pattern in info.patterns),
        takes=info.state == WorkerState.WORKING,
        free=info.slots - info.running,
    )
