"""
watching: ``jetq tasks watch``.
"""

import asyncio
from contextlib import aclosing
from typing import Final

from jetq.admin.event_watch import ANY_TASK, watch_events
from jetq.cli.render import print_json_line, print_state_line
from jetq.cli.session import Session, in_session
from jetq.cli.terminal import say
from jetq.model.name import check_name
from jetq.settings import Settings
from jetq.wire.events import TaskStateEvent

_TIME: Final = 12
_STATE: Final = 11
_ID: Final = 26
_TYPE: Final = 20
_QUEUE: Final = 10


def watch_tasks(settings: Settings, task_id: str | None, *, count: int | None, as_json: bool) -> None:
    """
    Print state changes until *count* came, or Ctrl-C.

    Raises:
        InvalidNameError: No task can have this id.
        ServerError: No connection, or a refusal.
    """
    subject = ANY_TASK if task_id is None else check_name("task id", task_id)

    async def work(session: Session) -> None:
        async with aclosing(watch_events(session.connection, session.names, subject)) as events:
            seen = 0
            say(f"Watching {session.names.namespace} at {session.address}; Ctrl-C ends it.")
            async for event in events:
                print_json_line(event) if as_json else _print_event(event)
                seen += 1
                if seen == count:
                    return

    try:
        in_session(settings, work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return


def _print_event(event: TaskStateEvent) -> None:
    print_state_line(
        (f"{event.timestamp:%H:%M:%S.%f}"[:_TIME], _TIME),
        (event.state.value or "unknown", _STATE),
        (event.task_id, _ID),
        (event.task_type, _TYPE),
        (event.queue, _QUEUE),
        (f"try {event.tries}", 0),
        (event.last_error, 0),
    )
