"""
events: lifecycle events as bytes, in asyncjobs' words (``io.choria.asyncjobs.v1.task_state``).
"""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from jetq.model.events import TaskStateChanged
from jetq.model.state import State
from jetq.wire.ids import new_id

TASK_STATE: Final = "io.choria.asyncjobs.v1.task_state"

_encoder: Final = msgspec.json.Encoder()


class TaskStateEvent(Struct, frozen=True, omit_defaults=True):
    """The published form; *task_age* in nanoseconds."""

    event_id: str
    type: str
    timestamp: datetime
    task_id: str
    state: State
    tries: int
    queue: str = ""
    task_type: str = ""
    last_error: str = ""
    task_age: int = 0


_decoder: Final = msgspec.json.Decoder(TaskStateEvent)


def encode_task_event(event: TaskStateChanged) -> bytes:
    """Spell a state change for subscribers of any language."""
    age = event.at - event.created
    return _encoder.encode(
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
            max(0, (age.days * 86_400 + age.seconds) * 1_000_000_000 + age.microseconds * 1000),
        )
    )


def decode_task_event(data: bytes) -> TaskStateEvent | None:
    """Read a lifecycle event; None if it is none."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
