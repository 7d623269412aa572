"""
remote_call: run a task's handler elsewhere: a request over NATS, and what its answer means.

Whatever comes of it becomes what a handler would return or raise: a result, a signal, or a `RemoteHandlerError` that
carries its outcome, since it was decided elsewhere. Nobody there, too little time, a lost connection and an answer that
makes no sense are errors that are worth another try.

Which subject is called. asyncjobs calls the string that its route was registered with, and finds routes by prefix: one
for all ``email:`` tasks calls ``NS.H.T.email:``. A pattern of jetq calls the task's type first, since a remote handler
can name the types that it takes and no subject of NATS holds ``email:*``; and if nobody is there, the pattern's
beginning, as asyncjobs would. So handlers that were written for either are found, and a request that nobody took costs
a round trip. ``*`` calls ``catchall``, as asyncjobs' empty route does.

The request waits as long as the run may take: the executor ends it at its limit, and then, or when the run is cancelled
or lost, servers of jetq are told that nobody waits any more. (Other languages have the deadline.) An answer that comes
later goes nowhere.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace

from jetq.errors import (
    AnswerLostError,
    MessageTooLargeError,
    NoResponderError,
    RemoteHandlerError,
    Retry,
    ServerError,
    Snooze,
    Terminate,
)
from jetq.execution.context import Context
from jetq.execution.failure import MAX_KIND, MAX_MESSAGE, MAX_TRACEBACK, shorten
from jetq.execution.handing_on import foreign_result, task_as_json
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Incoming
from jetq.model.name import is_name
from jetq.model.outcome import (
    Crashed,
    Failed,
    GivenUp,
    Invalid,
    Outcome,
    Retried,
    Snoozed,
    Terminated,
    TimedOut,
    Unstorable,
)
from jetq.model.record import ErrorInfo
from jetq.routing.pattern import parse
from jetq.wire.names import CATCHALL
from jetq.wire.remote import read_error, request_headers

LEAST: Final = 3.0
"""Seconds that must be left to a run when it calls a remote handler, as in asyncjobs."""
MARGIN: Final = 2.0
"""Seconds before the end of the run at which the answer must be there, as in asyncjobs."""
SHORTEST_REMOTE: Final = LEAST + MARGIN
"""Seconds that the tasks of a remote handler may take at least, so that one is called and has time to answer."""
_BEYOND: Final = 60.0
"""Seconds beyond the run's limit: the executor ends the request, not the connection."""


def remote_function(call: "RemoteCall") -> Callable[[Context], Awaitable[Any]]:
    """Return *call* as a function, as handlers are."""

    async def remote(ctx: Context) -> Any:
        return await call(ctx)

    return remote


class RemoteCall:
    """
    Calls the remote handlers of a pattern.

    Args:
        pattern: The task types.
        endpoint: What is called in place of the type; None leaves it to the pattern.
        backend: Returns the server of the running loop.
    """

    def __init__(self, pattern: str, endpoint: str | None, backend: Callable[[], Awaitable[Backend]]) -> None:
        self._backend = backend
        self._fixed = CATCHALL if endpoint is None and pattern == "*" else endpoint
        prefix = parse(pattern).prefix
        self._route = prefix if prefix != pattern and is_name(prefix) else ""

    def endpoints(self, task_type: str) -> tuple[str, ...]:
        """Return what is called for a task type, one after the other until somebody is there."""
        if self._fixed is not None:
            return (self._fixed,)
        return (task_type, self._route) if self._route and self._route != task_type else (task_type,)

    async def __call__(self, ctx: Context) -> Any:
        """Return the result of a task's remote handler."""
        backend = await self._backend()
        endpoints = self.endpoints(ctx.task_type)
        subjects = [backend.names.remote(endpoint) for endpoint in endpoints]
        left = ctx.time_left
        if left < LEAST:
            text = f"{max(left, 0.0):.1f} s of this run are left, and a remote handler needs at least {LEAST:g}"
            raise _failure(subjects[0], f"{text}; give its tasks a longer timeout")
        return await self._ask(backend, ctx, subjects, left)

    async def _ask(self, backend: Backend, ctx: Context, subjects: list[str], left: float) -> Any:
        """Return the result from the first subject on which somebody listens."""
        connection, body = backend.connection, task_as_json(ctx)
        headers = request_headers(connection.clock.now() + timedelta(seconds=left - MARGIN))
        for subject in subjects:
            try:
                answer = await connection.request(subject, body, headers=headers, timeout=left + _BEYOND)
            except NoResponderError:
                continue
            except asyncio.CancelledError:
                run = ctx.task.run
                connection.send(backend.names.remote_cancel(ctx.task_id), b"" if run is None else run.nonce.encode())
                raise
            except MessageTooLargeError as error:
                raise _failure(subject, str(error), final=True) from error
            except AnswerLostError as error:
                text = f"the connection was lost while {subject} was asked; the remote handler may have run"
                raise _failure(subject, text) from error
            except ServerError as error:
                raise _failure(subject, str(error)) from error
            return _read(answer, subject)
        raise _failure(subjects[0], f"no remote handler listens on {' or '.join(subjects)}; start one there")


def _failure(subject: str, text: str, *, final: bool = False) -> RemoteHandlerError:
    info = ErrorInfo(type=RemoteHandlerError.__name__, message=shorten(text, MAX_MESSAGE))
    return RemoteHandlerError(subject, info.message, outcome=GivenUp(info) if final else Failed(info))


def _read(answer: Incoming, subject: str) -> Any:
    """Return the result in an answer, or raise what it says."""
    wrong = read_error(answer.headers, answer.data)
    if wrong is not None:
        raise _error(Failed(ErrorInfo(message=wrong)) if isinstance(wrong, str) else wrong, subject)
    return foreign_result(answer.data)


def _error(outcome: Outcome, subject: str) -> Exception:
    """Return what the outcome of a handler elsewhere means here, as an exception or signal."""
    match outcome:
        case Terminated(reason):
            return Terminate(_short(reason))
        case Retried(delay, reason, queue, None):
            return Retry(delay, _short(reason), queue or None)
        case Snoozed(delay, None):
            return Snooze(delay)
        case Invalid(reason):
            error = ErrorInfo(type="InvalidPayloadError", message=_short(reason))
            outcome = Invalid(error.message)
        case TimedOut():
            error, outcome = outcome.error, replace(outcome, note=_short(outcome.note))
        case Failed() | GivenUp() | Crashed() | Unstorable() | Retried() | Snoozed():
            error = _bounded(outcome.error or ErrorInfo())
            outcome = replace(outcome, error=error)
        case _:
            error = ErrorInfo()
    return RemoteHandlerError(subject, error.message, error.type, error.traceback, outcome=outcome)


def _short(text: str) -> str:
    return shorten(text, MAX_MESSAGE)


def _bounded(error: ErrorInfo) -> ErrorInfo:
    """Return an error of which nobody knows how long it is, as long as those of this process are at most."""
    kind, traceback = shorten(error.type, MAX_KIND), shorten(error.traceback, MAX_TRACEBACK)
    return ErrorInfo(type=kind, message=_short(error.message), traceback=traceback)
