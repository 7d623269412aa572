"""
waiting: until a task ends.

Events wake the waiter, the record convinces it: an event may be lost, so the record is also read every two seconds.
"""

import asyncio

from jetq.errors import ResultGoneError, ResultTimeoutError
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Incoming
from jetq.jetstream.task_store import Stored
from jetq.settings import RESULT_POLL


async def wait_for_end(backend: Backend, task_id: str, seconds: float | None) -> Stored:
    """
    Return the record of a task once it is final.

    Args:
        backend: Where the task is.
        task_id: Which.
        seconds: How long to wait; None waits for ever.

    Raises:
        ResultTimeoutError: The task did not end in time; it goes on.
        ResultGoneError: There is no record (any more).
    """
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    changed = asyncio.Event()

    def on_event(_message: Incoming) -> None:
        changed.set()

    subscription = await backend.connection.subscribe(backend.names.task_event(task_id), on_event)
    try:
        while True:
            changed.clear()
            stored = await backend.tasks.read(task_id)
            if stored is None:
                raise ResultGoneError(task_id)
            if stored.record.is_final:
                return stored
            pause = RESULT_POLL if deadline is None else min(RESULT_POLL, deadline - loop.time())
            if pause <= 0:
                raise ResultTimeoutError(task_id, seconds or 0.0, stored.record.display_state)
            try:
                async with asyncio.timeout(pause):
                    await changed.wait()
            except TimeoutError:
                continue
    finally:
        await subscription.unsubscribe()
