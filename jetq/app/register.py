"""
register: the ``task`` decorator, shared by applications and groups.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, Unpack, overload

from jetq.app.handler_options import DelegateOptions, handler_options
from jetq.app.owner import Owner
from jetq.app.task import Task
from jetq.errors import InvalidSettingError
from jetq.execution.command import Command
from jetq.execution.command_output import Form
from jetq.execution.context import Context
from jetq.execution.deciding import OnError
from jetq.execution.middleware import Middleware
from jetq.execution.remote_call import SHORTEST_REMOTE, RemoteCall, remote_function
from jetq.jetstream.backend import Backend
from jetq.model.name import check_name
from jetq.model.quantity import Duration
from jetq.model.retention import RetentionLike
from jetq.model.retry import RetryLike
from jetq.model.unique import UniqueLike
from jetq.routing.error_rules import ErrorClasses, ErrorRules
from jetq.routing.handler import Handler, Pool, make_delegate, make_handler
from jetq.routing.pattern import parse
from jetq.settings import COMMAND_GRACE, MAX_COMMAND_OUTPUT

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
        options = handler_options(
            ErrorRules.checked(retry_on, give_up_on, on_error),
            queue=queue,
            max_tries=max_tries,
            retry=retry,
            timeout=timeout,
            soft_timeout=soft_timeout,
            deadline=deadline,
            retention=retention,
            discard=discard,
            middleware=middleware,
            unique=unique,
        )

        def decorate(function: Callable[..., Any], /) -> Task[..., Any]:
            handler = make_handler(function, pattern, options, pool=pool)
            self._register(handler)
            return Task(handler, self._owner)

        return decorate  # type: ignore[return-value]  # one body serves all overloads

    def remote(
        self, pattern: str, *, endpoint: str | None = None, **options: Unpack[DelegateOptions]
    ) -> Task[..., Any]:
        """
        Let a program in any language that speaks NATS run the tasks of a type, or of a pattern such as ``audit:*``.

        A worker claims such a task as any other, sends it to who listens on ``NS.H.T.<task type>`` (on
        ``NS.H.T.catchall`` for the pattern ``*``), and waits for the answer as long as the task's limit allows. An
        error, silence, and nobody there are errors that are tried again.

        Args:
            pattern: A task type, or a pattern. If nobody listens for the type, what stands before the first ``*`` of a
                pattern is called, as a route of asyncjobs would be.
            endpoint: What is called in any case, in place of the type.
            **options: As of :meth:`task`. Fewer than 3 s before its limit a task is not sent any more, so a *timeout*
                has at least 5.

        Returns:
            A task, to enqueue as any other, with arguments by name.

        Raises:
            InvalidPatternError: It is no pattern.
            DuplicateHandlerError: It has a handler already.
            InvalidSettingError, InvalidNameError: A value that cannot be used.
        """
        checked = handler_options(**options)
        if checked.timeout is not None and checked.timeout < SHORTEST_REMOTE:
            raise InvalidSettingError("timeout", options.get("timeout"), f"at least {SHORTEST_REMOTE:g} s")
        parse(pattern)
        target = endpoint if endpoint is None else check_name("endpoint", endpoint)

        async def backend() -> Backend:
            return (await self._owner().clients.current()).backend

        function = remote_function(RemoteCall(pattern, target, backend))
        handler = make_delegate(function, pattern, checked, name=f"remote:{pattern}")
        self._register(handler)
        return Task(handler, self._owner)

    def command(
        self,
        pattern: str,
        command: Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str | None] | None = None,
        output: Form = "auto",
        max_output: int = MAX_COMMAND_OUTPUT,
        grace: Duration = COMMAND_GRACE,
        terminate_on: int | Iterable[int] = (),
        **options: Unpack[DelegateOptions],
    ) -> Task[..., Any]:
        """
        Let a program run the tasks of a type, or of a pattern such as ``webhook:*``.

        It finds its task as JSON in the file that ``CHORIA_AJ_TASK`` and ``JETQ_TASK`` name. What it writes, to stdout
        and stderr, is the result. Another status than 0 is an error that is tried again. Its process group ends with
        it, and with the worker.

        Args:
            pattern: A task type, or a pattern in which ``*`` stands for any characters.
            command: The program and its arguments. No shell sees them.
            cwd: Its working directory; None is the worker's.
            env: Variables beside the worker's own; None as a value takes one away.
            output: What the output is as a result: ``auto``: the value of JSON, other text as a string, what is no
                text in base64, nothing as None; ``json``: JSON, else it is an error; ``text``; ``base64``.
            max_output: Bytes that it may write; one that writes more runs to its end, and its task ends as
                ``too_large``.
            grace: Seconds between TERM and KILL, 5 at most, where it has to end before it has.
            terminate_on: A status, or several, after which there is no further try.
            **options: As of :meth:`task`. At a *soft_timeout* it gets TERM.

        Returns:
            A task, to enqueue as any other, with arguments by name.

        Raises:
            InvalidPatternError: It is no pattern.
            DuplicateHandlerError: It has a handler already.
            InvalidSettingError, InvalidNameError: A value that cannot be used.
        """
        made = Command.checked(
            command,
            cwd=cwd,
            env=env,
            output=output,
            max_output=max_output,
            grace=grace,
            terminate_on=terminate_on,
        )
        handler = made.handler(pattern, handler_options(**options))
        self._register(handler)
        return Task(handler, self._owner)
