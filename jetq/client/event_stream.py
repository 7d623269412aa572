"""
event_stream: what `events()` returns: read it with ``async for`` inside an event loop, with ``for`` outside of one.

One object for both, since nothing is read before somebody iterates, and which of the two words stands there says where.
It subscribes when the iteration begins, or at the ``with`` that surrounds it; it unsubscribes when the iteration ends,
also by ``break``, or at the end of the ``with``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Final, Generic, Self, TypeVar

from jetq.client.blocking import bridge
from jetq.errors import BlockingIterationError

E = TypeVar("E")
_END: Final = object()

Source = Callable[[AsyncExitStack], Awaitable[AsyncIterator[E]]]
"""Subscribes in the running loop, pushes on the stack what ends that, and returns what comes."""


class EventStream(Generic[E]):
    """
    Events, as an iterator and an asynchronous iterator, and as both kinds of context manager.

    Args:
        source: Where they come from.
    """

    def __init__(self, source: Source[E]) -> None:
        self._source = source
        self._stack = AsyncExitStack()
        self._events: AsyncIterator[E] | None = None
        self._is_held = False

    # asynchronous

    async def __aenter__(self) -> Self:
        """Subscribe now: what happens from here on is read."""
        self._is_held = True
        await self._opened()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Unsubscribe."""
        await self.aclose()

    async def __aiter__(self) -> AsyncIterator[E]:
        """Yield the events as they come."""
        try:
            events = await self._opened()
            async for event in events:
                yield event
        finally:
            if not self._is_held:
                await self.aclose()

    async def aclose(self) -> None:
        """Unsubscribe. Idempotent; another iteration subscribes again."""
        self._is_held, self._events = False, None
        await self._stack.aclose()

    async def _opened(self) -> AsyncIterator[E]:
        if self._events is None:
            self._events = await self._source(self._stack)
        return self._events

    # blocking

    def __enter__(self) -> Self:
        """Subscribe now, outside of an event loop; blocking ``async with``."""
        _forbid_in_loop("with")
        bridge().call(self.__aenter__())
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Unsubscribe."""
        self.close()

    def __iter__(self) -> Iterator[E]:
        """
        Yield the events as they come; blocking ``async for``.

        Raises:
            BlockingIterationError: Inside a running event loop; read them with ``async for`` there.
        """
        _forbid_in_loop("for")
        return self._blocking()

    def close(self) -> None:
        """Unsubscribe; blocking :meth:`aclose`."""
        bridge().call(self.aclose())

    def _blocking(self) -> Iterator[E]:
        loop = bridge().loop
        events: Any = aiter(self)
        try:
            while (event := bridge().call(_next(events))) is not _END:
                yield event
        finally:
            asyncio.run_coroutine_threadsafe(events.aclose(), loop)  # not waited for: this may run in any thread


async def _next(events: AsyncIterator[Any]) -> Any:
    return await anext(events, _END)


def _forbid_in_loop(word: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BlockingIterationError(word)
