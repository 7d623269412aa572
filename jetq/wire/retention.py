"""
retention: what a task says of its own retention, as its record spells it.

A number of seconds for all ends, or an object by end. What another program put there with another meaning says nothing.
"""

from typing import Any, cast

import msgspec
from msgspec import Raw

from jetq.errors import InvalidSettingError
from jetq.model.retention import ENDS, Retention, as_retention
from jetq.wire.unreadable import UNREADABLE


def encode_retention(retention: Retention) -> Raw:
    """Spell the option ``retention`` of a record."""
    said = {end: kept for end in ENDS if (kept := getattr(retention, end)) is not None}
    uniform = said.keys() == {"complete", "failed"} and said["complete"] == said["failed"]
    return Raw(msgspec.json.encode(said["complete"] if uniform else said))


def decode_retention(data: Raw) -> Retention | None:
    """Read the option ``retention`` of a record; None if there is none, or none of ours."""
    try:
        value = msgspec.json.decode(data)
    except UNREADABLE:
        return None
    if isinstance(value, dict):
        return _by_end(cast("dict[str, Any]", value))
    return _one(value)


def _by_end(value: dict[str, Any]) -> Retention | None:
    """Take what makes sense: one end that does not must not take the others with it."""
    said = {end: kept for end in ENDS if (kept := value.get(end)) is not None and _one(kept) is not None}
    return Retention(**said) if said else None


def _one(value: Any) -> Retention | None:
    try:
        return as_retention(value) if isinstance(value, int | float) else None
    except InvalidSettingError:
        return None
