"""
name: the one rule for names of task types, tasks, queues and schedules.

The rule is asyncjobs': letters, digits, ``_``, ``:`` and ``-``. All of them become tokens of NATS subjects or keys,
so nothing else is safe there.
"""

import re

from jetq.errors import InvalidNameError

_LEGAL = re.compile(r"[a-zA-Z0-9_:\-]+", re.ASCII)
MAX_LENGTH = 200
"""Characters; the server takes stream names and subjects of 255 with our prefixes."""


def is_name(text: str) -> bool:
    """Whether *text* is legal as a name."""
    if len(text) > MAX_LENGTH:
        return False
    return (text.isalnum() and text.isascii()) or _LEGAL.fullmatch(text) is not None


def check_name(kind: str, name: object) -> str:
    """
    Return *name* if it is legal.

    Args:
        kind: What the name is of, for the error: ``task type``, ``task id``, ``queue``, ``schedule``.
        name: The candidate.

    Raises:
        InvalidNameError: It is no string, empty, too long, or has other characters.
    """
    if not isinstance(name, str):
        raise InvalidNameError(kind, name, "it must be a string")
    if len(name) > MAX_LENGTH:
        raise InvalidNameError(kind, name, f"it has {len(name)} characters and the limit is {MAX_LENGTH}")
    if _LEGAL.fullmatch(name) is None:
        raise InvalidNameError(kind, name)
    return name
