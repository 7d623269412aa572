"""
progress: how far a run is, as its record says it.
"""

from typing import Final

import msgspec
from msgspec import Raw

from jetq.model.progress import Progress
from jetq.wire.codec import encode_json
from jetq.wire.unreadable import UNREADABLE

_decoder: Final = msgspec.json.Decoder(Progress)


def encode_progress(progress: Progress) -> Raw:
    """Spell the record's ``progress``."""
    return Raw(encode_json(progress))


def decode_progress(data: Raw) -> Progress | None:
    """Read the record's ``progress``; None if there is none, or another program's, with another meaning."""
    try:
        return _decoder.decode(data)
    except UNREADABLE:
        return None
