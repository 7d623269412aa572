"""
middleware: code around handlers.

``async def middleware(ctx, call_next)`` awaits ``call_next(ctx)`` for the rest: the next middleware, in the end the
handler, async or sync. What it returns is the result; what it raises is the run's error; it may raise or return the
signals. As in asyncjobs, what was registered first is outermost, and an application's stands outside of a handler's
own. A payload that the handler does not take never reaches middleware.

The chain is composed once a handler. Without middleware it is the handler's call itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from jetq.execution.context import Context

CallNext = Callable[[Context], Awaitable[Any]]
"""The rest of the chain."""

Middleware = Callable[[Context, CallNext], Awaitable[Any]]
"""An async function around handlers."""


def compose(middleware: Sequence[Middleware], call: CallNext) -> CallNext:
    """Put *middleware* around *call*, the first outermost."""
    for each in reversed(middleware):
        call = _around(each, call)
    return call


def _around(middleware: Middleware, inner: CallNext) -> CallNext:
    def call(ctx: Context) -> Awaitable[Any]:
        return middleware(ctx, inner)

    return call
