"""
register: the ``task`` decorator, shared by applications and groups.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from jetq.app.options import SHORTEST_DEADLINE, check_soft_timeout
from jetq.app.owner import Owner
from jetq.app.task import Task
from jetq.app.uniqueness import checked_unique
from jetq.execution.context import Context
from jetq.execution.deciding import OnError
from jetq.execution.middleware import Middleware
from jetq.model.name import check_name
from jetq.model.quantity import Duration, seconds, whole
from jetq.model.retention import RetentionLike, as_retention
from jetq.model.retry import RetryLike, as_policy
from jetq.model.unique import UniqueLike
from jetq.routing.error_rules import ErrorClasses, ErrorRules
from jetq.routing.handler import Handler, HandlerOptions, Pool, make_handler
from jetq.routing.pattern import parse

P = ParamSpec("P")
R = TypeVar("R")


class TaskDecorator(Protocol):
    """Turns a function into a :class:`Task`; async and sync, with a context first or without."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
    def __call__(self, function: Callable[..., Any], /) -> Task[..., Any]:
        """Register *function*."""
        ...


class Registry:
    """
    Registers handlers. The part of App and Tasks that their users see as ``.task``.
    """

    def _register(self, handler: Handler) -> None:
        raise NotImplementedError

    def _owner(self) -> Owner:
        raise NotImplementedError

    def task(
        self,
        pattern: str,
        *,
        queue: str | None = None,
        max_tries: int | None = None,
        retry: RetryLike | None = None,
        retry_on: ErrorClasses | None = None,
        give_up_on: ErrorClasses | None = None,
        on_error: OnError | None = None,
        timeout: Duration | None = None,
        soft_timeout: Duration | None = None,
        deadline: Duration | None = None,
        retention: RetentionLike | None = None,
        discard: Iterable[str] = (),
        middleware: Sequence[Middleware] = (),
        pool: Pool | None = None,
        unique: UniqueLike | None = None,
    ) -> TaskDecorator:
        """
        Register a function as the handler of a task type, or of a pattern such as ``email:*``.

        Args:
            pattern: A task type, or a pattern in which ``*`` stands for any characters. The exact type wins, then the
                pattern with the longest literal beginning, then the one with more literal characters.
            queue: Where its tasks go; None is the application's default queue.
            max_tries: How often a task may run; 0 is unlimited; None is the application's default.
            retry: The waits between tries: a policy, seconds, a function, or the name of one of the application's
                ``retry_policies`` or of asyncjobs'; None is the application's default.
            retry_on: Exception classes that are worth another try; all others end their task. A time-out counts as a
                TimeoutError. None is the application's, which is all of them.
            give_up_on: Exception classes that end their task, whatever *retry_on* says.
            on_error: A function of the exception and the context that is asked first. It returns ``Retry(...)``,
                ``Terminate(...)`` or ``Snooze(...)``, or None for what the classes and the policy say. It runs on the
                event loop, so it must be quick.
            timeout: Seconds that a run may take; the queue's limit holds as well.
            soft_timeout: Seconds after which a run is asked to end, once: an async function is cancelled and sees
                ``CancelledError``, a sync one gets :class:`SoftTimeout`. What it returns then counts. Below *timeout*.
            deadline: Seconds from the enqueue after which a task is not started any more.
            retention: How long a task is kept after its end: seconds, or a :class:`Retention` by end; 0 discards it.
                None is the application's.
            discard: Ends after which a task is not kept at all, such as ``["complete"]``.
            middleware: Run around this handler, inside of the application's.
            pool: Where a sync function runs: ``thread``, which is the default, or ``process``: a process of its own
                that is killed at the time limit, and whose death concerns its task alone. Function and application must
                stand at the top of a module.
            unique: There is to be one such task only: True (one payload), a function of the arguments that returns a
                key, a key, or :class:`jetq.Unique` with a mode.

        Raises:
            InvalidPatternError: It is no pattern.
            DuplicateHandlerError, HandlerSignatureError: When the function is decorated.
            InvalidSettingError: A value that cannot be used.
        """
        parse(pattern)  # at once: ``@app.task`` without a pattern gives the function as one
        options = HandlerOptions(
            queue=None if queue is None else check_name("queue", queue),
            max_tries=None if max_tries is None else whole("max_tries", max_tries, least=0),
            retry=retry if retry is None or isinstance(retry, str) else as_policy(retry),
            errors=ErrorRules.checked(retry_on, give_up_on, on_error),
            timeout=None if timeout is None else seconds("timeout", timeout, least=0.001),
            soft_timeout=check_soft_timeout(soft_timeout, timeout),
            deadline=None if deadline is None else seconds("deadline", deadline, least=SHORTEST_DEADLINE),
            retention=as_retention(retention, discard),
            middleware=tuple(middleware),
            unique=checked_unique(unique),
        )

        def decorate(function: Callable[..., Any], /) -> Task[..., Any]:
            handler = make_handler(function, pattern, options, pool=pool)
            self._register(handler)
            return Task(handler, self._owner)

        return decorate  # type: ignore[return-value]  # one body serves all overloads
