"""
wrapping: objects in strings, as Go programs send them.

``ajc tasks add`` sends a JSON string that holds JSON, Go's scheduler a JSON string that holds base64 of any payload.
"""

import base64
import binascii
from typing import Final

import msgspec
from msgspec import Raw

from jetq.wire.unreadable import UNREADABLE

_MAX_WRAPS: Final = 5

_read_text: Final = msgspec.json.Decoder(str).decode
read_object: Final = msgspec.json.Decoder(dict[str, Raw]).decode
"""Reads an object, and leaves its values as they are."""


def unwrapped(data: bytes) -> bytes:
    """
    Return the JSON object that is wrapped into the JSON string *data*, or *data* if there is none.

    A string holds JSON, or base64 of JSON; what it holds may be a string again: a payload of ``ajc tasks cron add``
    is wrapped twice when it arrives.
    """
    found = data
    for _ in range(_MAX_WRAPS):
        if found.startswith(b"{"):
            return found if _is_object(found) else data
        if not found.startswith(b'"'):
            return data
        try:
            text = _read_text(found).strip().encode()
        except (msgspec.MsgspecError, UnicodeError):
            return data
        found = text if text.startswith((b"{", b'"')) else _from_base64(text)
    return data


def _is_object(data: bytes) -> bool:
    try:
        read_object(data)
    except UNREADABLE:
        return False
    return True


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True).strip()
    except binascii.Error:
        return b""
