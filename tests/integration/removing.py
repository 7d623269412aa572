"""Taking away what a task has in queues and schedules, whatever its record says."""

from jetq.jetstream.backend import Backend
from jetq.jetstream.stream_message import purge_subject


async def remove_item(backend: Backend, queue: str, task_id: str) -> None:
    """Remove the item of a task."""
    names = backend.names
    await purge_subject(backend.connection, names.queue(queue), names.item(queue, task_id))


async def remove_schedule(backend: Backend, queue: str, task_id: str) -> None:
    """Remove the schedule of a task, and its due item."""
    names = backend.names
    for subject in (names.schedule(queue, task_id), names.due(queue, task_id)):
        await purge_subject(backend.connection, names.schedules, subject)
