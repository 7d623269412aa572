"""
handler_options: what may be said about the tasks of a handler that is no Python function.
"""

from collections.abc import Iterable, Sequence
from typing import TypedDict, Unpack

from jetq.app.options import SHORTEST_DEADLINE, check_soft_timeout
from jetq.app.uniqueness import checked_unique
from jetq.execution.middleware import Middleware
from jetq.model.name import check_name
from jetq.model.quantity import Duration, seconds, whole
from jetq.model.retention import RetentionLike, as_retention
from jetq.model.retry import RetryLike, as_policy
from jetq.model.unique import UniqueLike
from jetq.routing.error_rules import ErrorRules
from jetq.routing.handler import HandlerOptions


class DelegateOptions(TypedDict, total=False):
    """The options of remote handlers and of commands; they mean what they mean in :meth:`App.task`."""

    queue: str | None
    max_tries: int | None
    retry: RetryLike | None
    timeout: Duration | None
    soft_timeout: Duration | None
    deadline: Duration | None
    retention: RetentionLike | None
    discard: Iterable[str]
    middleware: Sequence[Middleware]
    unique: UniqueLike | None


def handler_options(errors: ErrorRules | None = None, **given: Unpack[DelegateOptions]) -> HandlerOptions:
    """
    Check what is said about the tasks of a handler.

    Args:
        errors: Which exceptions are worth another try; None leaves it to the application.
        **given: The rest.

    Raises:
        InvalidSettingError, InvalidNameError: A value cannot be used.
        TypeError: There is no such option.
    """
    unknown = given.keys() - DelegateOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no option {min(unknown)!r}; there are {', '.join(DelegateOptions.__annotations__)}")
    queue, max_tries, retry = given.get("queue"), given.get("max_tries"), given.get("retry")
    timeout, soft_timeout, deadline = given.get("timeout"), given.get("soft_timeout"), given.get("deadline")
    return HandlerOptions(
        queue=None if queue is None else check_name("queue", queue),
        max_tries=None if max_tries is None else whole("max_tries", max_tries, least=0),
        retry=retry if retry is None or isinstance(retry, str) else as_policy(retry),
        errors=errors or ErrorRules(),
        timeout=None if timeout is None else seconds("timeout", timeout, least=0.001),
        soft_timeout=check_soft_timeout(soft_timeout, timeout),
        deadline=None if deadline is None else seconds("deadline", deadline, least=SHORTEST_DEADLINE),
        retention=as_retention(given.get("retention"), given.get("discard", ())),
        middleware=tuple(given.get("middleware", ())),
        unique=checked_unique(given.get("unique")),
    )
