"""
fetcher: ask the queues for as many items as there are free slots.

What was asked for and has not come is credit; the credit of all queues together stays within the free slots, but that
every queue keeps at least one, so that an idle queue is noticed at once when something comes. One of several queues
gets no more than that before a delivery has told of a backlog: what an idle queue holds is out of the others' reach
until its request runs out. Queues that have a backlog share the rest evenly. A delivery that finds no slot waits for
one here; when half of its lease is over it is left, since its lease is not kept before it is claimed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from jetq.jetstream.puller import Delivery, Puller
from jetq.jetstream.topology import BoundQueue
from jetq.worker.slots import Slot, Slots


class Fetcher:
    """
    Feeds deliveries to slots.

    Args:
        bound: The queues by name.
        slots: The budget.
        begin: Starts an attempt with a slot that was taken for it.
        give_back: Releases a delivery that will not be started.
    """

    def __init__(
        self,
        bound: Mapping[str, BoundQueue],
        slots: Slots,
        *,
        begin: Callable[[Delivery, Slot], None],
        give_back: Callable[[Delivery], None],
    ) -> None:
        self._bound = bound
        self._slots = slots
        self._begin = begin
        self._give_back = give_back
        self._pullers: list[Puller] = []
        self._waiting: deque[Delivery] = deque()
        self._batch = max(1, slots.capacity // 4)
        self._refilling = False
        self._quiet = False
        self._loop = asyncio.get_running_loop()

    def add(self, puller: Puller) -> None:
        """Feed from one more queue."""
        self._pullers.append(puller)

    @property
    def is_dry(self) -> bool:
        """Whether nothing waits, here or, as far as the last deliveries told, in the queues."""
        return not self._waiting and all(puller.pending == 0 for puller in self._pullers)

    def on_delivery(self, delivery: Delivery) -> None:
        """Start a delivery, or let it wait for a slot."""
        if self._quiet:
            self._give_back(delivery)
        elif self._slots.free > 0 and not self._waiting:
            self._begin(delivery, self._slots.take())
        else:
            self._waiting.append(delivery)

    def refill(self) -> None:
        """Start what waits, then ask for more: once a turn of the loop, however many slots that turn frees."""
        if not self._refilling:
            self._refilling = True
            self._loop.call_soon(self._refill)

    def _refill(self) -> None:
        self._refilling = False
        if self._quiet:
            return
        while self._waiting and self._slots.free > 0:
            delivery = self._waiting.popleft()
            if self._loop.time() - delivery.received < self._bound[delivery.queue].lease / 2:
                self._begin(delivery, self._slots.take())
        if self._slots.free > len(self._waiting):
            self._ask()

    def _ask(self) -> None:
        """Give every queue a credit, and those with a backlog an even share of the room."""
        pullers = self._pullers
        room = self._slots.free - len(self._waiting) - sum(puller.credit for puller in pullers)
        busy = [puller for puller in pullers if (puller.pending or len(pullers) == 1) and puller.is_ready]
        for puller in pullers:
            if puller.credit == 0 and puller.is_ready:
                count = max(1, room // len(busy)) if puller in busy else 1
                puller.ask(count)
                room -= count
        if busy and room >= self._batch:
            busy.sort(key=lambda puller: puller.credit)
            share = max(1, room // len(busy))
            for puller in busy[: room // share]:
                puller.ask(share)

    async def quiet(self) -> None:
        """Ask no more, and give back what was not started."""
        self._quiet = True
        while self._waiting:
            self._give_back(self._waiting.popleft())
        await asyncio.gather(*(puller.stop() for puller in self._pullers))
