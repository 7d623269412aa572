"""
events: what happens in a namespace, for programs that have no application, and for those that have.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

from jetq.app.application import App
from jetq.client.event_stream import EventStream
from jetq.client.live_events import own_events
from jetq.errors import InvalidSettingError
from jetq.jetstream.event_reader import ReadEvent
from jetq.settings import EVENT_BUFFER, Settings
from jetq.wire.event_filter import EventChoice, EventFilter


def events(
    app: App | None = None,
    *,
    servers: str | Sequence[str] | None = None,
    context: str | None = None,
    namespace: str | None = None,
    buffer: int = EVENT_BUFFER,
    **wanted: Unpack[EventChoice],
) -> EventStream[ReadEvent]:
    """
    Read what happens to tasks, as it happens: ``async for event in jetq.events()``, or ``for`` outside of a loop.

    It has no end of its own: it goes on until the reader leaves it. With *app*, closing the application ends the
    iteration, silently, after the events that had come; whoever waits for one task gets an error then.

    Args:
        app: Whose server and namespace; without it a program needs to know only where the server is.
        servers: NATS URLs; without it and *context* the server is found as `App` finds it.
        context: Name of a NATS context.
        namespace: None is ``JETQ_NAMESPACE``, else ``JETQ``.
        buffer: Events that may wait for a slow reader; what comes beyond that is told by `EventsMissed`.
        **wanted: See `EventChoice`.

    Raises:
        InvalidSettingError: *app* beside what it already knows; or an unknown state.
        InvalidNameError: An illegal task id, queue or namespace.
        PermissionDeniedError: While reading: the user may not subscribe to events.
        ServerError: While reading: no connection at the start.
    """
    choice = EventFilter(**wanted)
    if app is not None:
        if servers is not None or context is not None or namespace is not None:
            raise InvalidSettingError("app", app, "alone: it knows its server and its namespace")
        return app.events(buffer=buffer, **wanted)
    joined = servers if servers is None or isinstance(servers, str) else ",".join(servers)
    settings = Settings.from_env().with_connection(servers=joined, context=context)
    if namespace is not None:
        settings = replace(settings, namespace=namespace)
    return own_events(settings, choice, buffer=buffer)
