"""
event_feed: tell state changes, progress, and elections that were won to subscribers on the server.

A listener of the bus that publishes asyncjobs' lifecycle events with core NATS: not stored, and lost while the
connection is. Whoever needs certainty reads the record; events only say when that is worth doing.
"""

from jetq.jetstream.connection import Connection
from jetq.model.events import Event, LeaderElected, TaskProgressed, TaskStateChanged
from jetq.wire.events import encode_leader_event, encode_progress_event, encode_task_event
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
        """Publish *event* if subscribers are told of its kind."""
        if isinstance(event, TaskStateChanged):
            self._connection.send(self._names.task_event(event.task_id), encode_task_event(event))
        elif isinstance(event, TaskProgressed):
            self._connection.send(self._names.task_progress(event.task_id), encode_progress_event(event))
        elif isinstance(event, LeaderElected):
            self._connection.send(self._names.leader_event(event.component), encode_leader_event(event))
