"""
uniqueness: from what users say about unique tasks to the key of one task.
"""

import math

from jetq.errors import InvalidSettingError
from jetq.model.quantity import seconds
from jetq.model.unique import Unique, UniqueKey, UniqueLike, UniqueMode, as_unique, key_text
from jetq.routing.handler import Handler
from jetq.wire.keys import payload_digest


def checked_unique(value: UniqueLike | None) -> Unique | None:
    """
    Return the wish in full; None for None and False.

    Raises:
        InvalidSettingError: It cannot be meant, or its period is less than a second.
    """
    unique = None if value is None else as_unique(value)
    if unique is not None and unique.period is not None:
        seconds("unique period", unique.period, least=1)
    return unique


def unique_wish(wanted: UniqueLike | None, handler: Handler | None) -> Unique | None:
    """
    Return what the caller says, or else the handler.

    Raises:
        InvalidSettingError: It cannot be meant.
    """
    return (None if handler is None else handler.options.unique) if wanted is None else checked_unique(wanted)


def unique_key(
    task_type: str, payload: bytes | None, wanted: UniqueLike | None, handler: Handler | None
) -> UniqueKey | None:
    """
    Return the key of one task; None for a task that is one among many.

    Args:
        task_type: Its type, to which the key belongs.
        payload: As it will be stored.
        wanted: What the caller says; None leaves it to the handler.
        handler: The handler, if this program knows one; its arguments are what a function of the arguments takes.

    Raises:
        InvalidSettingError: The key is none.
        InvalidPayloadError: A function of the arguments is to be asked, and the payload does not fit the handler.
    """
    unique = unique_wish(wanted, handler)
    if unique is None:
        return None
    key: object = unique.key
    if callable(key):
        if handler is None:
            raise InvalidSettingError(
                "unique", key, f"a text: this program has no handler of {task_type!r} whose arguments a function takes"
            )
        args, kwargs = handler.bind(payload, task_type)
        key = key(*args, **kwargs)
        if key is None:
            return None
    elif key is None:
        key = payload_digest(payload)
    period = 0 if unique.period is None else math.ceil(seconds("unique period", unique.period, least=1))
    return UniqueKey(key_text(task_type, key), UniqueMode.PERIOD if period else UniqueMode(unique.mode), period)
