"""
vigil: what the lease thread does beside keeping leases: it watches the event loop, and answers the supervisor.

All of it goes on while a handler blocks the loop, which is when it is needed.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from jetq.wire.liveness import Alive, Blocked, Measure, ToChild
from jetq.worker.loop_watch import LoopWatch
from jetq.worker.supervision import Supervision

_EVERY: Final = 1.0
"""Seconds between two looks, each of which is a sign of life."""


class Vigil:
    """
    Watches over a worker from its lease thread.

    Args:
        watch: Of the worker's loop.
        alive: Says how the worker is, given what blocks its loop; asked every second.
        on_blocked: Told of a blocked loop, and again when it has been for twice as long.
        supervision: The supervisor, if there is one.
        on_message: Told what the supervisor says, but questions for numbers.
        on_lost: Told that the supervisor is gone.
    """

    def __init__(
        self,
        watch: LoopWatch,
        *,
        alive: Callable[[Blocked | None], Alive],
        on_blocked: Callable[[Blocked], None],
        supervision: Supervision | None,
        on_message: Callable[[ToChild], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._watch = watch
        self._alive = alive
        self._on_blocked = on_blocked
        self._supervision = supervision
        self._on_message = on_message
        self._on_lost = on_lost
        self._told = 0.0

    async def run(self) -> None:
        """Watch until it is cancelled; in the lease thread's loop."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._look_out())
            if self._supervision is not None:
                both.create_task(self._listen(self._supervision))

    async def farewell(self) -> None:
        """Tell the supervisor the last numbers."""
        if self._supervision is not None:
            await self._supervision.farewell()

    async def _look_out(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_EVERY)
            was_frozen = time.monotonic() - before > 2 * _EVERY  # the process, and not its loop alone
            blocked = None if was_frozen else self._watch.look()
            if blocked is None:
                self._told = 0.0
            elif blocked.seconds >= 2 * self._told:
                self._told = blocked.seconds
                self._on_blocked(blocked)
            alive = self._alive(blocked)
            if self._supervision is not None:
                self._supervision.say(alive)

    async def _listen(self, supervision: Supervision) -> None:
        await supervision.converse(lambda message: self._hear(supervision, message))
        self._on_lost()

    def _hear(self, supervision: Supervision, message: ToChild) -> None:
        if isinstance(message, Measure):
            supervision.measure()
        else:
            self._on_message(message)
