"""
waiting: until a task ends.

Events wake the waiter, the record convinces it: an event may be lost, so the record is also read every two seconds.
A server that is away is waited for as the task is; a connection that this program closes is not.
"""

import asyncio
import contextlib
from typing import Final

from jetq.errors import (
    ConnectionClosedError,
    NoResponderError,
    ResultGoneError,
    ResultTimeoutError,
    ServerTimeoutError,
)
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Incoming
from jetq.jetstream.task_store import Stored
from jetq.settings import RESULT_POLL
from jetq.wire.events import TaskStateEvent, decode_event

_LEAST_READ: Final = 0.5
"""Seconds for a reading, however little time is left: who does not wait at all wants to know how it stands."""
_LONGEST_READ: Final = 5.0


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
        ConnectionClosedError: This program closed the connection meanwhile.
    """
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    changed = asyncio.Event()

    state, ended = "unknown", ""

    def on_event(message: Incoming) -> None:
        nonlocal ended
        event = decode_event(message.data)
        if isinstance(event, TaskStateEvent) and event.is_final:
            ended = event.display_state
        changed.set()

    subscription = await backend.connection.subscribe(backend.names.task_event(task_id), on_event)
    subscription.on_end = lambda _denied: changed.set()  # if it is closed, to read again will say so
    try:
        while True:
            changed.clear()
            left = None if deadline is None else deadline - loop.time()
            try:
                stored = await backend.tasks.read(task_id, timeout=_reading_time(left))
                if stored is None:
                    raise ResultGoneError(task_id, ended)
                if stored.record.is_final:
                    return stored
                state = stored.record.display_state
            except ConnectionClosedError:
                raise ConnectionClosedError(f"waiting for task {task_id}") from None
            except (ServerTimeoutError, NoResponderError):
                pass
            pause = RESULT_POLL if deadline is None else min(RESULT_POLL, deadline - loop.time())
            if pause <= 0:
                raise ResultTimeoutError(task_id, seconds or 0.0, state)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await changed.wait()
    finally:
        await subscription.unsubscribe()


def _reading_time(left: float | None) -> float:
    return _LONGEST_READ if left is None else min(max(left, _LEAST_READ), _LONGEST_READ)
