"""
pattern: what a handler subscribes to, and which of two patterns is the more specific.

A pattern is a task type in which each ``*`` stands for any run of characters, also an empty one. Without a ``*`` it
is exact and wins over every other. Among the rest the longer literal prefix wins, then the more literal characters.
Two patterns that neither rule tells apart and that some task type fits both are a tie, refused at registration: the
choice would depend on the order of imports.

Matching looks for the literal pieces from left to right and needs no regular expression, so a task type from the
network cannot make it slow.
"""

import re

from msgspec import Struct

from jetq.errors import InvalidPatternError
from jetq.model.name import MAX_LENGTH

_LEGAL = re.compile(r"[a-zA-Z0-9_:*\-]+", re.ASCII)


class Pattern(Struct, frozen=True):
    """
    A pattern, taken apart. Made by :func:`parse`.

    Attributes:
        text: As the user wrote it.
        prefix: The literal characters before the first ``*``; all of them in an exact pattern.
        middle: The literal pieces between the first ``*`` and the last.
        suffix: The literal characters after the last ``*``.
        literals: How many characters are not ``*``.
    """

    text: str
    prefix: str
    middle: tuple[str, ...]
    suffix: str
    literals: int

    @property
    def is_exact(self) -> bool:
        """Whether the pattern is one task type."""
        return self.literals == len(self.text)

    @property
    def specificity(self) -> tuple[int, int]:
        """What decides between two patterns that are not exact; the greater one wins."""
        return len(self.prefix), self.literals

    def matches(self, task_type: str) -> bool:
        """Whether *task_type* fits."""
        if self.is_exact:
            return task_type == self.text
        if len(task_type) < self.literals:
            return False
        if not (task_type.startswith(self.prefix) and task_type.endswith(self.suffix)):
            return False
        at, end = len(self.prefix), len(task_type) - len(self.suffix)
        for piece in self.middle:
            at = task_type.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    def overlaps(self, other: "Pattern") -> bool:
        """
        Whether some task type fits both.

        Two patterns with a ``*`` can always be satisfied together in their middles, one after the other, so only
        their ends can disagree.
        """
        if self.is_exact:
            return other.matches(self.text)
        if other.is_exact:
            return self.matches(other.text)
        starts = self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)
        ends = self.suffix.endswith(other.suffix) or other.suffix.endswith(self.suffix)
        return starts and ends

    def ties_with(self, other: "Pattern") -> bool:
        """Whether the rule cannot choose between the two for some task type."""
        if self.is_exact or other.is_exact:
            return self.text == other.text
        return self.specificity == other.specificity and self.overlaps(other)


def parse(text: object) -> Pattern:
    """
    Take a pattern apart.

    Raises:
        InvalidPatternError: It is no string, empty, too long, or has characters that no task type has.
    """
    if not isinstance(text, str):
        raise InvalidPatternError(text, "it must be a string, as in @app.task('email:new')")
    if not text:
        raise InvalidPatternError(text, "it is empty; '*' takes every task type")
    if _LEGAL.fullmatch(text) is None:
        raise InvalidPatternError(text, "use letters, digits, '_', ':', '-', and '*' for any run of characters")
    literals = len(text) - text.count("*")
    if literals > MAX_LENGTH:
        raise InvalidPatternError(
            text, f"it has {literals} literal characters and task types have at most {MAX_LENGTH}"
        )
    prefix, *rest = text.split("*")
    if not rest:
        return Pattern(text, prefix, (), "", literals)
    middle = tuple(piece for piece in rest[:-1] if piece)
    return Pattern(text, prefix, middle, rest[-1], literals)
