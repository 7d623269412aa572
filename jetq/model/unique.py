"""
unique: what it means that at most one task of a kind is there. Pure.

A wish for it is a :class:`Unique`: which tasks are the same (the key), and what becomes of a second one (the mode). A
key belongs to a task type: the same words for two types are two keys. What is stored for a key is a :class:`KeyEntry`,
in the protocol's words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from jetq.errors import InvalidSettingError
from jetq.model.record import TaskRecord
from jetq.model.state import State

LONGEST_KEY: Final = 4096
"""Bytes of a key with its task type; it stands in the record and beside it."""
LATEST_POLL: Final = 30.0
"""Seconds after which a task that waits for another's end looks whether it came, should nobody wake it."""

KeyFunction = Callable[..., str | None]
"""Takes a handler's arguments and returns the key; None lets the task be one among many."""


class UniqueMode(StrEnum):
    """What becomes of a task whose key another one holds."""

    UNFINISHED = "unfinished"
    """There is one until it has ended: the caller gets that one."""

    PERIOD = "period"
    """There is one in a period, even if it has ended (a throttle): the caller gets that one."""

    REPLACE = "replace"
    """One that has not begun takes over what the new one brings (a debounce); beside one that runs there is another."""

    LATEST = "latest"
    """One runs and one waits at most: what waits takes over what the new one brings, and begins when the other ends."""


@dataclass(frozen=True)
class Unique:
    """
    Which tasks are the same, and what becomes of a second one.

    Attributes:
        key: A text; a function of the handler's arguments that returns one; None for the payload as a whole.
        mode: ``unfinished``, ``period``, ``replace`` or ``latest``, see :class:`UniqueMode`.
        period: Seconds or timedelta, whole seconds in the end, for the mode ``period``, which it implies.
    """

    key: str | KeyFunction | None = None
    mode: UniqueMode | str = UniqueMode.UNFINISHED
    period: float | timedelta | None = None

    def __post_init__(self) -> None:
        """
        Refuse what cannot be meant.

        Raises:
            InvalidSettingError: Another mode, another kind of key, or a period that does not fit the mode.
        """
        if self.mode not in set(UniqueMode):
            raise InvalidSettingError("unique mode", self.mode, f"one of {', '.join(UniqueMode)}")
        if isinstance(self.key, str):
            _checked(self.key)
        elif self.key is not None and not callable(self.key):
            raise InvalidSettingError("unique key", self.key, "a text, or a function of the arguments that returns one")
        if self.period is None and self.mode == UniqueMode.PERIOD:
            raise InvalidSettingError("unique period", None, "given: the mode 'period' needs one")
        if self.period is not None and self.mode in {UniqueMode.REPLACE, UniqueMode.LATEST}:
            raise InvalidSettingError("unique period", self.period, f"absent with the mode {str(self.mode)!r}")


UniqueLike = bool | str | KeyFunction | Unique
"""What users may give: True for the payload as a whole, a key, a function of the arguments, or all of it in full."""


def as_unique(value: UniqueLike) -> Unique | None:
    """
    Return the wish that *value* stands for; None for False.

    Raises:
        InvalidSettingError: It is none of the shapes.
    """
    if isinstance(value, Unique):
        return value
    if isinstance(value, bool):
        return Unique() if value else None
    if isinstance(value, str) or callable(value):
        return Unique(value)
    raise InvalidSettingError(
        "unique", value, "True, a text, a function of the arguments, or Unique(key=..., mode=..., period=...)"
    )


class UniqueKey(Struct, frozen=True, gc=False):
    """
    The wish for one task.

    Attributes:
        text: The task type, a blank, and the key: what the record carries.
        mode: What becomes of a second one.
        period: Seconds, a whole number; 0 unless the mode is ``period``.
    """

    text: str
    mode: UniqueMode
    period: int = 0


def key_text(task_type: str, key: object) -> str:
    """
    Return a key in full.

    Raises:
        InvalidSettingError: It is no text, empty, no Unicode, or too long.
    """
    text = f"{task_type} {_checked(key)}"
    if len(text.encode()) > LONGEST_KEY:
        raise InvalidSettingError("unique key", f"{text[:40]}...", f"of at most {LONGEST_KEY} bytes with its task type")
    return text


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidSettingError("unique key", key, "a text")
    if not key:
        raise InvalidSettingError("unique key", key, "a text that is not empty (or True for the payload as a whole)")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InvalidSettingError("unique key", key, "Unicode") from None
    return key


class KeyEntry(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    Who has a key, as stored. See docs/reference/protocol.md.

    Attributes:
        key: The key in full, as the task's record carries it.
        task: The id of the task that has it, the newest of them.
        mode: How it was taken.
        after: The id of the task that runs, while the newest one waits for its end.
        period: Seconds for which it was taken, whatever becomes of the task; 0 for until the task has ended.
    """

    key: str = ""
    task: str = ""
    mode: str = UniqueMode.UNFINISHED.value
    after: str = ""
    period: int = 0

    def is_held(self, holder: TaskRecord | None) -> bool:
        """
        Say whether the key is taken.

        Args:
            holder: The record of ``task``, read after this; None if there is none (any more).
        """
        if holder is None:
            return self.period > 0
        if holder.state is State.QUEUE_ERROR:  # its enqueue failed, and its caller knows
            return False
        return self.period > 0 or not holder.is_final
