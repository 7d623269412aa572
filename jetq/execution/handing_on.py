"""
handing_on: what another program gets that runs a task in this worker's place, and what its answer means as a result.

It gets the record as the claim of this run wrote it, byte for byte where jetq changed nothing, so that a signature
holds; with what its parents gave, where that was asked for. Results of parents that go into arguments are put into the
payload, since no other program knows of that; but not into a signed one, whose signature would not hold any more. (A
server of jetq puts them there itself.)
"""

from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from jetq.execution.context import Context
from jetq.model.record import ABSENT
from jetq.routing.any_payload import AnyPayload
from jetq.routing.values import decode_value, encode_value
from jetq.wire.codec import new_document
from jetq.wire.into import parent_values

_ANY: Final = AnyPayload("a handler that hands on")


def task_as_json(ctx: Context) -> bytes:
    """
    Return the record of a run's task as JSON.

    Raises:
        InvalidPayloadError: Results of parents are to go into a payload that is no object.
    """
    document = new_document(ctx.task) if ctx.document is None else ctx.document
    record = document.record
    if record.options is not None and record.options.into is not ABSENT and not record.signature:
        filled = _ANY.filled(record.payload, parent_values(record), record.type)
        document = document.updated(replace(record, payload=filled))
    return document.encode()


def foreign_result(data: bytes) -> Any:
    """
    Return what another program gave as a result: a value that JSON can hold.

    JSON is the value that it spells. Other text is a string. What is no text is its bytes, which become base64, as
    asyncjobs stores every answer. Nothing at all, and white space alone, is None.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    if not text.strip():
        return None
    try:
        decode_value(data)  # msgspec passes over a number that no reader can hold
        return Raw(encode_value(Raw(data.strip())))
    except ValueError:
        return text
