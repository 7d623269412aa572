"""
watching: ``jetq tasks watch``.
"""

import asyncio
from typing import Final

from jetq.cli.render import print_json_line, print_state_line
from jetq.cli.session import Session, in_session
from jetq.cli.terminal import say
from jetq.jetstream.event_reader import EventReader, EventsMissed
from jetq.model.state import State
from jetq.settings import Settings
from jetq.wire.event_filter import EventFilter
from jetq.wire.events import LeaderElectedEvent, TaskProgressEvent, TaskStateEvent

_TIME: Final = 12
_STATE: Final = 11
_ID: Final = 26
_TYPE: Final = 20
_QUEUE: Final = 10


def watch_tasks(settings: Settings, wanted: EventFilter, *, count: int | None, as_json: bool) -> None:
    """
    Print events until *count* came, or Ctrl-C.

    Raises:
        PermissionDeniedError: The user may not subscribe to events.
        ServerError: No connection, or a refusal.
    """

    async def work(session: Session) -> None:
        reader = await EventReader.open(session.connection, session.names, wanted)
        seen = 0
        say(f"Watching {session.names.namespace} at {session.address}; Ctrl-C ends it.")
        async for event in reader:
            if isinstance(event, EventsMissed):
                say(_missed(event))
                continue
            if isinstance(event, LeaderElectedEvent):
                continue
            print_json_line(event) if as_json else print_event(event)
            seen += 1
            if seen == count:
                return

    try:
        in_session(settings, work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return


def _missed(gap: EventsMissed) -> str:
    if gap.missed is None:
        return "The connection was lost and is back; what happened meanwhile is not shown."
    return f"{gap.missed:,} events came faster than they could be shown, and are not."


def print_event(event: TaskStateEvent | TaskProgressEvent) -> None:
    """Print a line of what happened to a task."""
    if isinstance(event, TaskStateEvent):
        state, number, text = event.display_state, f"try {event.tries}", reason_of(event)
    else:
        state, number, text = "progress", progress_text(event), event.text
    print_state_line(
        (f"{event.timestamp:%H:%M:%S.%f}"[:_TIME], _TIME),
        (state, _STATE),
        (event.task_id, _ID),
        (event.task_type, _TYPE),
        (event.queue, _QUEUE),
        (number, 0),
        (text, 0),
    )


def progress_text(event: TaskProgressEvent) -> str:
    """Say how far a run is."""
    if event.total is None:
        return f"{event.current:g}"
    share = f" {event.current / event.total:.0%}" if event.total > 0 else ""
    return f"{event.current:g} of {event.total:g}{share}"


def reason_of(event: TaskStateEvent) -> str:
    """Say why a task is in its state, as far as its event tells."""
    end = event.end if event.end != event.display_state else ""
    told = ": ".join(part for part in (end, event.last_error) if part)
    if told or event.state is State.COMPLETE:
        return told
    return event.outcome or (f"due {event.due:%Y-%m-%d %H:%M:%S}" if event.due is not None else "")
