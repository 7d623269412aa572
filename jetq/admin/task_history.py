"""
task_history: what happened to a task, from the stream that keeps events, where there is one.

The record of a task says where it stands, and is removed some time after its end; its events are kept as long as the
stream keeps any. Who told a change twice, as after a crash, told it under the same id.
"""

from typing import Final

import msgspec

from jetq.errors import HistoryNotKeptError, RequestRefusedError
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import NO_MESSAGE, STREAM_NOT_FOUND
from jetq.jetstream.stream_message import StreamMessage
from jetq.model.name import check_name
from jetq.wire.events import TaskStateEvent, decode_event
from jetq.wire.names import Names

MOST_EVENTS: Final = 10_000
"""Of one task; more are no history that anybody reads."""


async def task_history(connection: Connection, names: Names, task_id: str) -> list[TaskStateEvent]:
    """
    Return the changes of a task's state that are kept, in the order of their writing.

    A task that never existed has none, and neither has one whose events were kept long enough.

    Raises:
        InvalidNameError: No task can have this id.
        HistoryNotKeptError: Events are not kept.
        ServerError: No answer, or a refusal.
    """
    subject = names.task_event(check_name("task id", task_id))
    found: dict[str, TaskStateEvent] = {}
    sequence = 1
    for _ in range(MOST_EVENTS):
        message = await _next(connection, names, subject, sequence, task_id)
        if message is None:
            break
        sequence = message.seq + 1
        event = decode_event(message.data)
        if isinstance(event, TaskStateEvent):
            found.setdefault(event.event_id, event)
    return _in_order(list(found.values()))


async def _next(
    connection: Connection, names: Names, subject: str, sequence: int, task_id: str
) -> StreamMessage | None:
    body = {"seq": sequence, "next_by_subj": subject}
    try:
        answer = await connection.api(f"STREAM.MSG.GET.{names.events}", body)
    except RequestRefusedError as refused:
        if refused.code == NO_MESSAGE:
            return None
        if refused.code == STREAM_NOT_FOUND:
            raise HistoryNotKeptError(task_id, names.events) from refused
        raise
    return msgspec.convert(answer["message"], StreamMessage)


def _in_order(events: list[TaskStateEvent]) -> list[TaskStateEvent]:
    """Order by the sequences of the records; an event without one keeps its place behind the one before it."""
    placed: list[tuple[int, TaskStateEvent]] = []
    before = 0
    for event in events:
        before = event.sequence or before
        placed.append((before, event))
    return [event for _, event in sorted(placed, key=lambda pair: pair[0])]
