"""
codec: records and items as bytes.

A record that jetq reads and writes back keeps the bytes of every field that did not change and every key that it
does not know: Go writes nanoseconds where Python's datetime holds microseconds, and a newer jetq may have put keys
there. So a record travels as a :class:`Document`: the typed record, and the JSON object that it was read from.
"""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import fields

from jetq.errors import MalformedItemError, MalformedRecordError
from jetq.model.name import is_name
from jetq.model.record import TaskRecord

MAX_EMBEDDED = 64 * 1024
"""Bytes of a record that still travels inside of its item; beyond that a worker reads it."""

_ALWAYS: Final = frozenset({"id", "type", "queue", "payload", "max_tries", "state", "created", "tries"})
_FIELDS: Final = tuple((field.name, field.default) for field in fields(TaskRecord))
_NAMES: Final = tuple(name for name, _ in _FIELDS)
_OMITTED: Final[dict[str, Any]] = {
    name: [] if name == "dependencies" else None if default is msgspec.NODEFAULT else default
    for name, default in _FIELDS
    if name not in _ALWAYS
}

_encoder: Final = msgspec.json.Encoder()
_typed: Final = msgspec.json.Decoder(TaskRecord)
_keyed: Final = msgspec.json.Decoder(dict[str, Raw])


class Document(Struct, frozen=True):
    """
    A record and the JSON object that carries it.

    Attributes:
        record: The record.
        fields: The object's keys; values are raw bytes as read, or Python values that jetq put there.
    """

    record: TaskRecord
    fields: dict[str, Any]

    def updated(self, record: TaskRecord) -> "Document":
        """Return the document with *record* in place of its own, touching changed fields only."""
        old, merged = self.record, dict(self.fields)
        for name in _NAMES:
            value = getattr(record, name)
            before = getattr(old, name)
            if value is before or value == before:
                continue
            if name in _OMITTED and value == _OMITTED[name]:
                merged.pop(name, None)
            else:
                merged[name] = value
        return Document(record, merged)

    def encode(self) -> bytes:
        """Return the document as JSON."""
        return _encoder.encode(self.fields)


def new_document(record: TaskRecord) -> Document:
    """Return a document for a record that was never stored; empty fields are left out."""
    values: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(record, name)
        if name in _ALWAYS or value != _OMITTED[name]:
            values[name] = value
    return Document(record, values)


def decode_record(data: bytes | Raw) -> Document:
    """
    Read a record.

    Raises:
        MalformedRecordError: It is no JSON object, or a field is not what the protocol says.
    """
    try:
        return Document(_typed.decode(data), _keyed.decode(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRecordError(str(error)) from error


class Item(Struct, frozen=True, omit_defaults=True):
    """
    A queue's item.

    Attributes:
        kind: 0, a task.
        job: The task's id.
        seq: The stream sequence of the record that this item was published for; 0 if unknown (Go).
        task: The record as it was then, or empty.
    """

    kind: int = msgspec.field(default=-1)
    job: str = ""
    seq: int = 0
    task: Raw = Raw(b"")


_item: Final = msgspec.json.Decoder(Item)


def encode_item(task_id: str, sequence: int, record: bytes) -> bytes:
    """
    Spell an item.

    Args:
        task_id: The task.
        sequence: The stream sequence of its record.
        record: The record's bytes; left out of the item beyond 64 KiB.
    """
    if len(record) > MAX_EMBEDDED:
        return b'{"kind":0,"job":"%b","seq":%d}' % (task_id.encode(), sequence)
    return b'{"kind":0,"job":"%b","seq":%d,"task":%b}' % (task_id.encode(), sequence, record)


def decode_item(data: bytes) -> Item:
    """
    Read an item.

    Raises:
        MalformedItemError: It is no JSON object, not of kind 0, or names no possible task.
    """
    try:
        item = _item.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedItemError(str(error)) from error
    if item.kind != 0 or not is_name(item.job):
        raise MalformedItemError(f"kind {item.kind} with task id {item.job[:80]!r}")
    return item
