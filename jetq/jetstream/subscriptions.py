"""
subscriptions: who hears what, over all links of a connection.
"""

from collections.abc import Callable
from typing import Any

from jetq.errors import PermissionDeniedError
from jetq.jetstream.message import Incoming, Message
from jetq.jetstream.outbox import Outbox
from jetq.model.events import ListenerFailed
from jetq.observe.bus import Bus

OnEnd = Callable[[PermissionDeniedError | None], None]
"""Hears that nothing will come any more: the server does not permit it, or the connection was closed."""


class Subscription:
    """Interest in a subject. It lasts until :meth:`unsubscribe`, whatever becomes of the connection."""

    __slots__ = ("_owner", "callback", "is_ending", "on_end", "queue", "sid", "subject")

    def __init__(
        self, owner: "Subscriptions", sid: int, subject: str, queue: str, callback: Callable[[Incoming], None]
    ) -> None:
        self._owner = owner
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.callback = callback
        self.on_end: OnEnd | None = None
        self.is_ending = False

    def end_soon(self) -> None:
        """Ask the server for no more; what is on its way is still handed over, until :meth:`unsubscribe`."""
        self._owner.end_soon(self)

    async def unsubscribe(self) -> None:
        """End it; no message is handed over any more. Idempotent."""
        self._owner.remove(self)


class Subscriptions:
    """
    All subscriptions of a connection.

    Args:
        outbox: Carries what the server must know.
        bus: Hears of callbacks that raise.
    """

    def __init__(self, outbox: Outbox, bus: Bus) -> None:
        self._outbox = outbox
        self._bus = bus
        self._last_sid = 0
        self._by_sid: dict[int, Subscription] = {}

    def add(self, subject: str, callback: Callable[[Incoming], None], queue: str = "") -> Subscription:
        """Begin one."""
        self._last_sid += 1
        subscription = Subscription(self, self._last_sid, subject, queue, callback)
        self._by_sid[subscription.sid] = subscription
        self._outbox.put(_command(subscription))
        return subscription

    def end_soon(self, subscription: Subscription) -> None:
        """Ask the server for no more of one."""
        if not subscription.is_ending and subscription.sid in self._by_sid:
            subscription.is_ending = True
            self._outbox.put(b"UNSUB %d\r\n" % subscription.sid)

    def remove(self, subscription: Subscription) -> None:
        """End one."""
        self.end_soon(subscription)
        self._by_sid.pop(subscription.sid, None)

    def renew(self) -> None:
        """Tell a new link of all."""
        for subscription in self._by_sid.values():
            if not subscription.is_ending:
                self._outbox.put(_command(subscription))

    def deliver(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        """Hand over a message."""
        subscription = self._by_sid.get(sid)
        if subscription is not None:
            try:
                subscription.callback(Message(subject.decode(), reply.decode(), data, headers))
            except Exception as error:  # noqa: BLE001 - as in call(), which would be one call more a message
                self._tell(subscription.callback, error)

    def deny(self, subject: str) -> None:
        """Tell who wants to know that the server does not permit a subject, given in lower case."""
        for subscription in tuple(self._by_sid.values()):
            if subscription.on_end is not None and subscription.subject.lower() == subject:
                self.call(subscription.on_end, PermissionDeniedError(subscription.subject, "subscribing to"))

    def close(self) -> None:
        """Tell who wants to know that nothing will come any more."""
        for subscription in tuple(self._by_sid.values()):
            if subscription.on_end is not None:
                self.call(subscription.on_end, None)

    def call(self, callback: Callable[[Any], None], argument: object) -> None:
        """Call back. What the callback raises is told on the bus: here it would end the reading of the link."""
        try:
            callback(argument)
        except Exception as error:  # noqa: BLE001 - see above
            self._tell(callback, error)

    def _tell(self, callback: Callable[[Any], None], error: Exception) -> None:
        """Tell on the bus what a callback raised."""
        name = getattr(callback, "__qualname__", repr(callback))
        self._bus.emit(ListenerFailed(listener=name, error=f"{type(error).__name__}: {error}"))


def _command(subscription: Subscription) -> bytes:
    return f"SUB {subscription.subject} {subscription.queue} {subscription.sid}\r\n".encode()
