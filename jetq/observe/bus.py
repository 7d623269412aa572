"""
bus: where every event goes.

:meth:`Bus.emit` calls each listener in turn, at once and in the emitter's thread, so listeners must be quick and must
not block. A listener that raises is told once and never disturbs the emitter.
"""

import threading
from collections.abc import Callable
from traceback import format_exception_only
from typing import Any, TypeVar

from jetq.model.events import Event, ListenerFailed

Listener = Callable[[Event], None]
_E = TypeVar("_E", bound=Event)


class _Subscriber:
    __slots__ = ("failed", "kind", "listener", "name")

    def __init__(self, listener: Callable[[Any], None], kind: type) -> None:
        self.listener = listener
        self.kind = kind
        self.name = str(getattr(listener, "__qualname__", type(listener).__qualname__))
        self.failed: set[type[Event]] = set()


class Bus:
    """A list of listeners. Any thread may add, remove and emit."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._subscribers: tuple[_Subscriber, ...] = ()
        self._routes: dict[type[Event], tuple[_Subscriber, ...]] = {}
        """Who hears an event, by its kind, so that nobody is asked who hears others only. Made anew at each change."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the returned function removes it."""
        return self._add(_Subscriber(listener, object))

    def _add(self, subscriber: _Subscriber) -> Callable[[], None]:
        def forget() -> None:
            with self._changing:
                self._change(tuple(other for other in self._subscribers if other is not subscriber))

        with self._changing:
            self._change((*self._subscribers, subscriber))
        return forget

    def _change(self, subscribers: tuple[_Subscriber, ...]) -> None:
        """Routes change behind the subscribers: who emits meanwhile and has the old ones fills what nobody reads."""
        self._subscribers = subscribers
        self._routes = {}

    def listen_to(self, kind: type[_E], listener: Callable[[_E], None]) -> Callable[[], None]:
        """Add a listener for one kind of event; the returned function removes it."""
        return self._add(_Subscriber(listener, kind))

    @property
    def has_listeners(self) -> bool:
        """Whether anybody would hear an event."""
        return bool(self._subscribers)

    def emit(self, event: Event) -> None:
        """Tell every listener."""
        routes, kind = self._routes, type(event)
        subscribers = routes.get(kind)
        if subscribers is None:
            subscribers = routes[kind] = tuple(each for each in self._subscribers if issubclass(kind, each.kind))
        for subscriber in subscribers:
            try:
                subscriber.listener(event)
            except Exception as error:  # noqa: BLE001 - a listener must never disturb the flow
                self._report(subscriber, event, error)

    def _report(self, subscriber: _Subscriber, event: Event, error: Exception) -> None:
        if type(event) in subscriber.failed or isinstance(event, ListenerFailed):
            return
        subscriber.failed.add(type(event))
        self.emit(ListenerFailed(listener=subscriber.name, error=format_exception_only(error)[-1].strip()))
