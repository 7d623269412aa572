"""
burst: when a worker that is to end with its queues has nothing left to do.

That is when the queues are empty, also of what others run, since those tasks may come back. A paused queue is not
waited for: it gives nothing until somebody lets it go on, and whoever waits for the end of this worker would wait for
that. That it is paused is told, so what is left does not go unnoticed. Tasks that wait for their time are not waited
for either.
"""

from collections.abc import Iterable

from jetq.errors import ServerError
from jetq.jetstream.backend import Backend
from jetq.jetstream.lookup import find_consumer
from jetq.jetstream.pausing import read_pause
from jetq.worker.pause_watch import PauseWatch


async def nothing_is_left(backend: Backend, queues: Iterable[str], pauses: PauseWatch) -> bool:
    """Tell whether every queue is empty or paused; False if the server does not say."""
    connection, names = backend.connection, backend.names
    for queue in queues:
        stream = names.queue(queue)
        try:
            info = await connection.api(f"STREAM.INFO.{stream}")
            if not info["state"]["messages"]:
                continue
            consumer = await find_consumer(connection, stream)
        except ServerError:
            return False
        until = None if consumer is None else read_pause(consumer)
        if until is None:
            return False
        pauses.note(queue, until)
    return True
