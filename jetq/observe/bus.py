"""
bus: where every event goes.

:meth:`Bus.emit` calls each listener in turn, at once and in the emitter's thread, so listeners must be quick and must
not block. A listener that raises is told once and never disturbs the emitter.
"""

from collections.abc import Callable
from typing import TypeVar

from jetq.model.events import Event, ListenerFailed

Listener = Callable[[Event], None]
_E = TypeVar("_E", bound=Event)


class Bus:
    """A list of listeners."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._failed: set[tuple[Listener, type[Event]]] = set()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the returned function removes it."""
        self._listeners = (*self._listeners, listener)

        def forget() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return forget

    def listen_to(self, kind: type[_E], listener: Callable[[_E], None]) -> Callable[[], None]:
        """Add a listener for one kind of event; the returned function removes it."""

        def only(event: Event) -> None:
            if isinstance(event, kind):
                listener(event)

        return self.listen(only)

    @property
    def has_listeners(self) -> bool:
        """Whether anybody would hear an event."""
        return bool(self._listeners)

    def emit(self, event: Event) -> None:
        """Tell every listener."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a listener must never disturb the flow
                self._report(listener, event, error)

    def _report(self, listener: Listener, event: Event, error: Exception) -> None:
        key = (listener, type(event))
        if key in self._failed:
            return
        self._failed.add(key)
        if not isinstance(event, ListenerFailed):
            name = getattr(listener, "__qualname__", repr(listener))
            self.emit(ListenerFailed(listener=name, error=f"{type(error).__name__}: {error}"))
