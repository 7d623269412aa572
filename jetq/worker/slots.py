"""
slots: the concurrency budget of a worker. A slot is held by one ``with``, and given back in one place.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Slots:
    """
    A number of slots.

    Args:
        capacity: How many.
        on_free: Called whenever one is given back.
    """

    def __init__(self, capacity: int, *, on_free: Callable[[], None]) -> None:
        self.capacity = capacity
        self.free = capacity
        self._on_free = on_free
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self, share: "Share | None" = None) -> "Slot":
        """Take a slot that is known to be free, for one of several shares; it is held until its ``with`` ends."""
        self.free -= 1
        return Slot(self, share)

    def give_back(self) -> None:
        """Free one, for the longest waiter if there is one."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1
        self._on_free()

    async def wait(self) -> None:
        """Wait for a slot and take it."""
        if self.free > 0:
            self.free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give_back()
            raise


class Share:
    """What one of several queues holds of the slots: those of its tasks, and those that its deliveries wait for."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class Slot:
    """One held slot."""

    __slots__ = ("_held", "_share", "_slots")

    def __init__(self, slots: Slots, share: Share | None) -> None:
        self._slots = slots
        self._share = share
        self._held = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.lend()

    def lend(self) -> None:
        """Let others have the slot while its holder only waits."""
        if self._held:
            self._held = False
            if self._share is not None:
                self._share.held -= 1
            self._slots.give_back()

    async def retake(self) -> None:
        """Hold a slot again."""
        if not self._held:
            await self._slots.wait()
            self._held = True
            if self._share is not None:
                self._share.held += 1
