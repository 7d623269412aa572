"""
event_feed: tell every state change to subscribers on the server.

A listener of the bus that publishes asyncjobs' lifecycle events with core NATS: not stored, and lost while the
connection is. Whoever needs certainty reads the record; events only say when that is worth doing.
"""

from jetq.jetstream.connection import Connection
from jetq.model.events import Event, TaskStateChanged
from jetq.wire.events import encode_task_event
from jetq.wire.names import Names


class EventFeed:
    """
    Publishes lifecycle events over a connection.

    Args:
        connection: Where to.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection = connection
        self._names = names

    def __call__(self, event: Event) -> None:
        """Publish *event* if it is a state change."""
        if isinstance(event, TaskStateChanged):
            self._connection.send(self._names.task_event(event.task_id), encode_task_event(event))
