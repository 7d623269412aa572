"""
events: lifecycle events as bytes, in asyncjobs' words (``io.choria.asyncjobs.v1.task_state``).
"""

from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct

from jetq.model.events import TaskStateChanged
from jetq.model.record import Limit, Moment
from jetq.model.state import State
from jetq.wire.codec import encode_json
from jetq.wire.ids import new_id

TASK_STATE: Final = "io.choria.asyncjobs.v1.task_state"
_OLDEST: Final = 2**63 - 1
"""Nanoseconds, some 292 years; Go's longest duration."""
_MICROSECOND: Final = timedelta(microseconds=1)


class TaskStateEvent(Struct, frozen=True, omit_defaults=True, gc=False):
    """The published form; *task_age* in nanoseconds."""

    event_id: str
    type: str
    timestamp: Moment
    task_id: str
    state: State
    tries: Limit
    queue: str = ""
    task_type: str = ""
    last_error: str = ""
    task_age: Limit = 0


_decoder: Final = msgspec.json.Decoder(TaskStateEvent)


def encode_task_event(event: TaskStateChanged) -> bytes:
    """Spell a state change for subscribers of any language."""
    age = event.at - event.created
    return encode_json(
        TaskStateEvent(
            new_id(),
            TASK_STATE,
            event.at,
            event.task_id,
            event.state,
            event.tries,
            event.queue,
            event.task_type,
            event.last_err,
            min(max(0, age // _MICROSECOND * 1000), _OLDEST),
        )
    )


def decode_task_event(data: bytes) -> TaskStateEvent | None:
    """Read a state change; None if it is another event, or none."""
    try:
        event = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return event if event.type == TASK_STATE else None
