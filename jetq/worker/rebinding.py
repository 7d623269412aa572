"""
rebinding: a queue that somebody removed and made anew is bound again.

``ajc queue rm`` and ``ajc queue new``, or their like, leave a queue of the same name that is another one: its limits
may differ, and it lacks the source that brings delayed tasks and retries, of which other programs know nothing. The
worker hears of it from the server, which ends the requests that wait at a consumer that is removed, and refuses others
until there is one again. Then the queue is bound: what its stream lacks is added, and its limits count from the next
task on. Who dies before that, or hears nothing since all slots are busy, leaves it to the next worker or producer, each
of which binds its queues when it starts, and to the janitor (`admin.mending`). A queue that nobody makes anew is made
by the watchdog (`worker.watchdog`), and found here all the same.
"""

import asyncio
from typing import Final

from jetq.errors import JetqError
from jetq.worker.desk import Desk

_AGAIN: Final = 1.0
"""Seconds between two looks for a queue that is gone."""


class Rebinding:
    """
    Binds queues again, each once at a time.

    Args:
        desk: Whose queues; it learns of the new ones.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def begin(self, queue: str) -> None:
        """Begin to look for a queue whose consumer was removed."""
        if queue not in self._under_way:
            self._under_way[queue] = asyncio.get_running_loop().create_task(self._bind(queue))

    async def _bind(self, queue: str) -> None:
        bound = None
        while bound is None:
            try:
                bound = await self._desk.backend.rebind(queue)
            except JetqError:  # it is not there yet, or nobody answers, or it cannot be used as it is
                await asyncio.sleep(_AGAIN)
        self._desk.bound[queue] = bound
        del self._under_way[queue]

    def stop(self) -> None:
        """Look no more."""
        for looking in self._under_way.values():
            looking.cancel()
