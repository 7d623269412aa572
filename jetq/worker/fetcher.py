"""
fetcher: deliveries come to slots.

Which queue is asked for how many items is decided in `worker.asking`. A delivery that finds no slot after all, since
somebody who had lent one took it again, waits for one here; when half of its lease is over it is left, since its lease
is not kept before it is claimed. With several queues it is given back at once: whoever has a slot may have it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

from jetq.jetstream.puller import Delivery, Puller
from jetq.jetstream.topology import BoundQueue
from jetq.model.sharing import Sharing
from jetq.worker.asking import Asking, OneQueue, SeveralQueues
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
        self._asking: Asking
        self._waiting: deque[Delivery] = deque()
        self._several = False
        self._refilling = False
        self._quiet = False
        self._loop = asyncio.get_running_loop()

    async def start(self, pullers: Mapping[str, Puller], sharing: Sharing) -> None:
        """Be ready for :meth:`refill`: feed from these queues, which *sharing* knows in this order."""
        self._pullers = list(pullers.values())
        self._several = len(pullers) > 1
        if self._several:
            self._asking = SeveralQueues(pullers, sharing, on_time=self.refill)
        else:
            self._asking = OneQueue(self._pullers[0], max(1, self._slots.capacity // 4))
        for puller in self._pullers:
            await puller.start()

    @property
    def is_quiet(self) -> bool:
        """Whether no more is asked for."""
        return self._quiet

    @property
    def is_dry(self) -> bool:
        """Whether nothing waits, here or, as far as the last deliveries told, in the queues."""
        return not self._waiting and all(puller.pending == 0 for puller in self._pullers)

    def on_delivery(self, delivery: Delivery) -> None:
        """Start a delivery, or let it wait for a slot."""
        if self._quiet:
            self._give_back(delivery)
        elif self._slots.free > 0 and not self._waiting:
            self._begin(delivery, self._slots.take(self._asking.arrived(delivery)))
        elif self._several:
            self._give_back(delivery)
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
        room = self._slots.free - len(self._waiting)
        if room > 0:
            self._asking.ask(room)

    async def quiet(self) -> None:
        """Ask no more, and give back what was not started."""
        self._quiet = True
        if self._pullers:
            self._asking.stop()
        while self._waiting:
            self._give_back(self._waiting.popleft())
        await asyncio.gather(*(puller.stop() for puller in self._pullers))
