"""
signature: what a task's signature is over.

The text holds times as nanoseconds since 1970, and those stand on the wire alone: the datetime in a record has lost
three digits of them. So the text is made of a document and not of a record.
"""

import re
from base64 import b64encode
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Raw

from jetq.wire.codec import Document

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION: Final = re.compile(r"\.(\d+)")
_text: Final = msgspec.json.Decoder(str)


def signed_text(document: Document) -> bytes:
    """Return the bytes that an Ed25519 signature of the task is over, as asyncjobs spells them."""
    record = document.record
    deadline = 0 if record.deadline is None else _nanoseconds(document.fields["deadline"])
    created = _nanoseconds(document.fields["created"])
    payload = b64encode(record.payload or b"").decode()
    return f"{record.id}:{record.queue}:{record.type}:{record.max_tries}:{created}:{deadline}:{payload}".encode()


def _nanoseconds(moment: Raw | datetime) -> int:
    """Count from 1970 in 64 bits, as Go does: beyond 1678 and 2262 the number is another, and the same as Go's."""
    text = moment.isoformat() if isinstance(moment, datetime) else _text.decode(moment)
    fraction = _FRACTION.search(text)
    digits = fraction[1] if fraction else ""
    whole = datetime.fromisoformat(_FRACTION.sub("", text).upper())
    since = whole - _EPOCH
    count = (since.days * 86_400 + since.seconds) * 10**9 + int(digits[:9].ljust(9, "0"))
    return (count + 2**63) % 2**64 - 2**63
