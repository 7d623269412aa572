"""
keys: unique keys as subjects and bytes.

A key may be any text, so its subject is a hash of it. An entry that nobody can read is as good as none: it names no
task, and the next one that wants the key writes over it.
"""

import contextlib
from base64 import b32encode
from hashlib import sha256
from typing import Final

import msgspec

from jetq.model.name import is_name
from jetq.model.unique import KeyEntry
from jetq.wire.unreadable import UNREADABLE

_HASH_BYTES: Final = 20
"""160 bits, 32 characters: two keys with one subject are nothing to reckon with."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(KeyEntry)


def key_digest(text: str) -> str:
    """Return the last token of a key's subject: the first 160 bits of its SHA-256, in base 32, in lower case."""
    return b32encode(sha256(text.encode("utf-8", "surrogatepass")).digest()[:_HASH_BYTES]).decode().lower()


def payload_digest(payload: bytes | None) -> str:
    """Return what stands for a payload in a key; the order of an object's keys makes no difference."""
    data = b"" if payload is None else payload
    with contextlib.suppress(*UNREADABLE):  # else its bytes count as they are
        data = msgspec.json.encode(msgspec.json.decode(data), order="sorted")
    return f"sha256:{sha256(data).hexdigest()}"


def encode_key(entry: KeyEntry) -> bytes:
    """Spell an entry."""
    return _encoder.encode(entry)


def decode_key(data: bytes) -> KeyEntry:
    """Read an entry; what is none names no task."""
    try:
        entry = _decoder.decode(data)
    except UNREADABLE:
        return KeyEntry()
    if not is_name(entry.task) or (entry.after and not is_name(entry.after)):
        return KeyEntry()
    return entry
