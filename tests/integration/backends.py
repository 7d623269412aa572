"""The server as an application's client sees it, for what tests do by hand."""

from jetq.app.application import App
from jetq.jetstream.backend import Backend
from jetq.jetstream.task_store import Stored


async def backend_of(app: App) -> Backend:
    """Return what the application's client in this loop writes with."""
    return (await app.clients.current()).backend


async def backend_with_queue(app: App) -> Backend:
    """Return the same, once its default queue exists."""
    backend = await backend_of(app)
    await backend.queue(app.queues["DEFAULT"])
    return backend


async def read(app: App, task_id: str) -> Stored:
    """Read a record that is there."""
    stored = await (await backend_of(app)).tasks.read(task_id)
    assert stored is not None
    return stored
