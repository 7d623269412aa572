"""
retry_option: the retry policy of one task as JSON, the ``retry`` of a record's ``options``.

A name stands for itself, and whoever runs the task knows what it means. A policy of jetq's own is an object: its
``kind`` and its settings, durations in seconds. A function cannot travel, nor can a class of the user's.
"""

import json
from datetime import timedelta
from typing import Any, Final, cast

import msgspec
from msgspec import Raw

from jetq.errors import InvalidSettingError
from jetq.model.retry import Exponential, Fixed, Linear, RetryLike, RetryPolicy, Steps
from jetq.wire.unreadable import UNREADABLE

_KINDS: Final[dict[str, type[Exponential | Linear | Fixed | Steps]]] = {
    "exponential": Exponential,
    "linear": Linear,
    "fixed": Fixed,
    "steps": Steps,
}
_WORDS: Final = {kind: word for word, kind in _KINDS.items()}
_options: Final = msgspec.json.Decoder(str | dict[str, Any])
_WANTED: Final = (
    "the name of a policy, seconds, or Exponential, Linear, Fixed or Steps: nothing else can travel with a task; "
    "register it under a name, with App(retry_policies={...}), and give the name"
)


def encode_retry(value: RetryLike) -> Raw:
    """
    Spell a policy.

    Raises:
        InvalidSettingError: It cannot travel with a task.
    """
    if isinstance(value, str):
        return Raw(msgspec.json.encode(value))
    if isinstance(value, (int, float, timedelta)) and not isinstance(value, bool):
        value = Fixed(value)
    word = _WORDS.get(cast("Any", type(value)))
    if word is None:
        raise InvalidSettingError("retry", value, _WANTED)
    settings = {name: _plain(setting) for name, setting in vars(value).items()}
    return Raw(msgspec.json.encode({"kind": word, **settings}))


def _plain(setting: Any) -> Any:
    return setting.total_seconds() if isinstance(setting, timedelta) else setting


def decode_retry(raw: Raw) -> RetryPolicy | str:
    """
    Read a policy, or the name of one.

    Raises:
        ValueError: It is neither; the text says why.
    """
    try:
        found = _options.decode(raw)
    except UNREADABLE as error:
        raise ValueError(str(error)) from error
    if isinstance(found, str):
        return found
    settings = dict(found)
    word = settings.pop("kind", None)
    kind = _KINDS.get(word) if isinstance(word, str) else None
    if kind is None:
        raise ValueError(f"its kind is {json.dumps(word)[:80]}, and the kinds are {', '.join(_KINDS)}")
    if isinstance(settings.get("intervals"), list):
        settings["intervals"] = tuple(settings["intervals"])
    try:
        return kind(**settings)
    except (InvalidSettingError, TypeError) as error:
        raise ValueError(str(error)) from error
