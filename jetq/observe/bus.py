"""
bus: where every event goes.

:meth:`Bus.emit` calls each listener in turn, at once and in the emitter's thread, so listeners must be quick and must
not block. A listener that raises is told once and never disturbs the emitter.
"""

import threading
from collections.abc import Callable
from traceback import format_exception_only
from typing import TypeVar

from jetq.model.events import Event, ListenerFailed

Listener = Callable[[Event], None]
_E = TypeVar("_E", bound=Event)


class _Subscriber:
    __slots__ = ("failed", "listener", "name")

    def __init__(self, listener: Listener, name: str) -> None:
        self.listener = listener
        self.name = name
        self.failed: set[type[Event]] = set()


class Bus:
    """A list of listeners. Any thread may add, remove and emit."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._subscribers: tuple[_Subscriber, ...] = ()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the returned function removes it."""
        return self._add(_Subscriber(listener, _name_of(listener)))

    def _add(self, subscriber: _Subscriber) -> Callable[[], None]:
        def forget() -> None:
            with self._changing:
                self._subscribers = tuple(other for other in self._subscribers if other is not subscriber)

        with self._changing:
            self._subscribers = (*self._subscribers, subscriber)
        return forget

    def listen_to(self, kind: type[_E], listener: Callable[[_E], None]) -> Callable[[], None]:
        """Add a listener for one kind of event; the returned function removes it."""

        def only(event: Event) -> None:
            if isinstance(event, kind):
                listener(event)

        return self._add(_Subscriber(only, _name_of(listener)))

    @property
    def has_listeners(self) -> bool:
        """Whether anybody would hear an event."""
        return bool(self._subscribers)

    def emit(self, event: Event) -> None:
        """Tell every listener."""
        for subscriber in self._subscribers:
            try:
                subscriber.listener(event)
            except Exception as error:  # noqa: BLE001 - a listener must never disturb the flow
                self._report(subscriber, event, error)

    def _report(self, subscriber: _Subscriber, event: Event, error: Exception) -> None:
        if type(event) in subscriber.failed or isinstance(event, ListenerFailed):
            return
        subscriber.failed.add(type(event))
        self.emit(ListenerFailed(listener=subscriber.name, error=format_exception_only(error)[-1].strip()))


def _name_of(listener: Callable[..., None]) -> str:
    return str(getattr(listener, "__qualname__", type(listener).__qualname__))
