"""
event_watch: state changes as they happen.

Events are told over core NATS and not stored: what happens while the connection is lost is not seen.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from jetq.jetstream.connection import Connection, Incoming
from jetq.wire.events import TaskStateEvent, decode_task_event
from jetq.wire.names import Names

ANY_TASK: Final = "*"


async def watch_events(
    connection: Connection, names: Names, task_id: str = ANY_TASK
) -> AsyncGenerator[TaskStateEvent, None]:
    """
    Yield the state changes of one task, or of all of them, for ever.

    Raises:
        ServerError: No connection, or a refusal, at the start.
    """
    arrived: asyncio.Queue[TaskStateEvent] = asyncio.Queue()

    def take(message: Incoming) -> None:
        event = decode_task_event(message.data)
        if event is not None:
            arrived.put_nowait(event)

    subscription = await connection.subscribe(names.task_event(task_id), take)
    try:
        while True:
            yield await arrived.get()
    finally:
        await subscription.unsubscribe()
