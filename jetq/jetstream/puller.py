"""
puller: deliveries of one queue, as many as were asked for.

nats-py's ``fetch`` swallows leadership changes, sends two requests for every empty batch and costs five times the
processor time. Here a subscription takes deliveries as they come; :meth:`Puller.ask` raises the credit, and statuses of
the server correct it. After every (re)connect the subscription is a new one, so that a pull of the old connection
cannot deliver into the new one's count. When neither delivery nor heartbeat comes in twice the heartbeat's time, what
was asked is forgotten and asked again.

Who pulls from several queues asks for what is there *at once*, and can withdraw what was asked before, so that credit
does not lie idle at one queue while another one has work.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from jetq.errors import ServerError
from jetq.jetstream.connection import Connection, Incoming, Subscription
from jetq.jetstream.faults import NO_RESPONDERS
from jetq.jetstream.message import DESCRIPTION, STATUS
from jetq.wire.names import SCHEDULER, STATUS_PENDING, WORKERS, Names

_EXPIRES: Final = 30.0
_HEARTBEAT: Final = 5.0
_REFUSED_WAIT: Final = 1.0
_LAST_CALL: Final = 1.0
_HEARTBEAT_STATUS: Final = "100"
_EXPIRED_STATUS: Final = "408"
_EMPTY_STATUS: Final = "404"
_LEADERSHIP: Final = "Leadership"
_REMOVED: Final = "Consumer Deleted"
_V1_TOKENS: Final = 9


class Delivery(Struct, gc=False):
    """
    An item handed to this worker.

    Attributes:
        queue: The queue's name.
        message: As it came.
        received: Loop time of the arrival.
        tokens: Of the reply subject,
            ``$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>``, perhaps with a domain and
            an account behind ``ACK``.
    """

    queue: str
    message: Incoming
    received: float
    tokens: list[str]

    @property
    def data(self) -> bytes:
        """The item."""
        return self.message.data

    @property
    def reply(self) -> str:
        """Where acknowledgements go; it also holds the numbers below."""
        return self.message.reply

    @property
    def by_schedule(self) -> bool:
        """Whether a schedule brought the item, and not whoever made the task runnable."""
        headers = self.message.headers
        return headers is not None and SCHEDULER in headers

    def _number(self, index: int) -> int:
        tokens = self.tokens
        return int(tokens[index if len(tokens) == _V1_TOKENS else index + 2])

    @property
    def sequence(self) -> int:
        """The item's sequence in the queue's stream."""
        return self._number(5)

    @property
    def delivered(self) -> int:
        """How often the item was delivered; not reliable over crashes of the server."""
        return self._number(4)

    @property
    def stored_at(self) -> float:
        """When the item entered the queue, in seconds since the epoch, by the server's clock."""
        return self._number(7) / 1e9

    @property
    def pending(self) -> int:
        """Items that waited in the queue behind this one."""
        return self._number(8)


class _PullRequest(Struct, omit_defaults=True):
    batch: int
    expires: int = 0
    idle_heartbeat: int = 0
    no_wait: bool = False


_encode: Final = msgspec.json.Encoder().encode


class Puller:
    """
    Pulls from one queue.

    Args:
        connection: Where the queue is.
        names: Of the namespace.
        queue: The queue's name.
        on_delivery: Takes every delivery, in the loop.
        on_credit: Called when all deliveries that were asked for have come, or will not come.
        on_trouble: Called when the server refuses since the queue has no leader, or another one, or falls silent.
        on_removed: Called when the server refuses since the queue's consumer is gone, or was.

    Attributes:
        credit: Deliveries that were asked for and have not come.
        pending: Items that waited in the queue behind the last delivery; 0 when it said that it has none.
        arrived: Loop time of the last delivery.
    """

    def __init__(
        self,
        connection: Connection,
        names: Names,
        queue: str,
        *,
        on_delivery: Callable[[Delivery], None],
        on_credit: Callable[[], None],
        on_trouble: Callable[[], None] = lambda: None,
        on_removed: Callable[[], None] = lambda: None,
    ) -> None:
        self.queue = queue
        self.credit = 0
        self.pending = 0
        self.arrived = 0.0
        self._connection = connection
        self._next = f"{connection.api_prefix}.CONSUMER.MSG.NEXT.{names.queue(queue)}.{WORKERS}"
        self._on_delivery = on_delivery
        self._on_credit = on_credit
        self._on_trouble = on_trouble
        self._on_removed = on_removed
        self._loop = asyncio.get_running_loop()
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] = lambda: None
        self._heard = 0.0
        self._not_before = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._ending: list[tuple[float, Subscription]] = []
        self._stopped = False

    async def start(self) -> None:
        """Be ready for :meth:`ask`."""
        await self._renew()
        self._forget = self._connection.on_connected(lambda _generation: self._start_renewal())
        self._watch = self._loop.call_later(_HEARTBEAT, self._check)

    @property
    def is_stopped(self) -> bool:
        """Whether it asks no more."""
        return self._stopped

    @property
    def is_ready(self) -> bool:
        """Whether asking now makes sense."""
        return (
            bool(self._inbox)
            and not self._stopped
            and self._connection.is_connected
            and self._loop.time() >= self._not_before
        )

    def ask(self, count: int, *, at_once: bool = False) -> None:
        """
        Ask for *count* more deliveries.

        Args:
            count: How many, at most.
            at_once: Those that are there now; what is left of the credit comes back within a round trip, unless the
                queue has items and may not give them, since too many are being worked on.
        """
        if self._stopped:
            return
        if at_once:
            request = _PullRequest(count, no_wait=True)
        else:
            request = _PullRequest(count, int(_EXPIRES * 1e9), int(_HEARTBEAT * 1e9))
        if self._connection.send(self._next, _encode(request), reply=self._inbox):
            if not self.credit:
                self._heard = self._loop.time()
            self.credit += count

    def withdraw(self) -> None:
        """Take back what was asked for and has not come; what is on its way already is handed over all the same."""
        if self._subscription is not None and self.credit and not self._stopped:
            self._subscription.end_soon()
            self._ending.append((self._loop.time(), self._subscription))
            self._subscription, self.credit = None, 0
            self._start_renewal()

    async def stop(self) -> None:
        """Ask no more, and hand over what is on its way already, so that it can be given back."""
        self._forget()
        if self._watch is not None:
            self._watch.cancel()
        if self._renewing is not None:
            self._renewing.cancel()
        self.credit, self._stopped = 0, True
        if self._subscription is not None:
            self._subscription.end_soon()
            with contextlib.suppress(ServerError):
                await self._connection.api("INFO", timeout=_LAST_CALL)  # answered behind all that was sent before
            await self._subscription.unsubscribe()
            self._subscription = None
        await self._forget_ending(float("inf"))

    def _start_renewal(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        self._inbox = ""
        self._renewing = self._loop.create_task(self._renew())

    async def _renew(self) -> None:
        """Listen on a new inbox; nothing that was asked before counts any more."""
        old, inbox = self._subscription, self._connection.new_inbox()

        def on_message(message: Incoming) -> None:
            if inbox == self._inbox:
                self._on_message(message)
            elif message.reply:
                self._hand_over(message)

        self._subscription = await self._connection.subscribe(inbox, on_message)
        self._inbox, self.credit = inbox, 0
        if old is not None:
            await old.unsubscribe()
        await self._forget_ending(self._loop.time() - _LAST_CALL)
        self._on_credit()

    async def _forget_ending(self, before: float) -> None:
        """End the subscriptions of withdrawn requests, once all that was on its way must have come."""
        while self._ending and self._ending[0][0] < before:
            await self._ending.pop(0)[1].unsubscribe()

    def _on_message(self, message: Incoming) -> None:
        self._heard = self._loop.time()
        if not message.reply:
            headers = message.headers or {}
            self._on_status(headers.get(STATUS, ""), headers)
            return
        self.credit = max(0, self.credit - 1)
        self._hand_over(message)
        if not self.credit:
            self._on_credit()

    def _hand_over(self, message: Incoming) -> None:
        self.arrived = self._loop.time()
        delivery = Delivery(self.queue, message, self.arrived, message.reply.split("."))
        self.pending = delivery.pending
        self._on_delivery(delivery)

    def _on_status(self, status: str, headers: dict[str, str]) -> None:
        if status in ("", _HEARTBEAT_STATUS):
            return
        if status not in {
            _EXPIRED_STATUS,
            _EMPTY_STATUS,
        }:  # refused; asked again at once it would be refused again at once
            self._not_before = self._loop.time() + _REFUSED_WAIT
            self._loop.call_later(_REFUSED_WAIT, self._on_credit)
            described = headers.get(DESCRIPTION, "")
            if status == NO_RESPONDERS or _LEADERSHIP in described:
                self._on_trouble()
            if status == NO_RESPONDERS or _REMOVED in described:
                self._on_removed()
        lost = headers.get(STATUS_PENDING)
        self.credit = max(0, self.credit - int(lost)) if lost else 0
        self.pending = 0
        self._on_credit()

    def _check(self) -> None:
        """Start anew when neither deliveries nor heartbeats came for too long; see that somebody asks."""
        self._watch = self._loop.call_later(_HEARTBEAT, self._check)
        if not self.credit:
            self._on_credit()
        elif self._connection.is_connected and self._loop.time() - self._heard > 2 * _HEARTBEAT:
            self._on_trouble()
            self._start_renewal()
