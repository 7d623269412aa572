"""
error_rules: what an application, or a handler, says about the exceptions of handlers.

Classes say which of them are worth another try, and a function may decide about each; `execution.deciding` follows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, TypeGuard, cast

from jetq.errors import InvalidSettingError, Signal

ErrorClasses = type[BaseException] | Iterable[type[BaseException]]
"""An exception class, or several."""


@dataclass(frozen=True, kw_only=True)
class ErrorRules:
    """
    Which exceptions are tried again; None is left to the application, which by default tries all of them again.

    Attributes:
        retry_on: Only these are; any other ends its task.
        give_up_on: These are not, also if *retry_on* names them.
        on_error: A function of the exception and the context, asked first: it returns ``Retry(...)``,
            ``Terminate(...)`` or ``Snooze(...)``, or None for what the classes say.
    """

    retry_on: tuple[type[BaseException], ...] | None = None
    give_up_on: tuple[type[BaseException], ...] | None = None
    on_error: Callable[..., Any] | None = None

    @classmethod
    def checked(
        cls,
        retry_on: ErrorClasses | None = None,
        give_up_on: ErrorClasses | None = None,
        on_error: Callable[..., Any] | None = None,
    ) -> "ErrorRules":
        """
        Return the rules that users' words make.

        Raises:
            InvalidSettingError: Something is no exception class, or no function that could decide.
        """
        return cls(
            retry_on=_classes("retry_on", retry_on),
            give_up_on=_classes("give_up_on", give_up_on),
            on_error=None if on_error is None else _function(on_error),
        )

    def within(self, outer: "ErrorRules") -> "ErrorRules":
        """Return these rules, with the words of *outer* where these say nothing."""
        return ErrorRules(
            retry_on=outer.retry_on if self.retry_on is None else self.retry_on,
            give_up_on=outer.give_up_on if self.give_up_on is None else self.give_up_on,
            on_error=outer.on_error if self.on_error is None else self.on_error,
        )


def _classes(setting: str, value: object) -> tuple[type[BaseException], ...] | None:
    if value is None:
        return None
    classes: list[type[BaseException]] = []
    for each in _several(value):
        if not _is_error_class(each):
            wanted = "an exception class, or several (Retry, Terminate and Snooze decide by themselves)"
            raise InvalidSettingError(setting, each, wanted)
        classes.append(each)
    return tuple(classes)


def _several(value: object) -> list[object]:
    alone = isinstance(value, (type, str)) or not isinstance(value, Iterable)
    return [value] if alone else list(cast("Iterable[object]", value))


def _is_error_class(value: object) -> TypeGuard[type[BaseException]]:
    return isinstance(value, type) and issubclass(value, BaseException) and not issubclass(value, Signal)


def _function(value: object) -> Callable[..., Any]:
    call = value.__call__ if callable(value) else None
    is_async = iscoroutinefunction(value) or iscoroutinefunction(call)
    if not callable(value) or isinstance(value, type) or is_async:
        raise InvalidSettingError(
            "on_error", value, "a plain function of (error, ctx); it must be quick, and not async"
        )
    return value
