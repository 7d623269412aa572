"""
schedules: stored schedules, and their states, as bytes.

A schedule that jetq reads and writes back keeps the bytes of every field that did not change, since Go writes
nanoseconds, and every key that this version does not know.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import asdict, fields

from jetq.errors import InvalidNameError, MalformedScheduleError
from jetq.model.name import check_name
from jetq.model.stored_schedule import ScheduleState, StoredSchedule, check_schedule_name
from jetq.wire.codec import encode_json
from jetq.wire.unreadable import UNREADABLE

_ALWAYS: Final = frozenset({"name", "schedule", "queue", "task_type", "payload", "max_tries", "created_at"})
_DEFAULTS: Final = {each.name: each.default for each in fields(StoredSchedule) if each.name not in _ALWAYS}
_typed: Final = msgspec.json.Decoder(StoredSchedule)
_keyed: Final = msgspec.json.Decoder(dict[str, Raw])
_state: Final = msgspec.json.Decoder(ScheduleState)


class ScheduleDocument(Struct, frozen=True, gc=False):
    """
    A stored schedule and the JSON object that carries it.

    Attributes:
        record: The schedule.
        fields: The object's keys; values are raw bytes as read, or Python values that jetq put there.
    """

    record: StoredSchedule
    fields: dict[str, Any]

    def updated(self, record: StoredSchedule) -> "ScheduleDocument":
        """Return the document with *record* in place of its own, touching changed fields only."""
        before, merged = asdict(self.record), dict(self.fields)
        for name, value in asdict(record).items():
            if value != before[name]:
                merged.pop(name, None)
                merged |= _stored({name: value})
        return ScheduleDocument(record, merged)

    def encode(self) -> bytes:
        """Return the document as JSON."""
        return encode_json(self.fields)


def new_schedule_document(record: StoredSchedule) -> ScheduleDocument:
    """Return a document for a schedule that was never stored; what says nothing is left out."""
    return ScheduleDocument(record, _stored(asdict(record)))


def decode_schedule(name: str, data: bytes) -> ScheduleDocument:
    """
    Read a stored schedule.

    Args:
        name: As its key has it, which is what counts.
        data: The bytes.

    Raises:
        MalformedScheduleError: It is none, or has an illegal name. Whether its spec can be meant is not looked at.
    """
    try:
        record, keys = _typed.decode(data), _keyed.decode(data)
    except UNREADABLE as error:
        raise MalformedScheduleError(name, str(error)) from None
    try:
        check_schedule_name(record.name)
        check_name("queue", record.queue)
        check_name("task type", record.task_type)
    except InvalidNameError as error:
        raise MalformedScheduleError(name, str(error)) from None
    if record.name != name:
        raise MalformedScheduleError(name, f"it calls itself {record.name!r}")
    return ScheduleDocument(record, keys)


def encode_schedule_state(state: ScheduleState) -> bytes:
    """Return the state of a schedule as JSON."""
    return encode_json(state)


def decode_schedule_state(name: str, data: bytes) -> ScheduleState:
    """
    Read the state of a schedule.

    Raises:
        MalformedScheduleError: It is none.
    """
    try:
        return _state.decode(data)
    except UNREADABLE as error:
        raise MalformedScheduleError(name, str(error)) from None


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing."""
    return {name: value for name, value in values.items() if name in _ALWAYS or value != _DEFAULTS[name]}
