"""
saying: the form of what a log says of an event.
"""

from typing import Any

Told = tuple[int, str, dict[str, Any]]
"""A level of :mod:`logging`, the words, and the fields."""


def one_line(text: str) -> str:
    """Return *text* without its line breaks."""
    return " ".join(text.split())
