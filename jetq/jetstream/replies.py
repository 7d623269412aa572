"""
replies: requests that await their answer, all on one inbox.
"""

import asyncio
from typing import Final

from jetq.errors import AnswerLostError, NoResponderError, PermissionDeniedError, ServerError, ServerTimeoutError
from jetq.jetstream.faults import NO_RESPONDERS
from jetq.jetstream.message import STATUS, Incoming

_GRACE: Final = 0.02
"""Seconds beyond a time-out: when the loop was blocked, the answer may be there and not read yet."""


class _Pending:
    __slots__ = ("answer", "subject", "timeout", "timer")

    def __init__(self, answer: "asyncio.Future[Incoming]", subject: str, timeout: float) -> None:
        self.answer = answer
        self.subject = subject
        self.timeout = timeout
        self.timer: asyncio.TimerHandle | None = None


class Replies:
    """
    The requests of one connection that are not answered yet.

    Args:
        inbox: The subject whose next token names the request.
    """

    def __init__(self, inbox: str) -> None:
        self.subject = f"{inbox}.*"
        self._prefix = f"{inbox}."
        self._pending: dict[str, _Pending] = {}
        self._token = 0
        self._loop = asyncio.get_running_loop()

    def expect(self, subject: str, timeout: float) -> tuple[str, "asyncio.Future[Incoming]"]:
        """Return the reply subject for a request on *subject*, and its answer to come, within *timeout* seconds."""
        self._token += 1
        reply = f"{self._prefix}{self._token}"
        pending = _Pending(self._loop.create_future(), subject, timeout)
        pending.timer = self._loop.call_later(timeout, self._expire, reply, False)
        self._pending[reply] = pending
        return reply, pending.answer

    def forget(self, reply: str) -> None:
        """Expect no more answer."""
        pending = self._pending.pop(reply, None)
        if pending is not None and pending.timer is not None:
            pending.timer.cancel()

    def on_message(self, message: Incoming) -> None:
        """Take an answer."""
        pending = self._pending.get(message.subject)
        if pending is None or pending.answer.done():
            return
        if not message.data and (message.headers or {}).get(STATUS) == NO_RESPONDERS:
            pending.answer.set_exception(NoResponderError(pending.subject))
        else:
            pending.answer.set_result(message)

    def deny(self, subject: str) -> None:
        """Fail the requests on a subject that the server does not permit, given in lower case."""
        for pending in self._pending.values():
            if pending.subject.lower() == subject:
                _fail(pending, PermissionDeniedError(pending.subject, "publishing to"))

    def deny_answers(self) -> None:
        """Fail all requests: the server does not permit to read answers."""
        for pending in self._pending.values():
            _fail(pending, PermissionDeniedError(self.subject, "reading answers on"))

    def lose(self, error: type[AnswerLostError] = AnswerLostError) -> None:
        """Fail all: their answers went with the connection."""
        for pending in self._pending.values():
            _fail(pending, error(pending.subject))

    def _expire(self, reply: str, final: bool) -> None:
        pending = self._pending.get(reply)
        if pending is None:
            return
        if final:
            _fail(pending, ServerTimeoutError(pending.subject, pending.timeout))
        else:
            pending.timer = self._loop.call_later(_GRACE, self._expire, reply, True)


def _fail(pending: _Pending, error: ServerError) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(error)
