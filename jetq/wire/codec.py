"""
codec: records and items as bytes.

A record that jetq reads and writes back keeps the bytes of every field that did not change and every key that it
does not know: Go writes nanoseconds where Python's datetime holds microseconds, and a newer jetq may have put keys
there. So a record travels as a :class:`Document`: the typed record, and the JSON object that it was read from.

What is read here goes on into subjects, where a blank or a line break would end the connection; so a record whose names
are not legal is as malformed as one that is no JSON.
"""

from itertools import compress
from operator import is_not, ne
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import FieldInfo, astuple, fields, replace

from jetq.errors import MalformedItemError, MalformedRecordError
from jetq.model.name import is_name
from jetq.model.record import ABSENT, TaskRecord
from jetq.wire.unreadable import UNREADABLE

MAX_EMBEDDED = 64 * 1024
"""Bytes of a record that still travels inside of its item; beyond that a worker reads it."""

_ALWAYS: Final = frozenset({"id", "type", "queue", "payload", "max_tries", "state", "created", "tries"})
_NEVER: Final = object()


def _omitted(field: FieldInfo) -> Any:
    """Return the value with which a field is left out; nothing equals that of one that is always written."""
    if field.name in _ALWAYS:
        return _NEVER
    return [] if field.default is msgspec.NODEFAULT else field.default


_NAMES: Final = tuple(field.name for field in fields(TaskRecord))
_PLACES: Final = range(len(_NAMES))
_EMPTY: Final = tuple(_omitted(field) for field in fields(TaskRecord))
"""By place, the value with which a field is left out."""

_encoder: Final = msgspec.json.Encoder()
_typed: Final = msgspec.json.Decoder(TaskRecord)
_keyed: Final = msgspec.json.Decoder(dict[str, Raw])


class Document(Struct, frozen=True, gc=False):
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
        before, after = astuple(self.record), astuple(record)
        merged = self.fields.copy()
        for place in compress(_PLACES, map(is_not, before, after)):
            value = after[place]
            if value == before[place]:
                continue
            if value == _EMPTY[place]:
                merged.pop(_NAMES[place], None)
            else:
                merged[_NAMES[place]] = value
        return Document(record, merged)

    def encode(self) -> bytes:
        """Return the document as JSON."""
        return encode_json(self.fields)


def encode_json(value: Any) -> bytes:
    """
    Return *value* as JSON. Text that is no Unicode, such as the odd file name in an error, is written with its escapes.
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_escaped(value))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, Struct):
        return replace(value, **{field.name: _escaped(getattr(value, field.name)) for field in fields(value)})
    return value


def new_document(record: TaskRecord) -> Document:
    """Return a document for a record that was never stored; empty fields are left out."""
    values = astuple(record)
    return Document(record, dict(compress(zip(_NAMES, values, strict=True), map(ne, values, _EMPTY))))


def decode_record(data: bytes | Raw) -> Document:
    """
    Read a record.

    Raises:
        MalformedRecordError: It is no JSON object, or a field is not what the protocol says.
    """
    try:
        text = str(data, "utf-8")
        record, keys = _typed.decode(text), _keyed.decode(text)
    except UNREADABLE as error:
        raise MalformedRecordError(str(error)) from error
    if not is_name(record.id):
        raise MalformedRecordError(f"the id {record.id[:80]!r} is not legal")
    if record.queue and not is_name(record.queue):
        raise MalformedRecordError(f"the queue {record.queue[:80]!r} of task {record.id} is not legal")
    if record.run is not None and not is_name(record.run.worker):
        raise MalformedRecordError(f"the worker {record.run.worker[:80]!r} of task {record.id} is not legal")
    return Document(record, keys)


class Item(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    A queue's item.

    Attributes:
        kind: 0, a task; what Go reads where it is left out.
        job: The task's id.
        seq: The stream sequence of the record that this item was published for; 0 if unknown (Go).
        task: The record as it was then, or empty; not checked, its reader decodes it.
    """

    kind: int = 0
    job: str = ""
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    task: Raw = ABSENT


class _BareItem(Struct):
    kind: int = 0
    job: str = ""


_item: Final = msgspec.json.Decoder(Item)
_bare_item: Final = msgspec.json.Decoder(_BareItem)


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
    Read an item. Where ``seq`` or ``task`` are another program's, with another meaning, they are left out.

    Raises:
        MalformedItemError: It is no JSON object, not of kind 0, or names no possible task.
    """
    try:
        item = _item.decode(data)
    except UNREADABLE as error:
        item = _read_bare_item(data, str(error))
    if item.kind != 0 or not is_name(item.job):
        raise MalformedItemError(f"kind {item.kind} with task id {item.job[:80]!r}")
    return item


def _read_bare_item(data: bytes, reason: str) -> Item:
    try:
        bare = _bare_item.decode(data)
    except UNREADABLE:
        raise MalformedItemError(reason) from None
    return Item(bare.kind, bare.job)
