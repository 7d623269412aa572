"""
soft_limit: ask a run to end, once, while there is time to do it well.

A sync handler gets :class:`SoftTimeout` raised in its thread. An async handler's asyncio task is cancelled: another
exception thrown into a coroutine would not do, since ``asyncio.TaskGroup``, ``asyncio.timeout`` and most libraries
clean up at a cancellation alone, and take anything else for an error of the code that happens to wait. Middleware that
waits is cancelled too, around a sync handler as well.

asyncio counts the cancellations that a task was asked for, and a count that stays up makes later task groups and
time-outs of the handler behave as if somebody still wanted it to stop. So the count is taken back at the moment at
which the handler sees its ``CancelledError``: whoever catches it may go on and await whatever he likes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from types import coroutine
from typing import Any, Final

from jetq.errors import SoftTimeout

_ASKED: Final = (asyncio.CancelledError, SoftTimeout)


class SoftLimit:
    """
    The soft time limit of one run. All but :attr:`interrupt` belongs to the loop's thread.

    Args:
        seconds: From the beginning of the run.
        limit: The run's hard limit, in seconds.

    Attributes:
        seconds: From the beginning of the run.
        reached: The run was asked to end.
        interrupt: Raises SoftTimeout in the thread of the run's handler; None while no thread runs it.
    """

    __slots__ = ("_at", "_loop", "_margin", "_task", "_timer", "_undelivered", "interrupt", "reached", "seconds")

    def __init__(self, seconds: float, limit: float) -> None:
        self.seconds = seconds
        self.reached = False
        self.interrupt: Callable[[], None] | None = None
        self._margin = limit - seconds
        self._at = 0.0
        self._undelivered = False
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> None:
        """Start the clock."""
        self._loop, self._task = loop, task
        self._at = loop.time() + self.seconds
        self._timer = loop.call_at(self._at, self._expire)

    def move(self, left: float) -> None:
        """
        Follow the hard limit, which is in *left* seconds now: the time between the two stays as it was.

        Where less than that is left there is no soft limit any more, and a run is asked once, whatever follows.
        """
        if self.reached or self._timer is None:
            return
        self._timer.cancel()
        if left > self._margin:
            before, self._at = self._at, self._loop.time() + left - self._margin
            self.seconds += self._at - before
            self._timer = self._loop.call_at(self._at, self._expire)

    def close(self) -> None:
        """Ask no more, and take back what was asked and did not arrive."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._delivered()

    def ended(self, error: BaseException) -> bool:
        """Whether a run that ended with *error* ended since it was asked to."""
        return self.reached and isinstance(error, _ASKED)

    def around(self, call: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
        """Return *call*, with an eye on the cancellation that arrives there."""

        def watched(ctx: Any) -> Awaitable[Any]:
            return self._watched(call(ctx))

        return watched

    def _expire(self) -> None:
        self.reached = True
        if self.interrupt is not None:
            self.interrupt()
        elif self._task is not None:
            self._undelivered = True
            self._task.cancel()

    def _delivered(self) -> None:
        if self._undelivered and self._task is not None:
            self._undelivered = False
            self._task.uncancel()

    @coroutine
    def _watched(self, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
        """Await as ``await`` does (PEP 380 spells it out), and note a cancellation before it is handed on."""
        inner = awaitable.__await__()
        step: Callable[[], Any] = inner.__next__
        while True:
            try:
                waited = step()
            except StopIteration as returned:
                return returned.value
            try:
                sent = yield waited
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:  # noqa: BLE001 - handed on as it is
                if isinstance(error, asyncio.CancelledError):
                    self._delivered()
                step = _throw(inner, error)
            else:
                step = _send(inner, sent)


def _throw(inner: Generator[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: inner.throw(error)


def _send(inner: Generator[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: inner.send(value)
