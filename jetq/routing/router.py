"""
router: which handler takes a task type.

The exact type wins, then the more specific pattern; the rule is in `routing.pattern`. A tie is refused when a handler
is added, so the answer never depends on the order of registration.
"""

from typing import Final

from jetq.errors import DuplicateHandlerError
from jetq.model.retention import Retention
from jetq.routing.handler import Handler

_CACHED: Final = 4096
"""Task types of which the answer is remembered; a caller controls them, so there is a bound."""


class Router:
    """The handlers of an application."""

    def __init__(self) -> None:
        self._exact: dict[str, Handler] = {}
        self._patterns: list[Handler] = []
        self._answers: dict[str, Handler | None] = {}

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All handlers: exact ones in the order of registration, then the others, the more specific first."""
        return (*self._exact.values(), *self._patterns)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of all handlers, in the same order."""
        return tuple(handler.pattern for handler in self.handlers)

    def add(self, handler: Handler) -> None:
        """
        Register a handler.

        Raises:
            DuplicateHandlerError: Another one has the same pattern, or one that is as specific and takes some of the
                same task types.
        """
        if handler.route.is_exact:
            other = self._exact.get(handler.pattern)
        else:
            other = next((one for one in self._patterns if one.route.ties_with(handler.route)), None)
        if other is not None:
            raise DuplicateHandlerError(handler.pattern, other.pattern, other.place)
        if handler.route.is_exact:
            self._exact[handler.pattern] = handler
        else:
            ordered = sorted([*self._patterns, handler], key=lambda one: one.route.specificity, reverse=True)
            self._patterns = ordered
        self._answers = {}

    def match(self, task_type: str) -> Handler | None:
        """Return the handler for a task type, or None."""
        answers = self._answers
        try:
            return answers[task_type]
        except KeyError:
            pass
        handler = self._exact.get(task_type) or self._search(task_type)
        if len(answers) >= _CACHED:
            answers.clear()
        answers[task_type] = handler
        return handler

    def retention_of(self, task_type: str) -> Retention | None:
        """Return what the handler of a task type says of its tasks' retention, if there is one and it does."""
        handler = self.match(task_type)
        return None if handler is None else handler.options.retention

    def _search(self, task_type: str) -> Handler | None:
        return next((one for one in self._patterns if one.route.matches(task_type)), None)
